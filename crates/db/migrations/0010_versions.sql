-- What a version kept when it was saved is a revision of its item, as in the original: it is read from the change of the
-- version. It goes with the version; then the change is one of a version like any other.

CREATE OR REPLACE VIEW eventus.activity AS
SELECT id::bigint AS id, action::text AS action, "user", timestamp, ip::text AS ip, user_agent,
       collection::text AS collection, item::text AS item, origin::text AS origin
FROM directus_activity
UNION ALL
SELECT position, split_part(name, '.', 2), "user", time, ip, user_agent, collection, key, origin
FROM eventus.events
WHERE (name ~ '\.(create|update|delete)$' OR name = 'auth.login') AND NOT EXISTS (
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
       CASE WHEN e.name ~ '\.create$' THEN e.payload ELSE (
           SELECT json_object_agg(last.key, last.value)
           FROM (
               SELECT DISTINCT ON (field.key) field.key, field.value
               FROM eventus.events p CROSS JOIN LATERAL json_each(p.payload) field
               WHERE p.collection = e.collection AND p.key = e.key AND p.position <= e.position
                 AND p.position >= coalesce((
                     SELECT max(made.position) FROM eventus.events made
                     WHERE made.collection = e.collection AND made.key = e.key AND made.position <= e.position
                       AND made.name ~ '\.create$'
                 ), 0)
                 AND json_typeof(p.payload) = 'object'
               ORDER BY field.key, p.position DESC
           ) last
       ) END,
       e.payload, CASE WHEN e.causation_id IS NOT NULL AND e.batch_index > 0 THEN (
           SELECT p.position FROM eventus.events p
           WHERE p.position < e.position AND p.position >= e.position - e.batch_index - 10000
             AND p.id = e.causation_id AND p.batch_id = e.batch_id AND p.name ~ '\.(create|update)$'
           ORDER BY p.position DESC LIMIT 1
       ) END, NULL::uuid
FROM eventus.events e
WHERE e.name ~ '\.(create|update)$' AND e.payload IS NOT NULL AND NOT EXISTS (
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
