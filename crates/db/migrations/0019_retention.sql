-- Where the log begins. Old partitions are dropped whole; what read models need of them is kept before.

-- Everything at or below the position is no part of the log any more. Its partitions go a while later, so that a statement
-- that was allowed to look there still finds them.
CREATE TABLE eventus.horizon (
    single   boolean     PRIMARY KEY DEFAULT true CHECK (single),
    position bigint      NOT NULL DEFAULT 0,
    -- Of the last event that went.
    time     timestamptz,
    moved    timestamptz NOT NULL DEFAULT now()
);
INSERT INTO eventus.horizon DEFAULT VALUES;

-- Counts of the events up to the horizon: where a rebuild of `analytics_daily` begins.
CREATE TABLE eventus.analytics_base (LIKE eventus.analytics_daily INCLUDING ALL);

-- Items as they were at the horizon, as far as the log knew them: where their revisions begin.
CREATE TABLE eventus.bases (
    collection text   NOT NULL,
    key        text   NOT NULL,
    -- Of the last event that is in it.
    position   bigint NOT NULL,
    data       json   NOT NULL,
    PRIMARY KEY (collection, key)
);

-- Keeps what is needed of all events up to a position, and moves the horizon there: one transaction.
CREATE FUNCTION eventus.move_horizon(upto bigint) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
    begins bigint;
    last timestamptz;
BEGIN
    SELECT position INTO begins FROM eventus.horizon FOR UPDATE;
    IF upto <= begins THEN
        RETURN false;
    END IF;
    -- What is erased or masked meanwhile is erased or masked in what is kept, after us.
    LOCK TABLE eventus.erasures, eventus.redactions IN SHARE MODE;

    INSERT INTO eventus.analytics_base AS base (day, collection, action, count)
    SELECT (e.time AT TIME ZONE 'UTC')::date, e.collection, substr(e.name, strpos(e.name, '.') + 1), count(*)
    FROM eventus.events e WHERE e.position > begins AND e.position <= upto
    GROUP BY 1, 2, 3
    ON CONFLICT (day, collection, action) DO UPDATE SET count = base.count + EXCLUDED.count;

    CREATE TEMP TABLE horizon_items ON COMMIT DROP AS
    SELECT e.collection, e.key, max(e.position) AS last,
        max(e.position) FILTER (WHERE e.name ~ '\.create$') AS made,
        max(e.position) FILTER (WHERE e.name ~ '\.delete$') AS gone
    FROM eventus.events e
    WHERE e.position > begins AND e.position <= upto AND e.name ~ '^(?!custom\.)[a-z_]+\.(create|update|delete)$'
        -- What saved versions keep of other items is erased with these, where it stands in the log.
        AND e.collection <> 'directus_versions'
    GROUP BY 1, 2;

    INSERT INTO eventus.bases AS base (collection, key, position, data)
    SELECT i.collection, i.key, i.last, coalesce(json_object_agg(f.name, f.value) FILTER (WHERE NOT f.erased), '{}')
    FROM horizon_items i CROSS JOIN LATERAL (
        SELECT DISTINCT ON (field.key) field.key AS name, field.value, field.key = ANY(coalesce(p.erased, '{}')) AS erased
        FROM (
            SELECT b.position, b.data AS body, NULL::text[] AS erased FROM eventus.bases b
            WHERE b.collection = i.collection AND b.key = i.key
            UNION ALL
            SELECT e.position, e.payload, e.erased FROM eventus.events e
            WHERE e.collection = i.collection AND e.key = i.key AND e.position > begins AND e.position <= upto
                AND e.name ~ '^(?!custom\.)[a-z_]+\.(create|update)$' AND json_typeof(e.payload) = 'object'
        ) p CROSS JOIN LATERAL json_each(p.body) field
        WHERE p.position >= coalesce(i.made, 0) AND p.position > coalesce(i.gone, 0)
        ORDER BY field.key, p.position DESC
    ) f
    WHERE i.gone IS NULL OR i.gone < i.last
    GROUP BY i.collection, i.key, i.last
    ON CONFLICT (collection, key) DO UPDATE SET position = EXCLUDED.position, data = EXCLUDED.data;

    DELETE FROM eventus.bases base USING horizon_items i
    WHERE base.collection = i.collection AND base.key = i.key AND i.gone = i.last;

    SELECT e.time INTO last FROM eventus.events e
    WHERE e.position > begins AND e.position <= upto ORDER BY e.position DESC LIMIT 1;
    UPDATE eventus.horizon SET position = upto, time = coalesce(last, time), moved = clock_timestamp();
    RETURN true;
END
$$;

-- Revisions, as before; what an item held at the horizon is under what the log says of it.
CREATE OR REPLACE VIEW eventus.revisions AS
SELECT id::bigint AS id, activity::bigint AS activity, collection::text AS collection, item::text AS item,
       data, delta, parent::bigint AS parent, version
FROM directus_revisions
UNION ALL
SELECT e.position, e.position, e.collection, e.key,
       CASE WHEN e.name ~ '^(?!custom\.)[a-z_]+\.create$' THEN eventus.kept(e.payload, e.erased) ELSE (
           SELECT json_object_agg(last.key, last.value) FILTER (WHERE last.gone IS NOT TRUE)
           FROM (
               SELECT DISTINCT ON (field.key) field.key, field.value, field.key = ANY(p.erased) AS gone
               FROM (
                   SELECT o.position, o.payload, o.erased FROM eventus.events o
                   WHERE o.collection = e.collection AND o.key = e.key AND o.position <= e.position
                     AND o.name ~ '^(?!custom\.)[a-z_]+\.(create|update)$' AND json_typeof(o.payload) = 'object'
                   UNION ALL
                   SELECT b.position, b.data, NULL::text[] FROM eventus.bases b
                   WHERE b.collection = e.collection AND b.key = e.key AND b.position < e.position
               ) p CROSS JOIN LATERAL json_each(p.payload) field
               WHERE p.position >= coalesce((
                     SELECT max(made.position) FROM eventus.events made
                     WHERE made.collection = e.collection AND made.key = e.key AND made.position <= e.position
                       AND made.name ~ '^(?!custom\.)[a-z_]+\.create$'
                 ), 0)
               ORDER BY field.key, p.position DESC
           ) last
       ) END,
       eventus.kept(e.payload, e.erased), CASE WHEN e.causation_id IS NOT NULL AND e.batch_index > 0 THEN (
           SELECT p.position FROM eventus.events p
           WHERE p.position < e.position AND p.position >= e.position - e.batch_index - 10000
             AND p.id = e.causation_id AND p.batch_id = e.batch_id AND p.name ~ '^(?!custom\.)[a-z_]+\.(create|update)$'
           ORDER BY p.position DESC LIMIT 1
       ) END, NULL::uuid
FROM eventus.events e
WHERE e.name ~ '^(?!custom\.)[a-z_]+\.(create|update)$' AND e.payload IS NOT NULL AND NOT EXISTS (
    SELECT FROM directus_collections c WHERE c.collection = e.collection AND c.accountability IS DISTINCT FROM 'all')
AND NOT (e.name = 'versions.update' AND 'delta' = ANY(e.fields) AND EXISTS (
    SELECT FROM directus_versions v WHERE v.id::text = e.key))
UNION ALL
-- Of a saved version: what the version keeps since then and did not keep before.
SELECT e.position, e.position, v.collection::text, v.item::text, saved.fields, saved.fields, NULL::bigint, v.id
FROM eventus.events e JOIN directus_versions v ON v.id::text = e.key
CROSS JOIN LATERAL (
    SELECT coalesce(json_object_agg(kept.key, kept.value), '{}') AS fields
    FROM json_each(CASE json_typeof(e.payload -> 'delta') WHEN 'object' THEN e.payload -> 'delta' ELSE '{}' END) kept
    WHERE kept.value::text IS DISTINCT FROM (CASE json_typeof(e.previous -> 'delta')
        WHEN 'object' THEN e.previous -> 'delta' -> kept.key END)::text
) saved
WHERE e.collection = 'directus_versions' AND e.name = 'versions.update' AND 'delta' = ANY(e.fields) AND NOT EXISTS (
    SELECT FROM directus_collections c WHERE c.collection = v.collection AND c.accountability IS DISTINCT FROM 'all');
