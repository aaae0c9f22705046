-- Erasure: values of named items are taken out of the log and of everything that was made of it. A row of the log says
-- of which members its bodies were emptied: null there is not what stood there.
ALTER TABLE eventus.events ADD COLUMN erased text[];

-- What is to be erased, in parts of at most 1,000 items; a part is worked off in chunks, from stage to stage, and goes on
-- where it was after a crash.
CREATE TABLE eventus.erasures (
    id           uuid        NOT NULL,
    part         integer     NOT NULL,
    -- Items: their collection, the name of its key field, their keys, those of their saved versions, and the fields
    -- (null: all but the key). Or users, whose traces as those who acted go.
    collection   text,
    key_field    text,
    keys         text[],
    saved        text[],
    fields       text[],
    users        uuid[],
    -- Position of its own event: what is erased stands below.
    upto         bigint      NOT NULL,
    stage        text        NOT NULL DEFAULT 'log' CHECK (stage IN ('log', 'saved', 'rest', 'copies', 'done')),
    -- Everything at or below is done, in this stage.
    done         bigint      NOT NULL DEFAULT 0,
    -- Items that were deleted with it.
    deleted      bigint      NOT NULL DEFAULT 0,
    -- What was changed, by place.
    events       bigint      NOT NULL DEFAULT 0,
    revisions    bigint      NOT NULL DEFAULT 0,
    versions     bigint      NOT NULL DEFAULT 0,
    answers      bigint      NOT NULL DEFAULT 0,
    dead_letters bigint      NOT NULL DEFAULT 0,
    sessions     bigint      NOT NULL DEFAULT 0,
    attempts     integer     NOT NULL DEFAULT 0,
    next_attempt timestamptz NOT NULL DEFAULT now(),
    error        text,
    created      timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (id, part)
);
CREATE INDEX erasures_due ON eventus.erasures (next_attempt) WHERE stage <> 'done';

-- Events whose message in the stream may still hold what was taken out of the log. It goes as soon as every consumer of
-- ours is past it.
CREATE TABLE eventus.stale_messages (
    position bigint      PRIMARY KEY,
    since    timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- Whether a member of a body is meant: one of these, or, where none is named, any but the one that is kept.
CREATE FUNCTION eventus.is_meant(member text, kept text, members text[]) RETURNS boolean
LANGUAGE sql IMMUTABLE AS $$
    SELECT member IS DISTINCT FROM kept AND (members IS NULL OR member = ANY(members))
$$;

-- The members of an event's bodies that are meant and hold something.
CREATE FUNCTION eventus.erasable(payload json, previous json, kept text, members text[]) RETURNS text[]
LANGUAGE sql IMMUTABLE AS $$
    SELECT coalesce(array_agg(DISTINCT m.key ORDER BY m.key), '{}')
    FROM unnest(ARRAY[payload, previous]) body
    CROSS JOIN LATERAL json_each(CASE WHEN json_typeof(body) = 'object' THEN body END) m
    WHERE m.value::text <> 'null' AND eventus.is_meant(m.key, kept, members)
$$;

-- A body with null in place of what is meant; members keep their order and the others their text.
CREATE FUNCTION eventus.emptied(body json, kept text, members text[]) RETURNS json
LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN json_typeof(body) = 'object' THEN (
        SELECT coalesce(json_object_agg(m.key,
            CASE WHEN eventus.is_meant(m.key, kept, members) THEN 'null'::json ELSE m.value END), '{}')
        FROM json_each(body) m
    ) ELSE body END
$$;

-- A body without the members that are meant.
CREATE FUNCTION eventus.without(body json, kept text, members text[]) RETURNS json
LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN json_typeof(body) = 'object' THEN (
        SELECT coalesce(json_object_agg(m.key, m.value), '{}')
        FROM json_each(body) m WHERE NOT eventus.is_meant(m.key, kept, members)
    ) ELSE body END
$$;

-- The body of an event without what was erased of it.
CREATE FUNCTION eventus.kept(body json, erased text[]) RETURNS json
LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN erased IS NULL THEN body ELSE eventus.without(body, NULL, erased) END
$$;

-- What a saved version keeps of an item, within the body of an event of the version, without the members that are meant.
CREATE FUNCTION eventus.without_saved(body json, kept text, members text[]) RETURNS json
LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN json_typeof(body) = 'object' AND json_typeof(body -> 'delta') = 'object' THEN (
        SELECT json_object_agg(m.key,
            CASE WHEN m.key = 'delta' THEN eventus.without(m.value, kept, members) ELSE m.value END)
        FROM json_each(body) m
    ) ELSE body END
$$;

-- Activity and revisions: custom events are no changes of items, whatever they are called; and what was erased is no
-- value of a revision.

CREATE OR REPLACE VIEW eventus.activity AS
SELECT id::bigint AS id, action::text AS action, "user", timestamp, ip::text AS ip, user_agent,
       collection::text AS collection, item::text AS item, origin::text AS origin
FROM directus_activity
UNION ALL
SELECT position, split_part(name, '.', 2), "user", time, ip, user_agent, collection, key, origin
FROM eventus.events
WHERE (name ~ '^(?!custom\.)[a-z_]+\.(create|update|delete)$' OR name = 'auth.login') AND NOT EXISTS (
    SELECT FROM directus_collections c WHERE c.collection = events.collection AND c.accountability IS NULL)
AND NOT (name = 'versions.update' AND 'delta' = ANY(fields) AND EXISTS (
    SELECT FROM directus_versions v WHERE v.id::text = events.key))
UNION ALL
SELECT e.position, 'version_save', e."user", e.time, e.ip, e.user_agent, v.collection::text, v.item::text, e.origin
FROM eventus.events e JOIN directus_versions v ON v.id::text = e.key
WHERE e.collection = 'directus_versions' AND e.name = 'versions.update' AND 'delta' = ANY(e.fields) AND NOT EXISTS (
    SELECT FROM directus_collections c WHERE c.collection = v.collection AND c.accountability IS NULL);

-- `data` of a change is the whole item after it: for each field what was last written. What stood in an item before
-- its first event is not in the log.
-- A revision names that of the item whose payload had its item in it: the cause of its event, where both are of one write.
-- Events of a write stand close together in the log, the cause first; so it is looked for backwards, and not far.
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
               FROM eventus.events p CROSS JOIN LATERAL json_each(p.payload) field
               WHERE p.collection = e.collection AND p.key = e.key AND p.position <= e.position
                 AND p.name ~ '^(?!custom\.)[a-z_]+\.(create|update)$'
                 AND p.position >= coalesce((
                     SELECT max(made.position) FROM eventus.events made
                     WHERE made.collection = e.collection AND made.key = e.key AND made.position <= e.position
                       AND made.name ~ '^(?!custom\.)[a-z_]+\.create$'
                 ), 0)
                 AND json_typeof(p.payload) = 'object'
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
