-- Our own tables. They live in the schema `eventus` (made by the runner before the first migration),
-- so that the user's schema stays his.

-- The event log: append-only, the truth of what happened.
-- `xid` stands before `position`: defaults run in column order, so a transaction that has taken a position has its
-- transaction id and holds the shared lock 7306085839, from before it takes one until it is visible or rolled back.
-- Readers of the log ask who holds that lock, to tell a late committer from a position that was rolled back. (The
-- lock that every INSERT has on this table would say less: a statement holds it already while it waits for the row
-- of an item.) It is always free to share, so `try` never fails. CACHE 1: a position is taken when the row is appended.
CREATE SEQUENCE eventus.events_position AS bigint CACHE 1;

CREATE TABLE eventus.events (
    xid          xid8        NOT NULL DEFAULT
        CASE WHEN pg_try_advisory_xact_lock_shared(7306085839) THEN pg_current_xact_id() END,
    position     bigint      NOT NULL DEFAULT nextval('eventus.events_position'),
    id           uuid        NOT NULL,
    name         text        NOT NULL,
    collection   text        NOT NULL,
    key          text        NOT NULL,
    version      bigint      NOT NULL,
    -- `json`, not `jsonb`: written once, passed through as bytes, field order kept.
    payload      json,
    previous     json,
    fields       text[],
    "user"       uuid,
    role         uuid,
    ip           text,
    user_agent   text,
    origin       text,
    request_id   text,
    traceparent  text,
    causation_id uuid,
    depth        smallint    NOT NULL DEFAULT 0,
    batch_id     uuid,
    batch_index  integer     NOT NULL DEFAULT 0,
    silent       boolean     NOT NULL DEFAULT false,
    time         timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (position)
) PARTITION BY RANGE (position);

ALTER SEQUENCE eventus.events_position OWNED BY eventus.events.position;

-- History of one item: versions in order.
CREATE INDEX events_item ON eventus.events (collection, key, position);

-- Makes the partitions that hold [from, from + count * 4,194,304); idempotent, safe to call side by side.
-- The relay's holder calls it long before the log reaches the last one.
CREATE FUNCTION eventus.ensure_event_partitions(ahead integer) RETURNS integer
LANGUAGE plpgsql AS $$
DECLARE
    width CONSTANT bigint := 4194304;
    at bigint;
    made integer := 0;
    first bigint;
BEGIN
    PERFORM pg_advisory_xact_lock(7306085837);
    SELECT CASE WHEN is_called THEN last_value ELSE 0 END INTO at FROM eventus.events_position;
    first := at / width;
    FOR number IN first .. first + ahead LOOP
        IF to_regclass(format('eventus.events_p%s', number)) IS NULL THEN
            -- CREATE .. PARTITION OF would take ACCESS EXCLUSIVE on the log: it would wait for every appender, and
            -- every appender and reader for it. ATTACH lets them go on.
            EXECUTE format('CREATE TABLE eventus.events_p%s (LIKE eventus.events INCLUDING ALL)', number);
            EXECUTE format(
                'ALTER TABLE eventus.events ATTACH PARTITION eventus.events_p%s FOR VALUES FROM (%s) TO (%s)',
                number, number * width, (number + 1) * width);
            made := made + 1;
        END IF;
    END LOOP;
    RETURN made;
END
$$;

SELECT eventus.ensure_event_partitions(2);

-- The version of each item that was ever changed, deleted or made with a given key. A create with a generated
-- key is version 1 and needs no head; an item without a head has version 1. Heads outlive deletion.
CREATE TABLE eventus.heads (
    collection text   NOT NULL,
    key        text   NOT NULL,
    version    bigint NOT NULL,
    PRIMARY KEY (collection, key)
) WITH (fillfactor = 80);

-- How far the one relay has come. A single row.
CREATE TABLE eventus.relay (
    single          boolean     PRIMARY KEY DEFAULT true CHECK (single),
    -- Last position that the bus has acknowledged.
    position        bigint      NOT NULL DEFAULT 0,
    -- Where that message stands in the stream, and which stream that was.
    stream_sequence bigint      NOT NULL DEFAULT 0,
    stream_created  timestamptz,
    -- Part of `ce-source`; a reset makes a new one.
    epoch           uuid        NOT NULL DEFAULT gen_random_uuid(),
    updated         timestamptz NOT NULL DEFAULT now()
);
INSERT INTO eventus.relay DEFAULT VALUES;

-- Who may do what only one may do at a time.
CREATE TABLE eventus.leases (
    name    text        PRIMARY KEY,
    holder  text        NOT NULL,
    -- Grows with each change of holder; a write under a lease carries it.
    fence   bigint      NOT NULL,
    expires timestamptz NOT NULL
);

-- Versions of what processes keep in memory. Bumped in the transaction of the change.
CREATE TABLE eventus.control (
    topic   text   PRIMARY KEY,
    version bigint NOT NULL
);
INSERT INTO eventus.control VALUES ('schema', 1), ('access', 1), ('sessions', 1), ('filters', 1), ('webhooks', 1);

-- Consumers' memory: what each has applied above its low-water mark.
CREATE TABLE eventus.consumers (
    name      text        PRIMARY KEY,
    -- Everything at or below is applied or buried.
    low_water bigint      NOT NULL DEFAULT 0,
    updated   timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE eventus.inbox (
    consumer text   NOT NULL,
    event_id uuid   NOT NULL,
    position bigint NOT NULL,
    PRIMARY KEY (consumer, event_id)
);
CREATE INDEX inbox_position ON eventus.inbox (consumer, position);

-- Events that a consumer has given up.
CREATE TABLE eventus.dead_letters (
    consumer text        NOT NULL,
    event_id uuid        NOT NULL,
    position bigint      NOT NULL,
    reason   text        NOT NULL,
    attempts integer     NOT NULL,
    trace_id text,
    time     timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (consumer, event_id)
);

-- Filter hooks that are registered: the items service asks the hooks worker only for these.
CREATE TABLE eventus.filter_registrations (
    hook       text    NOT NULL,
    -- `items.create` ...
    event      text    NOT NULL,
    -- '*' = every user collection.
    collection text    NOT NULL DEFAULT '*',
    priority   integer NOT NULL DEFAULT 100,
    PRIMARY KEY (hook, event, collection)
);

-- Runs of action and schedule hooks.
CREATE TABLE eventus.hook_runs (
    hook       text        NOT NULL,
    event_id   uuid        NOT NULL,
    kind       text        NOT NULL CHECK (kind IN ('action', 'schedule')),
    position   bigint      NOT NULL,
    event      text        NOT NULL,
    collection text        NOT NULL,
    key        text        NOT NULL,
    trace_id   text,
    time       timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (hook, event_id)
);
CREATE INDEX hook_runs_time ON eventus.hook_runs (time DESC);
CREATE INDEX hook_runs_event ON eventus.hook_runs (event_id);

-- One row per schedule hook and tick: a tick runs once, whoever holds the lease.
CREATE TABLE eventus.schedule_runs (
    hook         text        NOT NULL,
    scheduled_at timestamptz NOT NULL,
    fence        bigint      NOT NULL,
    started      timestamptz NOT NULL DEFAULT now(),
    finished     timestamptz,
    error        text,
    PRIMARY KEY (hook, scheduled_at)
);

-- Counts per day (UTC, time of the event), collection and action.
CREATE TABLE eventus.analytics_daily (
    day        date   NOT NULL,
    collection text   NOT NULL,
    action     text   NOT NULL,
    count      bigint NOT NULL,
    PRIMARY KEY (day, collection, action)
) WITH (fillfactor = 50);

-- Where webhooks go.
CREATE TABLE eventus.webhook_endpoints (
    id      uuid        PRIMARY KEY,
    name    text        NOT NULL DEFAULT '',
    url     text        NOT NULL,
    secret  text        NOT NULL,
    events  text[]      NOT NULL,
    enabled boolean     NOT NULL DEFAULT true,
    -- End of the log when it was made: what stands above is its business, however late it is looked at.
    since   bigint      NOT NULL DEFAULT 0,
    created timestamptz NOT NULL DEFAULT now()
);

-- One event for one endpoint.
CREATE TABLE eventus.webhook_deliveries (
    id           uuid        PRIMARY KEY,
    endpoint     uuid        NOT NULL REFERENCES eventus.webhook_endpoints ON DELETE CASCADE,
    event_id     uuid        NOT NULL,
    position     bigint      NOT NULL,
    event        text        NOT NULL,
    trace_id     text,
    traceparent  text,
    state        text        NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'succeeded', 'failed')),
    attempts     integer     NOT NULL DEFAULT 0,
    next_attempt timestamptz NOT NULL DEFAULT now(),
    -- Taken by a sender until then.
    locked_until timestamptz,
    created      timestamptz NOT NULL DEFAULT now(),
    finished     timestamptz,
    UNIQUE (event_id, endpoint)
);
CREATE INDEX webhook_deliveries_due ON eventus.webhook_deliveries (next_attempt) WHERE state = 'pending';
-- Each endpoint's own turn: senders take a few from each, so that none holds up the others.
CREATE INDEX webhook_deliveries_turn ON eventus.webhook_deliveries (endpoint, next_attempt) WHERE state = 'pending';
CREATE INDEX webhook_deliveries_endpoint ON eventus.webhook_deliveries (endpoint, created DESC);

-- One HTTP try.
CREATE TABLE eventus.webhook_attempts (
    delivery    uuid        NOT NULL REFERENCES eventus.webhook_deliveries ON DELETE CASCADE,
    number      integer     NOT NULL,
    time        timestamptz NOT NULL DEFAULT now(),
    status      integer     NOT NULL,
    duration_ms bigint      NOT NULL,
    error       text        NOT NULL DEFAULT '',
    PRIMARY KEY (delivery, number)
);

-- Purges that are owed to the CDN. A key that changes again while it waits is purged once, for its last change.
CREATE TABLE eventus.purges (
    id           bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- What stands in the path of the purge request.
    target       text        NOT NULL,
    event_id     uuid        NOT NULL,
    position     bigint      NOT NULL,
    traceparent  text,
    state        text        NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'sending', 'succeeded', 'failed')),
    attempts     integer     NOT NULL DEFAULT 0,
    next_attempt timestamptz NOT NULL DEFAULT now(),
    locked_until timestamptz,
    last_error   text,
    created      timestamptz NOT NULL DEFAULT now(),
    finished     timestamptz
);
CREATE UNIQUE INDEX purges_pending_target ON eventus.purges (target) WHERE state = 'pending';
CREATE INDEX purges_due ON eventus.purges (next_attempt) WHERE state IN ('pending', 'sending');

-- After items were made with keys of the client's own: moves the collection's sequence past them, never back.
-- Near keys are passed by taking numbers one by one, since a read followed by setval could undo a
-- neighbour's nextval; a far jump cannot.
CREATE FUNCTION eventus.advance_sequence(sequence regclass, key bigint) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    at bigint;
BEGIN
    EXECUTE format('SELECT CASE WHEN is_called THEN last_value ELSE last_value - 1 END FROM %s', sequence) INTO at;
    IF key <= at THEN
        RETURN;
    END IF;
    IF key - at > 1000 THEN
        PERFORM setval(sequence, key);
        RETURN;
    END IF;
    WHILE at < key LOOP
        at := nextval(sequence);
    END LOOP;
END
$$;
