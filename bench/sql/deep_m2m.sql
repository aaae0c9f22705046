SELECT '[' || coalesce(string_agg(row_to_json(r)::text, ','), '') || ']' FROM (
  SELECT t.id, t.title, t.status, t.word_count, to_char(t.published_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:' || 'MI:' || 'SS.MS"Z"') AS published_at
  FROM (SELECT t.* FROM articles t WHERE t.id IN (
          SELECT j.articles_id FROM articles_tags j JOIN tags g ON g.id = j.tags_id WHERE g.name = 'tag 77')
        ORDER BY t.published_at DESC, t.id LIMIT 25) t
) r;
