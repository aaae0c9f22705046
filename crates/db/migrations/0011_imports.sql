-- Files of items, imported as jobs: received into pieces first, then read on from where the job stands.
CREATE TABLE eventus.imports (
    id              uuid        PRIMARY KEY,
    collection      text        NOT NULL,
    -- csv or json
    format          text        NOT NULL,
    -- receiving, running, done, failed or cancelled
    state           text        NOT NULL DEFAULT 'receiving',
    dry_run         boolean     NOT NULL,
    -- Written in one transaction; null while nobody has looked.
    atomic          boolean,
    -- Who asked for it, and by which request.
    accountability  jsonb       NOT NULL,
    user_id         uuid,
    request_id      text,
    -- A key of the client's under which the file is imported once, whose it is, and what it stands for.
    key_owner       text,
    idempotency_key text,
    fingerprint     text,
    bytes_total     bigint      NOT NULL DEFAULT 0,
    -- Up to where the file was read and written. Moves in the transaction that writes the rows before it.
    bytes           bigint      NOT NULL DEFAULT 0,
    rows            bigint      NOT NULL DEFAULT 0,
    -- A JSON array, as it is told.
    errors          text,
    -- Who works on it now, and until when nobody else may take it.
    runner          uuid,
    locked_until    timestamptz,
    attempts        integer     NOT NULL DEFAULT 0,
    next_attempt    timestamptz NOT NULL DEFAULT now(),
    created         timestamptz NOT NULL DEFAULT now(),
    touched         timestamptz NOT NULL DEFAULT now(),
    finished        timestamptz
);
CREATE UNIQUE INDEX imports_idempotency_key ON eventus.imports (key_owner, idempotency_key);
CREATE INDEX imports_running ON eventus.imports (next_attempt) WHERE state = 'running';

-- The file, in pieces of about a mebibyte, in the order in which they came. They go when the job has ended.
CREATE TABLE eventus.import_pieces (
    import  uuid   NOT NULL REFERENCES eventus.imports (id) ON DELETE CASCADE,
    -- Place of its first byte in the file.
    first   bigint NOT NULL,
    content bytea  NOT NULL,
    PRIMARY KEY (import, first)
);
-- Read once or twice and gone: not worth packing.
ALTER TABLE eventus.import_pieces ALTER COLUMN content SET STORAGE EXTERNAL;
