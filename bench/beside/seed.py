"""The data set, its collections and relations made through the API, its rows by SQL."""

import json
import time
import urllib.request

ROWS = """
INSERT INTO authors (name, email) SELECT 'author ' || n, 'author' || n || '@example.com' FROM generate_series(1, 1000) n;
INSERT INTO tags (name) SELECT 'tag ' || n FROM generate_series(1, 500) n;
INSERT INTO articles (title, slug, content, status, word_count, price, published_at, author)
SELECT 'Title ' || n, 'article-' || n, repeat('lorem ipsum ', 40), (ARRAY['published','draft','archived'])[1 + n % 3],
       n % 3000, (n % 50000) / 100.0, timestamptz '2026-01-01Z' - n * interval '1 minute', 1 + n % 1000
FROM generate_series(1, 100000) n;
INSERT INTO articles_tags (articles_id, tags_id)
SELECT 1 + n % 100000, 1 + (n * 7 + n / 100000) % 500 FROM generate_series(0, 199999) n;
VACUUM ANALYZE authors; VACUUM ANALYZE tags; VACUUM ANALYZE articles; VACUUM ANALYZE articles_tags;
"""

INDEXED = {"is_indexed": True}


def column(field, kind, **schema):
    return {"field": field, "type": kind, "schema": schema}


def alias(field, special):
    return {"field": field, "type": "alias", "meta": {"special": [special]}}


COLLECTIONS = {
    "authors": [column("name", "string", **INDEXED), column("email", "string"), alias("articles", "o2m")],
    "tags": [column("name", "string", **INDEXED)],
    "articles": [
        column("title", "string"), column("slug", "string"), column("content", "text"),
        column("status", "string", **INDEXED), column("word_count", "integer"), column("price", "decimal"),
        column("published_at", "timestamp", **INDEXED), column("author", "integer", **INDEXED), alias("tags", "m2m"),
    ],
    "articles_tags": [column("articles_id", "integer", **INDEXED), column("tags_id", "integer", **INDEXED)],
}

RELATIONS = [
    {"collection": "articles", "field": "author", "related_collection": "authors",
     "meta": {"one_field": "articles"}, "schema": {"on_delete": "SET NULL"}},
    {"collection": "articles_tags", "field": "articles_id", "related_collection": "articles",
     "meta": {"one_field": "tags", "junction_field": "tags_id"}, "schema": {"on_delete": "CASCADE"}},
    {"collection": "articles_tags", "field": "tags_id", "related_collection": "tags",
     "meta": {"junction_field": "articles_id"}, "schema": {"on_delete": "CASCADE"}},
]


def call(base, token, path, body=None, patience=0, method=None, timeout=60):
    """JSON in, JSON out; tries again for `patience` seconds."""
    headers = {"authorization": "Bearer " + token, "content-type": "application/json"}
    sent = None if body is None else json.dumps(body).encode()
    end = time.time() + patience
    while True:
        try:
            request = urllib.request.Request(base + path.replace(" ", "%20"), sent, headers, method=method)
            text = urllib.request.urlopen(request, timeout=timeout).read()
            return json.loads(text) if text else None
        except urllib.error.HTTPError as error:
            text = error.read().decode(errors="replace")
            if time.time() > end:
                raise SystemExit(f"{base}{path}: {error.code} {text}") from error
        except OSError as error:
            if time.time() > end:
                raise SystemExit(f"{base}{path}: {error}") from error
        time.sleep(0.1)


def mark(database, base, token):
    """Every text of the articles gets an index of its words; false where Eventus knows no such mark."""
    options = {"eventus_search": {"languages": ["english"]}}
    call(base, token, "/fields/articles/id", {"meta": {"options": options}}, method="PATCH")
    try:
        # The indexes are made beside the traffic; until then nothing can be sorted so.
        call(base, token, "/items/articles?fields=id&search=Title 77777&sort=-_relevance", patience=60)
    except SystemExit:
        return False
    database.psql("VACUUM ANALYZE articles")
    return True


def seed(database, base, token):
    """Makes the data set."""
    for name, fields in COLLECTIONS.items():
        call(base, token, "/collections", {"collection": name, "schema": {}, "meta": {}, "fields": fields})
    for relation in RELATIONS:
        call(base, token, "/relations", relation)
    for statement in ROWS.split(";"):
        if statement.strip():
            database.psql(statement)
