-- Answers of writes that were asked for under a key of the client's (`Idempotency-Key`), written by the write's own
-- transaction: no key without its write, no write without its key. Who asks again under it is given the answer again.
CREATE TABLE eventus.idempotency_keys (
    -- A user's id, or `process:` and the name of a process of the fleet.
    owner       text        NOT NULL,
    key         text        NOT NULL,
    -- Of what was asked: an HMAC under a key of the fleet's.
    fingerprint text        NOT NULL,
    -- The items as they were answered, as JSON text; null for deletions.
    items       text,
    keys        text[]      NOT NULL,
    -- Of the one item that was written.
    version     bigint,
    created     timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (owner, key)
);
CREATE INDEX idempotency_keys_created ON eventus.idempotency_keys (created);
