-- What operators do with the log: replays into one consumer, rebuilds of read models, and dead letters that tell the first
-- error beside the last.

-- Null: as `reason`.
ALTER TABLE eventus.dead_letters ADD COLUMN first_reason text;
-- The last replay in which it was given up again.
ALTER TABLE eventus.dead_letters ADD COLUMN replay uuid;
ALTER TABLE eventus.dead_letters ADD COLUMN first_time timestamptz NOT NULL DEFAULT now();
UPDATE eventus.dead_letters SET first_time = time;
CREATE INDEX dead_letters_position ON eventus.dead_letters (consumer, position);

-- Whether what it does is seen outside (hooks, webhooks, purges), or kept inside and made again at will (read models).
ALTER TABLE eventus.consumers ADD COLUMN effects boolean NOT NULL DEFAULT true;
UPDATE eventus.consumers SET effects = false WHERE name = 'analytics';

-- The last replay that a hook ran in: it runs once for an event in each.
ALTER TABLE eventus.hook_runs ADD COLUMN replay uuid;

-- Events that are given to one consumer once more. The consumer's own process works them off, one row at a time, oldest
-- first; its inbox is of the replay's own (`consumer/id`), and goes with its end.
CREATE TABLE eventus.replays (
    id           uuid        PRIMARY KEY,
    consumer     text        NOT NULL,
    -- replay: again, whatever was done before. requeue: the dead letters among them. rebuild: a read model from its
    -- beginning, beside the live one.
    kind         text        NOT NULL CHECK (kind IN ('replay', 'requeue', 'rebuild')),
    -- Behind this position, and up to that one; of them these only, and of this collection only, where they are named.
    after        bigint      NOT NULL,
    upto         bigint      NOT NULL,
    positions    bigint[],
    collection   text,
    state        text        NOT NULL DEFAULT 'pending'
        CHECK (state IN ('pending', 'running', 'done', 'failed', 'cancelled')),
    -- Everything at or below is done.
    done         bigint      NOT NULL,
    applied      bigint      NOT NULL DEFAULT 0,
    buried       bigint      NOT NULL DEFAULT 0,
    -- What came of a rebuild.
    result       json,
    error        text,
    -- Who works on it, until when if nothing more is heard of him.
    claim        uuid,
    claimed_until timestamptz,
    "user"       uuid,
    created      timestamptz NOT NULL DEFAULT clock_timestamp(),
    finished     timestamptz
);
CREATE INDEX replays_open ON eventus.replays (consumer, created) WHERE state IN ('pending', 'running');

-- Attempts that were made before the delivery was replayed: its schedule begins anew.
ALTER TABLE eventus.webhook_deliveries ADD COLUMN attempts_before integer NOT NULL DEFAULT 0;

-- The version of an event's written form (model/src/event/versions.rs). What is there was written before versions were.
ALTER TABLE eventus.events ADD COLUMN schema smallint NOT NULL DEFAULT 1;
ALTER TABLE eventus.events ALTER COLUMN schema SET DEFAULT 2;
