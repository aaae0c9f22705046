-- The last position whose event was appended at this moment or before, among those up to `settled`; null when the log
-- begins later. Positions and times grow together (both are taken when the row is made), so it is found by halving, with
-- a few looks at the primary key, however long the log is.
CREATE FUNCTION eventus.position_at(moment timestamptz, settled bigint) RETURNS bigint
LANGUAGE plpgsql STABLE AS $$
DECLARE
    low bigint;
    high bigint := settled;
    middle bigint;
    near record;
BEGIN
    SELECT position, time INTO near FROM eventus.events ORDER BY position LIMIT 1;
    IF NOT FOUND OR near.time > moment THEN
        RETURN NULL;
    END IF;
    low := near.position;
    -- Nothing at or below `low` is later than the moment, everything above `high` is.
    WHILE low < high LOOP
        middle := low + (high - low + 1) / 2;
        SELECT e.position, e.time INTO near FROM eventus.events e
        WHERE e.position > low AND e.position <= middle ORDER BY e.position DESC LIMIT 1;
        IF NOT FOUND OR near.time <= moment THEN
            low := middle;
        ELSE
            high := near.position - 1;
        END IF;
    END LOOP;
    RETURN low;
END
$$;

-- Fields that became secrets: what the log still holds of their values is replaced by masks, in chunks. A row stays
-- until every process plans with the field as a secret and one more look has found nothing.
CREATE TABLE eventus.redactions (
    collection   text        NOT NULL,
    field        text        NOT NULL,
    -- Everything at or below is looked at.
    done         bigint      NOT NULL DEFAULT 0,
    attempts     integer     NOT NULL DEFAULT 0,
    next_attempt timestamptz NOT NULL DEFAULT now(),
    error        text,
    PRIMARY KEY (collection, field)
);

-- A body of an event with the value of one member replaced by the mask that stands in the log for secrets; members keep
-- their order and the others their text. Null, and the empty text that is none, stay null.
CREATE FUNCTION eventus.masked(body json, member text) RETURNS json
LANGUAGE sql IMMUTABLE STRICT AS $$
    SELECT CASE WHEN json_typeof(body) = 'object' AND body -> member IS NOT NULL THEN (
        SELECT json_object_agg(m.key, CASE
            WHEN m.key <> member THEN m.value
            WHEN m.value::text IN ('null', '""') THEN 'null'::json
            ELSE '"**********"'::json
        END) FROM json_each(body) m
    ) ELSE body END
$$;
