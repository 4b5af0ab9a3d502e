"""What the resources are filled with: Faker's words, chosen by content.

    value = f(seed, resource, id, field)

so the same id is the same person in every run with that seed, whatever was asked for before, and in whatever order; a
field added tomorrow changes none of today's. Nothing is drawn from a stream, and so Faker's own generator is not used:
the words are its lists, the choice is ours. A record costs about 20 microseconds and is not kept until somebody asks.

References hold: `userId` of an order is a user that the server began with, and can be told without making the order.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta

from mockserver.chance import Chance
from mockserver.resource_names import REFERENCES
from mockserver.resources.words import words

Record = dict[str, object]

# Dates are counted from here and not from today: a record is the same tomorrow.
EPOCH = datetime(2024, 1, 1, tzinfo=UTC)
TEN_YEARS = 10 * 365 * 86400

_THINGS = ("chair", "desk", "lamp", "kettle", "umbrella", "bicycle", "clock", "notebook", "backpack", "headphones")


class Population:
    """Makes records.

    Args:
        seed: decides every value.
        sizes: how many records each resource begins with; checked (see `resource_names`).
    """

    def __init__(self, seed: int, sizes: Mapping[str, int]) -> None:
        self._chance = Chance(seed)
        self._sizes = sizes
        self.references: dict[str, Mapping[str, str]] = {name: self._references(name) for name in sizes}

    def _references(self, name: str) -> Mapping[str, str]:
        wanted = REFERENCES.get(name, {})
        if name == "orders" and self._sizes.get("products"):
            return {**wanted, "productId": "products"}
        return {field: other for field, other in wanted.items() if other in self._sizes}

    def make(self, resource: str, number: int) -> Record:
        """The record with this id."""
        fields = _Fields(self._chance, resource, number)
        referred = {field: self.refer(resource, number, field) for field in self.references[resource]}
        return {"id": number, **referred, **_KINDS.get(resource, _make_item)(fields)}

    def refer(self, resource: str, number: int, field: str) -> int:
        """The id that this field of the record refers to."""
        size = max(1, self._sizes[self.references[resource][field]])
        return _Fields(self._chance, resource, number).whole(field, 1, size)


class _Fields:
    """The choices for one record."""

    def __init__(self, chance: Chance, resource: str, number: int) -> None:
        self._chance = chance
        self._about = (resource, number)
        self.number = number
        self.words = words()

    def whole(self, field: str, low: int, high: int) -> int:
        return low + self._chance.number("record", *self._about, field) % (high - low + 1)

    def pick(self, field: str, of: Sequence[str]) -> str:
        return of[self.whole(field, 0, len(of) - 1)]

    def moment(self, field: str) -> str:
        moment = EPOCH - timedelta(seconds=self.whole(field, 0, TEN_YEARS))
        return moment.isoformat().replace("+00:00", "Z")

    def money(self, field: str) -> str:
        return f"{self.whole(field, 100, 99_999) / 100:.2f}"

    def person(self) -> str:
        return f"{self.pick('first', self.words.first_names)} {self.pick('last', self.words.last_names)}"

    def sentence(self, field: str) -> str:
        chosen = (self.pick(f"{field}.{place}", self.words.words) for place in range(self.whole(field, 5, 9)))
        return " ".join(chosen).capitalize() + "."

    def phrase(self, field: str) -> str:
        parts = (self.pick(f"{field}.{place}", each) for place, each in enumerate(self.words.phrases))
        return " ".join(parts)


def _make_user(fields: _Fields) -> Record:
    name = fields.person()
    login = f"{name.lower().replace(' ', '.').replace(chr(39), '')}.{fields.number}"
    return {
        "name": name,
        "username": login,
        "email": f"{login}@example.com",
        "city": fields.pick("city", fields.words.first_names) + fields.pick("suffix", fields.words.towns),
        "company": f"{fields.pick('company', fields.words.last_names)} {fields.pick('form', fields.words.firms)}",
        "active": fields.whole("active", 1, 100) <= 80,
        "createdAt": fields.moment("createdAt"),
    }


def _make_order(fields: _Fields) -> Record:
    return {
        "item": fields.phrase("item"),
        "quantity": fields.whole("quantity", 1, 9),
        "amount": fields.money("amount"),
        "currency": "EUR",
        "status": fields.pick("status", ("open", "paid", "shipped", "returned")),
        "createdAt": fields.moment("createdAt"),
    }


def _make_product(fields: _Fields) -> Record:
    return {
        "name": f"{fields.pick('colour', fields.words.colours)} {fields.pick('thing', _THINGS)}",
        "description": fields.sentence("description"),
        "price": fields.money("price"),
        "currency": "EUR",
        "stock": fields.whole("stock", 0, 500),
        "createdAt": fields.moment("createdAt"),
    }


def _make_post(fields: _Fields) -> Record:
    return {
        "title": fields.phrase("title"),
        "body": " ".join(fields.sentence(f"body.{place}") for place in range(3)),
        "createdAt": fields.moment("createdAt"),
    }


def _make_comment(fields: _Fields) -> Record:
    return {"name": fields.person(), "body": fields.sentence("body"), "createdAt": fields.moment("createdAt")}


def _make_todo(fields: _Fields) -> Record:
    return {"title": fields.sentence("title"), "completed": fields.whole("completed", 0, 1) == 1}


def _make_item(fields: _Fields) -> Record:
    return {
        "name": fields.phrase("name"),
        "description": fields.sentence("description"),
        "createdAt": fields.moment("createdAt"),
    }


_KINDS: dict[str, Callable[[_Fields], Record]] = {
    "users": _make_user,
    "orders": _make_order,
    "products": _make_product,
    "posts": _make_post,
    "comments": _make_comment,
    "todos": _make_todo,
}
