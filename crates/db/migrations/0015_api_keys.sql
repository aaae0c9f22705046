-- Keys that programs use in the name of a user, with all of his rights or less. Their text is stored nowhere.
CREATE TABLE eventus.api_keys (
    id         uuid        PRIMARY KEY,
    name       text        NOT NULL,
    -- Hex SHA-256 of the whole key.
    hash       text        NOT NULL UNIQUE,
    -- How it begins: what people know it by.
    prefix     text        NOT NULL,
    -- Ids are never given again, and keys go with their user.
    "user"     uuid        NOT NULL REFERENCES directus_users (id) ON DELETE CASCADE,
    -- Of the user's policies only these; null: all that he has.
    policies   uuid[],
    read_only  boolean     NOT NULL DEFAULT false,
    -- Null: never.
    expires    timestamptz,
    -- Moves beside the requests, at most once a minute.
    last_used  timestamptz,
    created    timestamptz NOT NULL,
    created_by uuid
);
CREATE INDEX api_keys_user ON eventus.api_keys ("user", created);
