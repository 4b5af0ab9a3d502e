"""What an entry tells of a request, and what it does not."""

import json

import pytest

from mockserver.journal import Entry, Journal, Scribe
from mockserver.seen import Seen

FIELDS = (("host", "127.0.0.1:8000"), ("user-agent", "tester/1"))


def seen(*fields: tuple[str, str], method: str = "GET", client: str = "127.0.0.1", connection: int = 1) -> Seen:
    return Seen(method=method, path="/users/7", fields=FIELDS + fields, client=client, connection=connection)


def test_an_entry_has_what_rules_need() -> None:
    """Who, whence, whither, which call."""
    headers = (("x-call-id", "a"), ("x-attempt", "2"), ("idempotency-key", "k"))
    entry = Journal().entry(seen(*headers, connection=3), 1.5)
    assert (entry.arrived, entry.connection, entry.caller) == (1.5, 3, "127.0.0.1 tester/1")
    assert (entry.origin, entry.call_id, entry.attempt, entry.idempotency_key) == ("http://127.0.0.1:8000", "a", 2, "k")
    assert (entry.credential, entry.body_digest, entry.body) == (None, None, None)


@pytest.mark.parametrize("value", ["", "-1", "1.5", "²", "1" * 20])
def test_an_attempt_that_is_no_number_is_none(value: str) -> None:
    """Nobody crashes over it."""
    assert Journal().entry(seen(("x-attempt", value)), 0.0).attempt is None


def test_a_credential_leaves_a_digest_and_nothing_else() -> None:
    """Equal credentials have equal digests, whatever the scheme; each cookie has one of its own."""
    journal = Journal()
    first = journal.entry(seen(("authorization", "Bearer s3cret"), ("cookie", "a=1; b=2")), 0.0)
    second = journal.entry(seen(("authorization", "token s3cret"), ("cookie", "b=2")), 0.0)
    other = journal.entry(seen(("x-api-key", "another")), 0.0)
    assert "s3cret" not in json.dumps(first.to_json())
    assert len(first.credentials) == 3
    assert set(second.credentials) == {first.credentials[0], first.credentials[2]}
    assert not set(other.credentials) & set(first.credentials)
    assert journal.entry(seen(), 0.0).credentials == ()


def test_digests_depend_on_the_key() -> None:
    """Who reads a journal cannot try credentials out."""
    brought = seen(("authorization", "Bearer x"))
    one, two = Scribe(key=b"1").entry(brought, 0.0), Scribe(key=b"2").entry(brought, 0.0)
    assert one.credential != two.credential
    assert Scribe(key=b"1").entry(brought, 0.0).credential == one.credential


def test_callers_and_calls_can_be_named_by_the_user() -> None:
    """A name that the request brings is stronger."""
    scribe = Scribe(identify=lambda seen: seen.header("x-order"), caller=lambda seen: seen.client)
    entry = scribe.entry(seen(("x-order", "7")), 0.0)
    assert (entry.call_id, entry.caller) == ("7", "127.0.0.1")
    assert scribe.entry(seen(("x-order", "7"), ("x-call-id", "a")), 0.0).call_id == "a"


def test_bodies_leave_a_digest_and_a_beginning_only_if_wanted() -> None:
    """The same digest for the same body; none is kept unless told how much."""
    journal, keeping = Journal(), Journal(scribe=Scribe(bodies=4))
    one, two, empty = (journal.entry(seen(), 0.0) for _ in range(3))
    for entry, body in ((one, b"abcdef"), (two, b"abcdef"), (empty, b"")):
        journal.body(entry, body)
    assert one.body_digest == two.body_digest != empty.body_digest == ""
    assert one.body is None
    keeping.body(one, b"abc\xffdef")
    assert one.body == "abc\ufffd"
    with pytest.raises(ValueError, match="bodies"):
        Scribe(bodies=-1)


@pytest.mark.parametrize(
    ("value", "seconds", "moment"),
    [
        ("3", 3, 5.0),
        ("Thu, 01 Jan 1970 00:01:43 GMT", None, 5.0),
        ("Thu, 01 Jan 1970 00:00:03 GMT", None, 2.0),  # past: come at once
        ("soon", None, None),
        ("-3", None, None),
        ("1.5", None, None),
    ],
)
def test_retry_after_is_a_moment(value: str, seconds: int | None, moment: float | None) -> None:
    """In seconds or as a date; what is neither asks for nothing."""
    journal = Journal()
    entry = journal.entry(seen(), 1.0)
    journal.open(entry)
    journal.answer(entry, 503, 2.0)
    journal.ask_to_wait(entry, value, wall=100.0)
    assert (entry.retry_after, entry.not_before) == (seconds, moment)


def test_an_entry_comes_back_from_json() -> None:
    """All of it."""
    entry = Journal().entry(seen(("authorization", "Bearer x")), 1.0)
    assert Entry(**json.loads(json.dumps(entry.to_json()))) == entry
