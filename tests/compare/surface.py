"""The two sides over HTTP, and what can be learned about one from outside: collections, fields, relations, items."""

import http.client
import json
import threading
import urllib.parse
from dataclasses import dataclass, field as member

SYSTEM = {"directus_users": "/users", "directus_files": "/files", "directus_folders": "/folders",
          "directus_roles": "/roles"}
SECRET = {"conceal", "hash", "encrypt"}
LISTS = ("o2m", "m2m", "m2a", "files", "translations")


@dataclass
class Answer:
    status: int
    text: str

    def json(self):
        try:
            return json.loads(self.text)
        except ValueError:
            return None

    def code(self):
        body = self.json()
        try:
            return body["errors"][0]["extensions"]["code"]
        except (KeyError, IndexError, TypeError):
            return ""


@dataclass
class Request:
    """One question, the same to both sides."""
    path: str
    params: list = member(default_factory=list)   # pairs of texts
    method: str = "GET"
    body: object = None
    collection: str = ""
    family: str = ""
    covers: list = member(default_factory=list)   # (operator, type, relation, depth)
    alias: dict = member(default_factory=dict)
    ordered_below: bool = False

    def target(self):
        query = urllib.parse.urlencode([tuple(pair) for pair in self.params], quote_via=urllib.parse.quote)
        return self.path + ("?" + query if query else "")

    def readable(self):
        query = "&".join(f"{name}={value}" for name, value in self.params)
        body = " " + json.dumps(self.body, ensure_ascii=False) if self.body is not None else ""
        return f"{self.method} {self.path}{'?' + query if query else ''}{body}"


class Side:
    """One base URL. Connections are kept, one per thread."""

    def __init__(self, url, token):
        self.url, self.token, self.kept = url.rstrip("/"), token, threading.local()

    def ask(self, request, once=False):
        """`once`: a lost connection is no reason to ask again, as the request may have done its work; so a new one."""
        if once:
            self.kept.link = None
        parts = urllib.parse.urlsplit(self.url)
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        body = None
        if request.body is not None:
            body = json.dumps(request.body, ensure_ascii=False).encode()
            headers["Content-Type"] = "application/json"
        for _ in range(1 if once else 2):
            link = getattr(self.kept, "link", None)
            if link is None:
                link = self.kept.link = http.client.HTTPConnection(parts.hostname, parts.port, timeout=60)
            try:
                link.request(request.method, parts.path + request.target(), body, headers)
                answer = link.getresponse()
                return Answer(answer.status, answer.read().decode("utf-8", "replace"))
            except (http.client.HTTPException, OSError):
                link.close()
                self.kept.link = None
        return Answer(0, "no answer")

    def get(self, path, **params):
        answer = self.ask(Request(path, [(name, str(value)) for name, value in params.items()]))
        if answer.status != 200:
            raise SystemExit(f"{self.url}{path} answers {answer.status}: {answer.text[:300]}")
        return answer.json()["data"]


@dataclass
class Field:
    collection: str
    name: str
    type: str
    special: set
    key: bool = False
    kind: str = ""            # m2o, file, self, any | o2m, m2m, m2a, files, translations
    related: str = ""         # the collection it leads to; of a list that of the other side of its foreign key
    by: str = ""              # of a list: the field over there
    names_collection: str = ""  # of a many-to-any: the field that names the collection
    allowed: tuple = ()

    def is_list(self):
        return self.kind in LISTS

    def is_secret(self):
        return bool(self.special & SECRET) or self.type == "hash"


@dataclass
class Collection:
    name: str
    path: str
    singleton: bool
    sort_field: str
    fields: dict = member(default_factory=dict)
    items: list = member(default_factory=list)
    by_key: dict = member(default_factory=dict)
    strange: bool = False     # it has fields of types that the language doesn't know

    @property
    def key(self):
        return next(name for name, field in self.fields.items() if field.key)

    def plain(self):
        return [field for field in self.fields.values() if field.type != "alias"]

    def relations(self):
        return [field for field in self.fields.values() if field.kind]


def described(side):
    """The fields by collection and name with their types, as a side describes them."""
    return {(one["collection"], one["field"]): one for one in side.get("/fields")}


def world(side, other=None, most=400, system=None):
    """What there is to ask about. Fields that the two sides describe otherwise are left out; the second value lists
    them. `system`: paths of the system collections that take part."""
    system = SYSTEM if system is None else system
    fields, theirs, left_out = described(side), described(other) if other else None, []
    collections = {}
    for one in side.get("/collections"):
        name, meta = one["collection"], one.get("meta") or {}
        if one.get("schema") is None or (name.startswith("directus_") and name not in system):
            continue
        path = system.get(name, f"/items/{urllib.parse.quote(name)}")
        collections[name] = Collection(name, path, bool(meta.get("singleton")), meta.get("sort_field"))
    for (collection, name), one in fields.items():
        if collection not in collections:
            continue
        if theirs is not None and theirs.get((collection, name), {}).get("type") != one["type"]:
            there = theirs.get((collection, name), {}).get("type", "missing")
            left_out.append(f"{collection}.{name}: {one['type']} / {there}")
            continue
        if one["type"] == "unknown":
            left_out.append(f"{collection}.{name}: unknown")
            collections[collection].strange = True
            continue
        special = set((one.get("meta") or {}).get("special") or [])
        if one["type"] == "alias" and not special & set(LISTS):
            continue
        key = bool((one.get("schema") or {}).get("is_primary_key"))
        collections[collection].fields[name] = Field(collection, name, one["type"], special, key)
    linked(side.get("/relations"), collections)
    for name in [name for name, one in collections.items() if not any(f.key for f in one.fields.values())]:
        del collections[name]
    for one in collections.values():
        for name in [name for name, field in one.fields.items() if field.type == "alias" and not field.kind]:
            del one.fields[name]
        sample(side, one, most)
    return collections, left_out


def linked(relations, collections):
    for one in relations:
        meta, here = one.get("meta") or {}, collections.get(one["collection"])
        field = here.fields.get(one["field"]) if here else None
        if field is None:
            continue
        if meta.get("one_allowed_collections"):
            field.kind, field.names_collection = "any", meta["one_collection_field"]
            field.allowed = tuple(name for name in meta["one_allowed_collections"] if name in collections)
        elif one.get("related_collection") in collections:
            field.related = one["related_collection"]
            field.kind = "self" if field.related == field.collection else "m2o"
            field.kind = "file" if field.related == "directus_files" else field.kind
        there = collections.get(one.get("related_collection"))
        listed = there.fields.get(meta.get("one_field")) if there else None
        if listed is not None and listed.type == "alias":
            listed.kind = next(kind for kind in LISTS if kind in listed.special)
            listed.related, listed.by = one["collection"], one["field"]
            if listed.kind == "o2m" and listed.related == listed.collection:
                listed.kind = "o2m"


def sample(side, collection, most):
    params = {"fields": "*"} if collection.singleton else {"fields": "*", "limit": most, "sort": collection.key}
    items = side.get(collection.path, **params)
    items = [items] if isinstance(items, dict) else items
    collection.items = [item for item in items if item.get(collection.key) is not None]
    collection.by_key = {str(item[collection.key]): item for item in collection.items}
