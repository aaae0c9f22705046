"""The collections that writes are drawn over, beside those of the recorded answers: made once through the API of the
original, in a database that both sides then get a copy of."""

from surface import Request

WRITER_TOKEN = "compare-writer-token"


def key(kind, **more):
    schema = {"is_primary_key": True}
    if kind in ("integer", "bigInteger") and more.pop("counts", True):
        schema["has_auto_increment"] = True
    meta = {"special": ["uuid"]} if kind == "uuid" else {}
    name = more.pop("name", "id")
    return {"field": name, "type": kind, "schema": schema | more, "meta": meta}


def field(name, kind, special=None, needs=False, check=None, **schema):
    meta = {"special": special}
    if needs:
        meta["required"] = True
    if check:
        meta["validation"] = {"_and": [{name: check}]}
    return {"field": name, "type": kind, "schema": schema, "meta": meta}


def one(name, kind="integer", **schema):
    return field(name, kind, ["m2o"], **schema)


def many(name, kind="o2m"):
    return {"field": name, "type": "alias", "schema": None, "meta": {"special": [kind]}}


STAMPS = [
    field("created_on", "timestamp", ["date-created"]), field("changed_on", "timestamp", ["date-updated"]),
    field("created_by", "uuid", ["user-created"]), field("changed_by", "uuid", ["user-updated"]),
]

COLLECTIONS = {
    "w_people": ({}, [
        key("uuid"), field("name", "string", is_nullable=False), field("email", "string", is_unique=True),
        field("age", "integer", check={"_gte": 0}), one("boss", "uuid"), many("reports")]),
    "w_projects": ({}, [
        key("integer"), field("title", "string", is_nullable=False, max_length=30),
        field("code", "string", is_unique=True), field("status", "string", default_value="open"),
        field("budget", "decimal", numeric_precision=10, numeric_scale=2), one("owner", "uuid"), *STAMPS,
        many("steps"), many("notes"), many("musts"), many("skills", "m2m"), many("badges", "m2m"), many("parts", "m2a"),
        many("gallery", "files"), many("translations", "translations")]),
    "w_steps": ({"sort_field": "pos"}, [
        key("integer"), field("name", "string", needs=True), field("hours", "float", check={"_lte": 100}),
        field("pos", "integer"), one("project"), one("helper", "uuid"), field("changed_on", "timestamp", ["date-updated"]),
        many("tasks")]),
    "w_tasks": ({}, [
        key("uuid"), field("text", "string", is_nullable=False), field("done", "boolean", ["cast-boolean"]),
        one("step"), one("by", "uuid"), field("changed_on", "timestamp", ["date-updated"])]),
    "w_notes": ({}, [key("integer"), field("body", "text", is_nullable=False), one("project", is_nullable=False)]),
    "w_musts": ({}, [key("integer"), field("body", "text"), one("project", is_nullable=False)]),
    "w_skills": ({}, [key("integer"), field("name", "string", is_nullable=False, is_unique=True),
                      field("level", "integer"), many("projects", "m2m")]),
    "w_projects_skills": ({}, [key("integer"), one("w_projects_id"), one("w_skills_id"), field("sort", "integer"),
                               field("note", "string")]),
    "w_badges": ({}, [key("string", name="code", max_length=20), field("colour", "string")]),
    "w_projects_badges": ({}, [key("integer"), one("project"), one("badge", "string", max_length=20),
                               field("since", "date")]),
    "w_projects_parts": ({}, [key("integer"), one("w_projects_id"), field("item", "string"),
                              field("collection", "string"), field("sort", "integer"), field("hint", "string")]),
    "w_projects_files": ({}, [key("integer"), one("w_projects_id"), one("directus_files_id", "uuid")]),
    "w_projects_translations": ({}, [key("integer"), one("w_projects_id"),
                                     one("languages_code", "string", max_length=16), field("title", "string")]),
    "w_part_text": ({}, [key("integer"), field("text", "text", is_nullable=False), many("lines")]),
    "w_part_lines": ({}, [key("integer"), one("part"), field("line", "string")]),
    "w_part_link": ({}, [key("string", name="slug", max_length=40), field("url", "string")]),
    "w_solo": ({"singleton": True}, [
        key("integer"), field("title", "string"), field("n", "integer", default_value=3), one("owner", "uuid"),
        field("changed_on", "timestamp", ["date-updated"]), many("banners")]),
    "w_banners": ({}, [key("integer"), one("solo"), field("text", "string", is_nullable=False)]),
    "w_keyed": ({}, [key("string", name="code", max_length=12), field("label", "string"), field("n", "integer")]),
    "w_numbered": ({}, [key("integer", counts=False), field("label", "string")]),
    "w_values": ({}, [
        key("integer"), field("s", "string", is_nullable=False, default_value="none"), field("short", "string", max_length=5),
        field("tx", "text"), field("b", "boolean", ["cast-boolean"]), field("yes", "boolean", ["cast-boolean"], default_value=True),
        field("i", "integer"), field("many", "integer", is_nullable=False, default_value=7), field("bi", "bigInteger"),
        field("f", "float"), field("d", "decimal", numeric_precision=8, numeric_scale=2), field("da", "date"),
        field("ti", "time"), field("dt", "dateTime"), field("ts", "timestamp"), field("j", "json", ["cast-json"]),
        field("c", "csv", ["cast-csv"]), field("u", "uuid"), field("nu", "uuid", ["uuid"]), field("h", "hash", ["hash", "conceal"]),
        field("con", "string", ["conceal"]), field("uq", "string", is_unique=True),
        field("ds", "timestamp", ["cast-timestamp"]), field("only", "string", check={"_in": ["a", "b"]}),
        field("must", "string", needs=True, default_value="m")]),
}

SET_NULL, CASCADE = {"on_delete": "SET NULL"}, {"on_delete": "CASCADE"}


def link(collection, name, related, listed=None, junction=None, sort=None, deselect=None, delete=SET_NULL):
    meta = {"one_field": listed, "junction_field": junction, "sort_field": sort}
    if deselect:
        meta["one_deselect_action"] = deselect
    return {"collection": collection, "field": name, "related_collection": related, "meta": meta, "schema": delete}


RELATIONS = [
    link("w_people", "boss", "w_people", "reports", delete={}), link("w_projects", "owner", "w_people"),
    link("w_steps", "project", "w_projects", "steps", sort="pos"), link("w_steps", "helper", "w_people"),
    link("w_tasks", "step", "w_steps", "tasks"), link("w_tasks", "by", "w_people"),
    link("w_notes", "project", "w_projects", "notes", deselect="delete", delete=CASCADE),
    link("w_musts", "project", "w_projects", "musts", delete=CASCADE),
    link("w_projects_skills", "w_projects_id", "w_projects", "skills", "w_skills_id", sort="sort"),
    link("w_projects_skills", "w_skills_id", "w_skills", "projects", "w_projects_id"),
    link("w_projects_badges", "project", "w_projects", "badges", "badge", deselect="delete", delete=CASCADE),
    link("w_projects_badges", "badge", "w_badges", None, "project"),
    link("w_projects_parts", "w_projects_id", "w_projects", "parts", "item", sort="sort"),
    {"collection": "w_projects_parts", "field": "item", "related_collection": None,
     "meta": {"one_collection_field": "collection", "junction_field": "w_projects_id",
              "one_allowed_collections": ["w_part_text", "w_part_link", "w_people"]}},
    link("w_part_lines", "part", "w_part_text", "lines"),
    link("w_projects_files", "w_projects_id", "w_projects", "gallery", "directus_files_id"),
    link("w_projects_files", "directus_files_id", "directus_files", None, "w_projects_id"),
    link("w_projects_translations", "w_projects_id", "w_projects", "translations", "languages_code"),
    link("w_projects_translations", "languages_code", "languages", None, "w_projects_id"),
    link("w_solo", "owner", "w_people"), link("w_banners", "solo", "w_solo", "banners"),
]


def person(number):
    return f"00000000-0000-4000-8000-0000000a{number:04}"


def items():
    """Items with fixed keys; numbers that are counted come from the sequence, in this order."""
    yield "w_people", [{"id": person(n), "name": f"Person {n}", "email": f"p{n}@example.com", "age": 20 + n} for n in range(6)]
    yield "w_skills", [{"name": f"skill {n}", "level": n} for n in range(6)]
    yield "w_badges", [{"code": f"b{n}", "colour": ["red", "blue"][n % 2]} for n in range(4)]
    yield "w_part_text", [{"text": f"text {n}"} for n in range(3)]
    yield "w_part_lines", [{"part": 1 + n % 2, "line": f"line {n}"} for n in range(4)]
    yield "w_part_link", [{"slug": f"l{n}", "url": f"https://example.com/{n}"} for n in range(3)]
    yield "w_projects", [{"title": f"Project {n}", "code": f"c{n}", "budget": f"{n}00.50", "owner": person(n)} for n in range(5)]
    yield "w_steps", [{"name": f"step {n}", "hours": n, "pos": 1 + n // 5, "project": 1 + n % 5 if n < 12 else None}
                      for n in range(14)]
    yield "w_tasks", [{"id": f"00000000-0000-4000-8000-0000000b{n:04}", "text": f"task {n}", "done": n % 2 == 0,
                       "step": 1 + n % 7} for n in range(14)]
    yield "w_notes", [{"body": f"note {n}", "project": 1 + n % 4} for n in range(8)]
    yield "w_musts", [{"body": f"must {n}", "project": 1 + n % 4} for n in range(8)]
    yield "w_projects_skills", [{"w_projects_id": 1 + n % 4, "w_skills_id": 1 + n % 6, "sort": 1 + n // 4, "note": f"n{n}"}
                                for n in range(9)]
    yield "w_projects_badges", [{"project": 1 + n % 3, "badge": f"b{n % 4}", "since": "2024-01-02"} for n in range(6)]
    yield "w_projects_parts", [
        {"w_projects_id": 1, "collection": "w_part_text", "item": "1", "sort": 1},
        {"w_projects_id": 1, "collection": "w_part_link", "item": "l0", "sort": 2},
        {"w_projects_id": 2, "collection": "w_part_text", "item": "2", "sort": 1},
        {"w_projects_id": 3, "collection": "w_people", "item": person(1), "sort": 1}]
    yield "w_projects_files", [{"w_projects_id": 1 + n, "directus_files_id": f"00000000-0000-4000-8000-00000000060{1 + n}"}
                               for n in range(3)]
    yield "w_projects_translations", [{"w_projects_id": 1 + n % 3, "languages_code": ["en-US", "de-DE"][n % 2],
                                       "title": f"title {n}"} for n in range(5)]
    yield "w_keyed", [{"code": f"k{n}", "label": f"label {n}", "n": n} for n in range(6)]
    yield "w_numbered", [{"id": 10 * n, "label": f"label {n}"} for n in range(6)]
    yield "w_values", [{"uq": f"u{n}", "i": n, "s": f"s{n}", "h": "pw" if n == 1 else None, "con": "hidden" if n < 2 else None}
                       for n in range(6)]


RULES = [
    ("w_projects", "read", None, None, ["*"], None), ("w_people", "read", None, None, ["*"], None),
    ("w_steps", "read", None, None, ["*"], None), ("w_skills", "read", None, None, ["*"], None),
    ("w_projects_skills", "read", None, None, ["*"], None), ("w_notes", "read", None, None, ["*"], None),
    ("w_tasks", "read", None, None, ["*"], None), ("w_keyed", "read", {"n": {"_lt": 4}}, None, ["*"], None),
    ("w_values", "read", None, None, ["*"], None),
    ("w_projects", "create", None, {"budget": {"_lte": 1000}}, ["*"], {"status": "draft"}),
    ("w_projects", "update", {"status": {"_eq": "open"}}, {"budget": {"_lte": 1000}}, ["*"], {"budget": 5}),
    ("w_projects", "delete", {"id": {"_lte": 3}}, None, None, None),
    ("w_people", "create", None, None, ["name", "age"], {"age": 18}),
    ("w_people", "update", {"age": {"_lt": 24}}, None, ["name", "age"], None),
    ("w_steps", "create", None, {"hours": {"_nnull": True}}, ["*"], None), ("w_steps", "update", None, None, ["*"], None),
    ("w_steps", "delete", {"hours": {"_lt": 5}}, None, None, None),
    ("w_tasks", "create", None, None, ["id", "text", "step"], None), ("w_tasks", "update", {"done": {"_eq": True}}, None, ["*"], None),
    ("w_notes", "create", None, None, ["*"], None), ("w_notes", "delete", None, None, None, None),
    ("w_skills", "create", None, {"level": {"_gte": 1}}, ["*"], {"level": 1}),
    ("w_projects_skills", "create", None, None, ["*"], None), ("w_projects_skills", "update", None, None, ["*"], None),
    ("w_keyed", "create", None, {"n": {"_gt": 0}}, ["*"], {"n": 1}), ("w_keyed", "update", {"n": {"_lt": 4}}, {"n": {"_lt": 4}}, ["label", "n"], None),
    ("w_keyed", "delete", {"n": {"_eq": 1}}, None, None, None),
    ("w_values", "create", None, None, ["s", "i", "b", "d", "c", "j", "ts"], None),
    ("w_values", "update", None, {"i": {"_lt": 100}}, ["s", "i", "b", "d", "c", "j", "ts"], None),
]
POLICY, ROLE, USER, ACCESS = (f"00000000-0000-4000-8000-0000000c000{n}" for n in range(4))


def lay(side):
    """Makes all of it."""
    def post(path, body, method="POST"):
        answer = side.ask(Request(path, method=method, body=body))
        if answer.status >= 300:
            raise SystemExit(f"{method} {path}: {answer.status} {answer.text[:600]}")

    for name, (meta, fields) in COLLECTIONS.items():
        post("/collections", {"collection": name, "meta": meta, "schema": {}, "fields": fields})
    for relation in RELATIONS:
        post("/relations", relation)
    for collection, rows in items():
        post(f"/items/{collection}", rows)
    post("/items/w_people/" + person(1), {"boss": person(0)}, "PATCH")
    post("/items/w_people/" + person(2), {"boss": person(0)}, "PATCH")
    post("/items/w_solo", {"title": "Solo", "owner": person(0), "banners": [{"text": "A"}, {"text": "B"}]}, "PATCH")
    post("/policies", {"id": POLICY, "name": "Writer policy", "app_access": False})
    post("/roles", {"id": ROLE, "name": "Writer"})
    post("/access", {"id": ACCESS, "role": ROLE, "policy": POLICY, "sort": 1})
    post("/users", {"id": USER, "first_name": "Wri", "last_name": "Ter", "email": "writer@example.com", "role": ROLE,
                    "token": WRITER_TOKEN})
    post("/permissions", [
        {"policy": POLICY, "collection": collection, "action": action, "permissions": rows, "validation": validation,
         "fields": fields, "presets": presets}
        for collection, action, rows, validation, fields, presets in RULES])
