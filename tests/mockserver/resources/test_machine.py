"""Collections beside a model: whatever is sent, they agree, and nothing is ever a 500."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, precondition, rule

from mockserver.resources.people import Population
from tests.mockserver.resources.site import Answer, Site

SIZES = {"users": 4, "orders": 6}
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**18), 10**18) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8) | st.sampled_from(["open", "12.50", "9", "true"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)  # fmt: skip
FIELDS = st.sampled_from(["status", "amount", "quantity", "userId", "item", "note", "id", "a_gte", "sort", "é"])
RECORDS = st.dictionaries(FIELDS, VALUES, max_size=3)
GOOD = st.fixed_dictionaries(
    {},
    optional={
        "status": st.sampled_from(["open", None]),
        "amount": st.sampled_from(["9.50", "10.00", "10.00", None]),
        "quantity": st.sampled_from([1, 12, None]),
        "userId": st.integers(1, 4),
        "note": VALUES,
    },
)
IDS = st.integers(1, 9)
HOSTILE = st.text(max_size=12) | st.sampled_from(["-1", "0", "1e9", "9" * 400, "%", "\0", "a,b", "-", "--id", "null"])
PARAMETERS = st.sampled_from(
    ["page", "per_page", "offset", "limit", "cursor", "sort", "fields", "q", "status", "amount_gte", "quantity_lt",
     "note", "note_ne", "userId", "x"]
)  # fmt: skip


def merged(old: Any, patch: Any) -> Any:
    if not isinstance(patch, dict):
        return patch
    kept = {} if not isinstance(old, dict) else {name: value for name, value in old.items() if name not in patch}
    return kept | {name: merged(old.get(name) if isinstance(old, dict) else None, value)
                   for name, value in patch.items() if value is not None}  # fmt: skip


class Machine(RuleBasedStateMachine):
    """Orders and their users."""

    tags = Bundle("tags")

    def __init__(self) -> None:
        super().__init__()
        self.site = Site(SIZES)
        made = Population(0, SIZES)
        self.orders = {number: made.make("orders", number) for number in range(1, 7)}
        self.users = set(range(1, 5))
        self.next = 7

    def ask(self, *request: Any, **options: Any) -> Answer:
        answer = self.site.ask(*request, **options)
        assert answer.status < 500, answer
        if answer.status >= 400:
            assert (answer.headers["content-type"], answer.data["status"]) == (
                "application/problem+json",
                answer.status,
            )
        return answer

    def write(self, method: str, number: int, sent: dict[str, Any], headers: dict[str, str] | None = None) -> None:
        target = f"/orders/{number}" if method != "POST" else "/orders"
        answer = self.ask(method, target, headers, json=sent)
        if answer.status in (200, 201):
            old = self.orders.get(number, {}) if method == "PATCH" else {}
            new = merged(old, sent) if method == "PATCH" else sent
            self.orders[number] = {**new, "id": number}
            self.next += method == "POST"
            assert answer.data == self.orders[number]
            assert new.get("userId") is None or new["userId"] in self.users
        else:
            assert answer.status == 422 or (answer.status == 404 and number not in self.orders)

    @rule(sent=GOOD)
    def create(self, sent: dict[str, Any]) -> None:
        """What is good is taken, except for the order of a user who is gone."""
        before = len(self.orders)
        self.write("POST", self.next, sent)
        assert (len(self.orders) > before) == (sent.get("userId", min(self.users, default=0)) in {*self.users, 0})

    @rule(method=st.sampled_from(["POST", "PUT", "PATCH"]), number=IDS, sent=RECORDS)
    def send_anything(self, method: str, number: int, sent: dict[str, Any]) -> None:
        """Stored or refused."""
        self.write(method, self.next if method == "POST" else number, sent)

    @rule(method=st.sampled_from(["PUT", "PATCH"]), number=IDS, sent=GOOD)
    def change(self, method: str, number: int, sent: dict[str, Any]) -> None:
        """Replaced or merged."""
        self.write(method, number, sent)

    @rule(number=IDS)
    def read(self, number: int) -> None:
        """The record, or 404."""
        answer = self.ask("GET", f"/orders/{number}")
        assert (answer.data if answer.status == 200 else None) == self.orders.get(number)

    @rule(number=IDS)
    def delete(self, number: int) -> None:
        """Once."""
        answer = self.ask("DELETE", f"/orders/{number}")
        assert (answer.status == 204) == (self.orders.pop(number, None) is not None)

    @rule(number=st.integers(1, 5), cascade=st.booleans())
    def delete_user(self, number: int, cascade: bool) -> None:
        """With all orders, or not at all."""
        owned = [order["id"] for order in self.orders.values() if order.get("userId") == number]
        status = self.ask("DELETE", f"/users/{number}?cascade={str(cascade).lower()}").status
        if number not in self.users:
            assert status == 404
        elif owned and not cascade:
            assert status == 409
        else:
            assert status == 204
            self.users.remove(number)
            for order in owned:
                del self.orders[order]

    @rule(target=tags, number=IDS)
    def look(self, number: int) -> tuple[int, str, Any]:
        """Remember a tag, to write with later."""
        answer = self.ask("GET", f"/orders/{number}")
        return number, answer.headers.get("etag", '"none"'), self.orders.get(number)

    @rule(seen=tags, note=st.text(max_size=3))
    def write_if_unchanged(self, seen: tuple[int, str, Any], note: str) -> None:
        """412 exactly when the record is another one than was seen."""
        number, tag, record = seen
        answer = self.ask("PATCH", f"/orders/{number}", {"if-match": tag}, json={"note": note})
        now = self.orders.get(number)
        if now is None:
            assert answer.status == 404
        else:
            # Member order is part of the bytes: an equal record may have another tag, never the reverse.
            assert answer.status in ((200, 412) if now == record else (412,))
        if answer.status == 200:
            self.orders[number] = answer.data
            assert answer.data["note"] == note

    @rule(
        low=st.sampled_from(["0", "9.5", "10", "500"]),
        style=st.sampled_from(["per_page=2", "limit=2", "cursor=&limit=2"]),
    )
    def list_filtered(self, low: str, style: str) -> None:
        """Page by page, the same as the model's."""
        found, url = [], f"/orders?amount_gte={low}&sort=-amount&{style}"
        while url:
            answer = self.ask("GET", url)
            found += answer.data
            url = answer.links.get("next", "")
        wanted = [
            order
            for order in self.orders.values()
            if isinstance(order.get("amount"), str) and self.number(order) is not None
        ]
        wanted = [order for order in wanted if (self.number(order) or 0) >= float(low)]
        wanted.sort(key=lambda order: order["id"])
        assert found == sorted(wanted, key=lambda order: -(self.number(order) or 0))

    @staticmethod
    def number(order: dict[str, Any]) -> float | None:
        text = order["amount"]
        digits = text.removeprefix("-").split(".")
        plain = len(digits) <= 2 and all(part.isascii() and part.isdigit() and len(part) <= 15 for part in digits)
        return float(text) if plain else None

    @rule(query=st.lists(st.tuples(PARAMETERS, HOSTILE), max_size=4))
    def list_anyhow(self, query: list[tuple[str, str]]) -> None:
        """A list or a 400."""
        text = "&".join(f"{name}={quote(value)}" for name, value in query)
        assert self.ask("GET", f"/orders?{text}").status in (200, 400)

    @rule(
        path=st.text(max_size=6),
        raw=st.binary(max_size=8),
        method=st.sampled_from(["GET", "POST", "PUT", "PATCH", "DELETE"]),
    )
    def ask_anything(self, path: str, raw: bytes, method: str) -> None:
        """Any path below, any body: never a 500."""
        if not path.isdigit():
            self.ask(method, f"/orders/{quote(path)}", {"content-type": "application/json"}, body=raw)

    @precondition(lambda self: self.users)
    @rule(data=st.data())
    def list_of_user(self, data: st.DataObject) -> None:
        """Exactly those that name the user."""
        user = data.draw(st.sampled_from(sorted(self.users)))
        found = self.ask("GET", f"/users/{user}/orders?limit=100").data
        assert [order["id"] for order in found] == sorted(
            order["id"] for order in self.orders.values() if order.get("userId") == user
        )

    @invariant()
    def the_whole_is_the_model(self) -> None:
        """All records, by id."""
        assert self.ask("GET", "/orders?limit=100").data == [self.orders[number] for number in sorted(self.orders)]


TestMachine = Machine.TestCase
TestMachine.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)


def test_the_model_of_merging_is_the_rfc_s() -> None:
    """A model that were wrong would prove nothing."""
    assert merged({"a": {"b": 1, "c": 2}}, {"a": {"b": None, "d": {"e": None}}}) == {"a": {"c": 2, "d": {}}}
