-- JSON that stands in a text column (fields with the special cast-json, for example `directus_files.tags`), as JSON.
-- A text that is none is shown as the text it is: one odd row must not make a list unreadable.
CREATE FUNCTION eventus.json_in_text(value text) RETURNS json
LANGUAGE plpgsql IMMUTABLE STRICT AS $$
BEGIN
    RETURN value::json;
EXCEPTION WHEN invalid_text_representation THEN
    RETURN to_json(value);
END
$$;
