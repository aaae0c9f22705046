SELECT '[' || coalesce(string_agg(row_to_json(r)::text, ','), '') || ']' FROM (
  SELECT t.id, t.title, t.status, t.word_count, to_char(t.published_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:' || 'MI:' || 'SS.MS"Z"') AS published_at
  FROM (SELECT * FROM articles WHERE status = 'published' ORDER BY published_at DESC, id LIMIT 25) t
) r;
