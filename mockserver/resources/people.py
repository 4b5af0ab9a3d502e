"""What the resources are filled with: Faker's data, keyed by content.

    record = f(seed, resource, id)

so the same id is the same person in every run with that seed, whatever was asked for before, and in whatever order.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta

from faker import Faker

from mockserver.chance import Chance

Record = dict[str, object]

# Dates are counted from here and not from today: a record is the same tomorrow.
EPOCH = datetime(2024, 1, 1, tzinfo=UTC)
TEN_YEARS = 10 * 365 * 86400


class Population:
    """Makes records. Not for several threads at once: one Faker is seeded anew for each record."""

    def __init__(self, seed: int, sizes: Mapping[str, int]) -> None:
        if "orders" in sizes and not sizes.get("users"):
            raise ValueError("orders refer to users: add a resource users with at least one user")
        self._chance = Chance(seed)
        self._sizes = sizes
        self._faker = Faker("en_US")

    def make(self, resource: str, number: int) -> Record:
        """The record with this id."""
        self._faker.seed_instance(self._chance.number("record", resource, number))
        make = _KINDS.get(resource, _make_item)
        return {"id": number, **make(self._faker, number, self._sizes)}


def _make_user(faker: Faker, number: int, sizes: Mapping[str, int]) -> Record:
    name = f"{faker.first_name()} {faker.last_name()}"
    login = f"{name.lower().replace(' ', '.').replace(chr(39), '')}.{number}"
    return {
        "name": name,
        "username": login,
        "email": f"{login}@example.com",
        "city": faker.city(),
        "company": faker.company(),
        "active": faker.boolean(80),
        "createdAt": _moment(faker),
    }


def _make_order(faker: Faker, number: int, sizes: Mapping[str, int]) -> Record:
    return {
        "userId": faker.random_int(1, sizes["users"]),
        "item": faker.catch_phrase(),
        "quantity": faker.random_int(1, 9),
        "amount": f"{faker.random_int(100, 99_999) / 100:.2f}",
        "currency": "EUR",
        "status": faker.random_element(("open", "paid", "shipped", "returned")),
        "createdAt": _moment(faker),
    }


def _make_item(faker: Faker, number: int, sizes: Mapping[str, int]) -> Record:
    return {"name": faker.catch_phrase(), "description": faker.sentence(), "createdAt": _moment(faker)}


def _moment(faker: Faker) -> str:
    moment = EPOCH - timedelta(seconds=faker.random_int(0, TEN_YEARS))
    return moment.isoformat().replace("+00:00", "Z")


_KINDS: dict[str, Callable[[Faker, int, Mapping[str, int]], Record]] = {"users": _make_user, "orders": _make_order}
