-- Indexes that are made beside the traffic (CREATE INDEX CONCURRENTLY), after the definition that asked for them was
-- committed. A row goes in the transaction that makes the index's event.
CREATE TABLE eventus.index_jobs (
    collection   text        NOT NULL,
    field        text        NOT NULL,
    attempts     integer     NOT NULL DEFAULT 0,
    next_attempt timestamptz NOT NULL DEFAULT now(),
    error        text,
    PRIMARY KEY (collection, field)
);
