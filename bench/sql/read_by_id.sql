\set key random(1, 100000)
SELECT row_to_json(r)::text FROM (
  SELECT id, title, slug, content, status, word_count, price::text AS price,
         to_char(t.published_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:' || 'MI:' || 'SS.MS"Z"') AS published_at, author
  FROM articles t WHERE id = :key
) r;
