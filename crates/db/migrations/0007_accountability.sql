-- Activity and revisions leave out what a collection does not want shown (`accountability`: all, activity, or neither).
-- The log has it all the same.

CREATE OR REPLACE VIEW eventus.activity AS
SELECT id::bigint AS id, action::text AS action, "user", timestamp, ip::text AS ip, user_agent,
       collection::text AS collection, item::text AS item, origin::text AS origin
FROM directus_activity
UNION ALL
SELECT position, split_part(name, '.', 2), "user", time, ip, user_agent, collection, key, origin
FROM eventus.events
WHERE (name ~ '\.(create|update|delete)$' OR name = 'auth.login') AND NOT EXISTS (
    SELECT FROM directus_collections c WHERE c.collection = events.collection AND c.accountability IS NULL);

-- `data` of a change is the whole item after it: for each field what was last written. What stood in an item before
-- its first event is not in the log.
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
       e.payload, NULL::bigint, NULL::uuid
FROM eventus.events e
WHERE e.name ~ '\.(create|update)$' AND e.payload IS NOT NULL AND NOT EXISTS (
    SELECT FROM directus_collections c WHERE c.collection = e.collection AND c.accountability IS DISTINCT FROM 'all');
