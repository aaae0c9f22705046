SELECT '[' || coalesce(string_agg(row_to_json(r)::text, ','), '') || ']' FROM (
  SELECT t.id, t.title, t.status, t.word_count, to_char(t.published_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:' || 'MI:' || 'SS.MS"Z"') AS published_at,
         (SELECT coalesce(json_agg(row_to_json(l)), '[]'::json) FROM (
            SELECT (SELECT row_to_json(g) FROM (SELECT g.id, g.name FROM tags g WHERE g.id = j.tags_id) g) AS tags_id
            FROM (SELECT * FROM articles_tags j WHERE j.articles_id = t.id ORDER BY j.id) j) l) AS tags
  FROM (SELECT * FROM articles WHERE status = 'published' ORDER BY published_at DESC, id LIMIT 25) t
) r;
