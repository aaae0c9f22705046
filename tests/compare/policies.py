"""Policy sets, drawn from a seed: users with a static token each, and what their policies allow."""

import random

from filters import Conditions
from surface import Request

def token(number):
    return f"policy-set-token-{number:03}"


ACTIONS = ("read", "create", "update", "delete")


class Policies:
    """Draws what policies allow in a world, and lays them through the API of a side."""

    def __init__(self, seed, collections):
        self.random = random.Random(seed)
        self.collections = collections
        self.conditions = Conditions(self.random, collections)

    def sets(self, count):
        return [self.one(number) for number in range(count)]

    def one(self, number):
        policies = [self.policy() for _ in range(self.random.choice([1, 1, 2, 3]))]
        # Held by the user, by his role, or by the role above it.
        held = [self.random.choice(["user", "user", "role", "parent"]) for _ in policies]
        return {"number": number, "token": token(number), "policies": policies, "held": held,
                "app": self.random.random() < 0.15}

    def policy(self):
        share = self.random.choice([0.6, 0.85, 1.0])
        found = []
        for collection in self.collections.values():
            if self.random.random() > share:
                continue
            for action in ACTIONS:
                if action != "read" and (collection.name.startswith("directus_") or self.random.random() < 0.4):
                    continue
                times = 2 if action in ("read", "update") and self.random.random() < 0.2 else 1
                found += [self.permission(collection, action) for _ in range(times)]
        return found

    def permission(self, collection, action):
        made = {"collection": collection.name, "action": action, "fields": self.fields(collection, action),
                "permissions": None, "validation": None, "presets": None}
        if action != "create" and self.random.random() < 0.55:
            made["permissions"] = self.rule(collection)
        if action in ("create", "update"):
            if self.random.random() < 0.3:
                made["validation"] = self.validation(collection)
            if self.random.random() < 0.3:
                made["presets"] = self.presets(collection)
        return made

    def fields(self, collection, action):
        names = list(collection.fields)
        if action == "delete" or self.random.random() < 0.45:
            return ["*"]
        some = self.random.sample(names, max(1, round(len(names) * self.random.choice([0.4, 0.7, 0.9]))))
        return sorted({*some, collection.key} if self.random.random() < 0.9 else some)

    def rule(self, collection):
        roll = self.random.random()
        if roll < 0.12:
            stamps = [field for field in collection.fields.values() if "user-created" in field.special]
            if stamps:
                return {stamps[0].name: {"_eq": "$CURRENT_USER"}}
        if roll < 0.6:
            drawn = [self.conditions.condition(collection, 2) for _ in range(self.random.choice([1, 2, 3]))]
            drawn = [one[0] for one in drawn if one]
            joined = self.random.choice(["_or", "_or", "_and"])
            return {joined: drawn} if len(drawn) > 1 else drawn[0] if drawn else None
        # Half of the items or more: what is neither the greatest nor the least key.
        return {collection.key: {"_nin": [self.random.choice(collection.items)[collection.key]]}} \
            if collection.items else None

    def validation(self, collection):
        drawn = self.conditions.condition(collection, depth=0)
        return drawn[0] if drawn and "(" not in str(drawn[0]) else None

    def presets(self, collection):
        plain = [field for field in collection.plain() if field.type in ("string", "text", "integer", "boolean")
                 and not field.key and not field.kind and not field.is_secret()]
        items = collection.items
        if not plain or not items:
            return None
        field = self.random.choice(plain)
        value = self.random.choice(items).get(field.name)
        return None if value is None else {field.name: value}


def lay(side, sets):
    """Makes users, roles and policies through the API; none of an earlier time is left."""
    def call(method, path, body=None):
        answer = side.ask(Request(path, method=method, body=body), once=True)
        if answer.status not in (200, 204):
            raise SystemExit(f"{method} {path}: {answer.status} {answer.text[:400]}")
        return (answer.json() or {}).get("data") if answer.text else None

    def gone(path, field):
        found = side.get(path, **{"filter": '{"%s":{"_starts_with":"policy-set-"}}' % field, "fields": "id", "limit": -1})
        if found:
            call("DELETE", path, [one["id"] for one in found])

    for path, field in (("/users", "email"), ("/roles", "name"), ("/policies", "name")):
        gone(path, field)
    for made in sets:
        name = f"policy-set-{made['number']:03}"
        parent = call("POST", "/roles", {"name": name + "-parent"})["id"]
        role = call("POST", "/roles", {"name": name, "parent": parent})["id"]
        user = call("POST", "/users", {"email": name + "@example.com", "role": role, "token": made["token"]})["id"]
        holder = {"user": {"user": user}, "role": {"role": role}, "parent": {"role": parent}}
        for sort, (permissions, held) in enumerate(zip(made["policies"], made["held"])):
            policy = call("POST", "/policies", {"name": f"{name}-{sort}", "app_access": made["app"]})["id"]
            call("POST", "/access", {"policy": policy, "sort": sort + 1, **holder[held]})
            if permissions:
                call("POST", "/permissions?fields=id", [{**one, "policy": policy} for one in permissions])
