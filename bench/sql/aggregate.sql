SELECT '[' || coalesce(string_agg(row_to_json(r)::text, ','), '') || ']' FROM (
  SELECT g.status, json_build_object('word_count', g.word_count::text) AS avg, g.count::text AS count
  FROM (SELECT status, avg(word_count) AS word_count, count(*) AS count FROM articles GROUP BY status ORDER BY status) g
) r;
