"""What a mutation names: the items in it, and how often each of them stands there."""

import collections


class Mentions:
    """Counts the items of one mutation, along the relations."""

    def __init__(self, world):
        self.world, self.found = world, collections.Counter()

    @classmethod
    def of(cls, mutation, world):
        """{(collection, key): how often}"""
        it, collection = cls(world), world.get(mutation.collection)
        body = mutation.body
        if collection is None:
            return it.found
        if isinstance(body, dict) and isinstance(body.get("keys"), list):
            for key in body["keys"]:
                it.name(collection, key)
                it.below(collection, body.get("data"))
        elif isinstance(body, list):
            for one in body:
                it.item(collection, one)
        else:
            payload = body.get("data", body) if isinstance(body, dict) and "query" in body else body
            # One change of many items is made to each of them.
            for _ in range(2 if payload is not body else 1):
                it.item(collection, payload)
            rest = mutation.path[len(collection.path) + 1:]
            if rest:
                it.name(collection, rest)
        return it.found

    def name(self, collection, key):
        if collection is not None and isinstance(key, (str, int)):
            self.found[collection.name, str(key)] += 1

    def item(self, collection, value):
        """A key, or an object that may have one."""
        if isinstance(value, dict) and collection is not None:
            self.name(collection, value.get(collection.key))
            self.below(collection, value)
        else:
            self.name(collection, value)

    def below(self, collection, payload):
        if not isinstance(payload, dict):
            return
        for name, value in payload.items():
            field = collection.fields.get(name)
            if field is None or not field.kind:
                continue
            related = payload.get(field.names_collection) if field.kind == "any" else field.related
            there = self.world.get(related) if isinstance(related, str) else None
            parts = value.values() if isinstance(value, dict) and field.is_list() else [value]
            for part in parts:
                for one in part if field.is_list() and isinstance(part, list) else [part]:
                    self.item(there, one)
