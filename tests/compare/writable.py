"""What writes have to know of a side beyond what reads know: rules of fields, and which system collections take part."""

import re
from dataclasses import dataclass

import surface

SYSTEM = {**surface.SYSTEM, "directus_policies": "/policies", "directus_permissions": "/permissions",
          "directus_access": "/access", "directus_presets": "/presets", "directus_translations": "/translations"}
# Of system collections only these fields are written: the others are secrets, or the server's own.
FIELDS = {
    "directus_users": ["id", "first_name", "last_name", "email", "title", "description", "location", "tags", "role",
                       "policies", "language"],
    "directus_roles": ["id", "name", "icon", "description", "parent", "children", "policies", "users"],
    "directus_policies": ["id", "name", "icon", "description", "admin_access", "app_access", "permissions", "users",
                          "roles"],
    "directus_permissions": ["id", "policy", "collection", "action", "permissions", "fields", "presets"],
    "directus_access": ["id", "role", "user", "policy", "sort"],
    "directus_files": ["id", "title", "description", "location", "tags", "folder"],
    "directus_folders": ["id", "name", "parent"],
    "directus_presets": ["id", "bookmark", "user", "role", "collection", "search", "layout", "icon"],
    "directus_translations": ["id", "language", "key", "value"],
}
CHOICES = {
    ("directus_permissions", "collection"): ["w_steps", "w_people", "books"],
    ("directus_permissions", "action"): ["create", "read", "update", "delete"],
    ("directus_permissions", "fields"): [["*"], ["id", "name"], []],
    ("directus_permissions", "permissions"): [{}, {"id": {"_eq": 1}}, {"_and": [{"id": {"_nnull": True}}]}],
    ("directus_permissions", "presets"): [{}, {"name": "x"}],
    ("directus_presets", "collection"): ["w_steps", "books"],
    ("directus_presets", "layout"): ["tabular", "cards"],
    ("directus_users", "email"): ["one@example.com", "Two@Example.com", "three@example.org"],
    ("directus_users", "language"): ["en-US", "de-DE"],
    ("directus_users", "tags"): [["a"], ["x", "y"], []],
    ("directus_files", "tags"): [["a"], ["x", "y"], []],
    ("directus_roles", "icon"): ["star"], ("directus_policies", "icon"): ["star"], ("directus_presets", "icon"): ["star"],
    ("directus_translations", "language"): ["en-US", "de-DE", "fr-FR"],
    ("directus_policies", "admin_access"): [True, False], ("directus_policies", "app_access"): [True, False],
}
FIXED = re.compile(r"^00000000-0000-4000-8000-")
# A server sets these by itself, or the writer of the item does.
STAMPS = {"date-created", "date-updated", "user-created", "user-updated", "role-created", "role-updated"}


@dataclass
class Rules(surface.Field):
    """A field, and what its values have to keep to."""
    nullable: bool = True
    needed: bool = False
    unique: bool = False
    longest: int = 0
    digits: int = 0
    has_default: bool = False
    choices: tuple = ()
    refused: tuple = ()

    def must(self):
        """It has to be given when an item is made."""
        return (not self.nullable or self.needed) and not self.has_default


def ruled(field, described):
    schema, meta = described.get("schema") or {}, described.get("meta") or {}
    rules = Rules(**vars(field))
    rules.nullable = schema.get("is_nullable", True) is not False
    rules.unique = bool(schema.get("is_unique")) and not rules.key
    rules.needed = bool(meta.get("required"))
    rules.longest = schema.get("max_length") or 0 if field.type == "string" else 0
    rules.digits = schema.get("numeric_precision") or 0
    rules.has_default = schema.get("default_value") is not None or bool(schema.get("has_auto_increment"))
    rules.choices = tuple(CHOICES.get((field.collection, field.name), ()))
    for one in (meta.get("validation") or {}).get("_and", []):
        (operator, bound), = one[field.name].items()
        if operator == "_gte":
            rules.refused, rules.choices = (bound - 1, bound - 100), (bound, bound + 5, None)
        elif operator == "_lte":
            rules.refused, rules.choices = (bound + 1, bound + 500), (bound, bound - 5, 0.5)
        elif operator == "_in":
            rules.refused, rules.choices = ("zzz",), (*bound, None)
    if field.special & {"user-created", "user-updated", "role-created", "role-updated"}:
        rules.kind = ""
    return rules


def world(left, right=None):
    """The collections that can be written, and what was left out of them."""
    collections, left_out = surface.world(left, right, system=SYSTEM)
    fields = surface.described(left)
    for name, collection in list(collections.items()):
        kept = FIELDS.get(name)
        for field in list(collection.fields):
            if kept is not None and field not in kept or collection.fields[field].type in ("binary", "unknown"):
                del collection.fields[field]
            else:
                collection.fields[field] = ruled(collection.fields[field], fields[(name, field)])
        if name.startswith("directus_") and collection.fields[collection.key].type == "uuid":
            # The administrator, who asks all this, stays as he is.
            collection.items = [item for item in collection.items if FIXED.match(str(item[collection.key]))]
        collection.by_key = {str(item[collection.key]): item for item in collection.items}
    for collection in collections.values():
        for name in [name for name, field in collection.fields.items() if field.related and field.related not in collections]:
            del collection.fields[name]
    return collections, left_out
