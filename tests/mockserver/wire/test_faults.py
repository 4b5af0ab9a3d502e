"""Each fault of the catalogue, as bytes and endings on a raw socket, over both parsers and both loops."""

from __future__ import annotations

import socket
import zlib
from collections.abc import Callable
from contextlib import closing

import pytest

from mockserver import MockServer
from mockserver.faults.catalogue import CATALOGUE
from rest_api_client.script import (
    Chunk,
    Close,
    Delay,
    End,
    Head,
    Raw,
    Refuse,
    Reset,
    Script,
    Stale,
    Throttle,
    Trailers,
)
from tests.mockserver.wire.talking import CLOSE_WAIT, Talk, ask, connect, get, listen, message, post, tcp_state, whole
from tests.patience import wait_until

BODY = b"0123456789"
TEN = Head(200, (("content-length", "10"),))


def ends(talk: Talk, end: str, body: bytes) -> bool:
    return (talk.end, talk.body) == (end, body) and talk.head.startswith(b"HTTP/1.1 200 OK\r\n")


def in_flight(server: MockServer) -> int:
    return server.journal.counts["in_flight"]


def headed(talk: Talk) -> bool:
    return b"\r\n\r\n" in talk.data


def unpacks(data: bytes) -> bool:
    try:
        zlib.decompress(data, 31)
    except zlib.error:
        return False
    return True


EXPECTED: dict[str, Callable[[Talk], bool]] = {
    "reset_before": lambda t: (t.end, t.data) == ("RST", b""),
    "reset_in_head(after=12)": lambda t: (t.end, t.data) == ("RST", b"HTTP/1.1 200"),
    "reset_mid_body(after=4)": lambda t: ends(t, "RST", b"0123") and b"content-length: 10" in t.head,
    "early_close": lambda t: (t.end, t.data) == ("FIN", b""),
    "close_in_head(after=12)": lambda t: (t.end, t.data) == ("FIN", b"HTTP/1.1 200"),
    "truncate(after=4)": lambda t: ends(t, "FIN", b"0123") and b"content-length: 10" in t.head,
    "truncate_chunked(after=4)": lambda t: ends(t, "FIN", b"4\r\n0123\r\n") and b"encoding: chunked" in t.head,
    "malformed_chunk(after=4)": lambda t: ends(t, "FIN", b"4\r\n0123\r\nZZ\r\nhello\r\n0\r\n\r\n"),
    "bad_status_line": lambda t: t.end == "FIN" and t.data.startswith(b"HTP/1.1 20O OK\r\n") and t.body == BODY,
    "header_without_colon": lambda t: ends(t, "FIN", BODY) and b"\r\nthis is not a header" in t.head,
    "bare_lf": lambda t: t.end == "FIN" and b"\r" not in t.data and t.data.endswith(b"\n\n" + BODY),
    "two_content_lengths": lambda t: ends(t, "FIN", BODY) and t.head.count(b"content-length") == 2,
    "length_and_chunked": lambda t: ends(t, "silence", b"a\r\n0123456789\r\n0\r\n\r\n") and b"-length: 2" in t.head,
    "huge_header(size=200000)": lambda t: ends(t, "silence", BODY) and len(t.head) > 200_000,
    'garbage(data=b"\\u0001no")': lambda t: (t.end, t.data) == ("FIN", b"\x01no"),
    "headless": lambda t: (t.end, t.data) == ("FIN", BODY),
    "corrupt_gzip": lambda t: t.body.startswith(b"\x1f\x8b") and not unpacks(t.body) and b"encoding: gzip" in t.head,
    "flood_1xx(count=30)": lambda t: t.data.count(b"HTTP/1.1 103 Early Hints\r\n") == 30 and t.data.endswith(BODY),
    "extra_bytes": lambda t: ends(t, "silence", BODY + b"HTTP/1.1 500 Surprise\r\ncontent-length: 0\r\n\r\n"),
    "drip(bytes_per_second=1500)": lambda t: ends(t, "silence", BODY) and t.reads[-1][0] > 0.1,
    "stall_before_head": lambda t: (t.end, t.data) == ("silence", b""),
    "stall_after_head": lambda t: ends(t, "silence", b"") and b"content-length: 10" in t.head,
    "stall_mid_body(after=4)": lambda t: ends(t, "silence", b"0123"),
    "slow_upload": lambda t: ends(t, "silence", BODY),
    "unread_upload": lambda t: (t.end, t.data) == ("silence", b""),
    "half_close": lambda t: ends(t, "FIN", BODY) and b"content-length: 10" not in t.head,
    "stale": lambda t: ends(t, "silence", BODY),
    'answer(status=418, headers=(("x-a", "b"),), body="tea")': lambda t: t.data.startswith(b"HTTP/1.1 418 ")
    and b"\r\nx-a: b\r\n" in t.head and t.body == b"tea",
}  # fmt: skip


def test_every_fault_is_expected_something_of() -> None:
    """No fault enters the catalogue without a test on the wire."""
    assert {text.partition("(")[0] for text in EXPECTED} == set(CATALOGUE)


@pytest.mark.parametrize("fault", EXPECTED)
def test_a_fault_is_true_on_the_wire(server: MockServer, fault: str) -> None:
    """The bytes that it says, and the ending: RST, FIN or silence."""
    talk = ask(server.port, get(fault), EXPECTED[fault])
    assert EXPECTED[fault](talk), talk


@pytest.mark.parametrize("fault", ["reset_before", "reset_mid_body", "early_close", "truncate"])
def test_the_kernel_tells_a_reset_from_a_close(server: MockServer, fault: str) -> None:
    """After a FIN the state is CLOSE_WAIT; a RST leads straight to CLOSE."""
    with closing(connect(server.port)) as sock:
        sock.sendall(get(fault))
        end = listen(sock).end
        assert (end, tcp_state(sock) == CLOSE_WAIT) == (("RST", False) if "reset" in fault else ("FIN", True))


def test_all_that_was_sent_before_a_reset_arrives(server: MockServer, scripts: dict[str, Script]) -> None:
    """A megabyte, slowly read, and then the reset."""
    big = bytes(1 << 20)
    scripts["/big"] = Script(Head(200, {"content-length": "9999999"}), Chunk(big), Reset())  # type: ignore[arg-type]
    talk = ask(server.port, get(path="/big"))
    assert (talk.end, len(talk.body)) == ("RST", len(big))


def test_a_stale_connection_is_reset_by_the_next_request_only(server: MockServer) -> None:
    """It stands as long as nothing is sent, and the first byte is met with RST, every time."""
    for _ in range(5):
        with closing(connect(server.port)) as sock:
            sock.sendall(get("stale"))
            assert listen(sock, whole, quiet=0.02).end == "silence"
            sock.sendall(b"G")
            assert listen(sock).end == "RST"
    wait_until(lambda: in_flight(server) == 0)


def test_a_half_closed_connection_still_listens(server: MockServer) -> None:
    """The client may send on after the FIN, and ends it when it likes."""
    with closing(connect(server.port)) as sock:
        wait_until(lambda: in_flight(server) == 0)
        sock.sendall(get("half_close"))
        assert listen(sock).end == "FIN"
        for _ in range(3):
            sock.sendall(bytes(100_000))
        assert tcp_state(sock) == CLOSE_WAIT
        assert in_flight(server) == 1
    wait_until(lambda: in_flight(server) == 0)


@pytest.mark.parametrize(
    ("fault", "last"),
    [
        ("extra_bytes", b"content-length: 0\r\n\r\n"),
        ("length_and_chunked", b"\r\n0\r\n\r\n"),
        ("flood_1xx(count=3)", BODY),
        ("drip(200000)", BODY),
    ],
)
def test_a_complete_answer_keeps_its_connection(server: MockServer, fault: str, last: bytes) -> None:
    """The next request on it is answered, a body and all, however soon after the last byte it comes."""
    with closing(connect(server.port)) as sock:
        for _ in range(3):
            sock.sendall(post(fault, b"x" * 100_000))
            assert listen(sock, lambda talk: talk.data.endswith(last), quiet=0).end == "silence"
        sock.sendall(get())
        assert ends(listen(sock, whole), "silence", BODY)


def slow(ending: End | Stale) -> Script:
    return Script(Throttle(1e6), TEN, Chunk(b"01234"), Delay(0.05), Chunk(b"56789"), ending)


def test_a_request_that_comes_too_early_is_answered_in_its_turn(server: MockServer, scripts: dict[str, Script]) -> None:
    """Sent before the answer to the one before is complete, it is neither lost nor answered at once."""
    scripts["/slow"] = slow(End())
    with closing(connect(server.port)) as sock:
        sock.sendall(get(path="/slow"))
        assert ends(listen(sock, lambda talk: talk.body == b"01234", quiet=0), "silence", b"01234")
        sock.sendall(get()[:9])
        assert listen(sock, lambda talk: talk.data == b"56789", quiet=0).end == "silence"
        sock.sendall(get()[9:])
        assert ends(listen(sock, whole), "silence", BODY)


def test_more_than_one_request_too_early_closes_the_connection(server: MockServer, scripts: dict[str, Script]) -> None:
    """What comes before its turn is kept, but not without bounds: the answer is complete, and then it is over."""
    scripts["/slow"] = slow(End())
    with closing(connect(server.port)) as sock:
        sock.sendall(get(path="/slow"))
        listen(sock, lambda talk: talk.body == b"01234", quiet=0)
        sock.sendall(bytes(100_000))
        talk = listen(sock)
        assert (talk.data, talk.end) == (b"56789", "FIN")


def test_a_stale_connection_is_reset_by_a_request_that_came_too_early(
    server: MockServer, scripts: dict[str, Script]
) -> None:
    """As soon as the answer is complete."""
    scripts["/slow"] = slow(Stale())
    with closing(connect(server.port)) as sock:
        sock.sendall(get(path="/slow"))
        listen(sock, lambda talk: talk.body == b"01234", quiet=0)
        sock.sendall(b"G")
        assert listen(sock).end == "RST"


@pytest.mark.parametrize(
    "request_bytes",
    [get("extra_bytes", connection="close"), get("extra_bytes").replace(b"HTTP/1.1", b"HTTP/1.0")],
)
def test_a_connection_the_client_wants_closed_is_closed(server: MockServer, request_bytes: bytes) -> None:
    """By its Connection field, or its version."""
    assert ask(server.port, request_bytes).end == "FIN"


def test_an_early_end_with_an_upload_unread_is_still_a_fin(server: MockServer) -> None:
    """close() with bytes unread would send RST: the FIN goes first."""
    for _ in range(5):
        with closing(connect(server.port)) as sock:
            sock.sendall(message("POST", "", "/unread", b"", {"content-length": "1000"}) + b"x" * 500)
            assert listen(sock).end == "FIN"


def test_a_slow_upload_blocks_its_client(server: MockServer) -> None:
    """Twenty megabytes that nobody reads cannot be sent; and the server hears when the client gives up."""
    wait_until(lambda: in_flight(server) == 0)
    with closing(connect(server.port)) as sock:
        sock.settimeout(0.1)
        with pytest.raises(TimeoutError):
            sock.sendall(post("unread_upload", bytes(20_000_000)))
        wait_until(lambda: in_flight(server) == 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
    wait_until(lambda: in_flight(server) == 0)


def test_a_slow_upload_is_read_at_its_rate(server: MockServer) -> None:
    """20,000 bytes at 200,000 a second take a tenth of a second, and are all there."""
    talk = ask(server.port, post("slow_upload(200000)", b"x" * 20_000, "/echo"), whole)
    assert b"x" * 20_000 in talk.data
    assert talk.reads[0][0] > 0.08


def test_a_reset_cuts_an_upload(server: MockServer) -> None:
    """Where the answer needs nothing of the body, it is not waited for."""
    with closing(connect(server.port)) as sock, pytest.raises(ConnectionResetError):
        sock.sendall(post("reset_before", bytes(50_000_000)))


def test_trailers_and_unknown_statuses_reach_the_client(server: MockServer, scripts: dict[str, Script]) -> None:
    """What no ordinary server sends, but HTTP allows."""
    scripts["/odd"] = Script(Head(799, (), "Odd"), Chunk(b"a"), Chunk(b""), Trailers((("x-sum", "1"),)), End())
    talk = ask(server.port, get(path="/odd"), lambda talk: talk.data.endswith(b"1\r\n\r\n"))
    assert talk.head.startswith(b"HTTP/1.1 799 Odd\r\n")
    assert (talk.end, talk.body) == ("silence", b"1\r\na\r\n0\r\nx-sum: 1\r\n\r\n")


def test_a_length_that_is_not_met_ends_the_connection(server: MockServer, scripts: dict[str, Script]) -> None:
    """The answer is over, and the client cannot know it otherwise."""
    scripts["/short"] = Script(Head(200, (("content-length", "5"),)), Chunk(b"ab"), End())
    scripts["/open"] = Script(Head(200, (("connection", "close"),)), Chunk(b"ab"), End())
    for path in ("/short", "/open"):
        assert ends(ask(server.port, get(path=path)), "FIN", b"ab")


def test_head_has_no_body_whatever_the_script_says(server: MockServer, scripts: dict[str, Script]) -> None:
    """Through uvicorn and past it."""
    scripts["/raw"] = Script(Head(200), Chunk(b"ab"), Stale())
    for path in ("/text", "/raw"):
        talk = ask(server.port, message("HEAD", "", path, b"", {}), headed)
        assert ends(talk, "silence", b"")
    scripts["/none"] = Script(Head(304, (("content-length", "7"),)), Chunk(b"ab"), End())
    talk = ask(server.port, get(path="/none"), headed)
    assert (talk.end, talk.body) == ("silence", b"")
    assert b"content-length: 7" in talk.head


def test_a_whole_message_of_raw_bytes(server: MockServer, scripts: dict[str, Script]) -> None:
    """Nothing is added, nothing is left out, and the journal knows its status."""
    answer = b"HTTP/1.1 207 Own\r\ncontent-length: 2\r\n\r\nok"
    scripts["/raw"] = Script(Raw(answer), End())
    assert ask(server.port, get(path="/raw"), whole).data == answer
    assert server.journal.entries[-1].status == 207


def test_delays_stand_where_the_script_has_them(server: MockServer, scripts: dict[str, Script]) -> None:
    """In an ordinary answer and in one that is played past uvicorn."""
    for ending in (End(), Close()):
        scripts["/late"] = Script(Head(200), Chunk(b"a"), Delay(0.05), Chunk(b"b"), ending)
        talk = ask(server.port, get(path="/late"), lambda talk: b"b" in talk.body)
        assert talk.reads[-1][0] > 0.049


@pytest.mark.parametrize("ending", [Close(), End()])
def test_a_throttle_slows_every_byte_behind_it(
    server: MockServer, scripts: dict[str, Script], ending: Close | End
) -> None:
    """A hundred bytes at a thousand a second; those before it come at once."""
    scripts["/slow"] = Script(Head(200), Chunk(b"fast"), Throttle(1000), Chunk(b"s" * 100), ending)
    talk = ask(server.port, get(path="/slow"), lambda talk: talk.data.count(b"s" * 50) == 2)
    assert talk.reads[-1][0] > 0.099
    assert talk.data.count(b"s" * 50) == 2


def test_what_a_socket_cannot_show_is_refused_in_words(server: MockServer, scripts: dict[str, Script]) -> None:
    """A connection that stands cannot be refused: a 500 that says what can."""
    scripts["/refused"] = Script(Refuse())
    talk = ask(server.port, get(path="/refused"), whole)
    assert talk.head.startswith(b"HTTP/1.1 500 ")
    assert b"server.gate.refuse()" in talk.body


def test_pipelined_requests_do_not_hang_behind_a_fault(server: MockServer) -> None:
    """Both come at once: the first is answered, the second answered or its connection closed."""
    talk = ask(server.port, get("extra_bytes") + get(), lambda talk: talk.data.count(BODY) == 2)
    assert talk.end == "FIN" or talk.data.count(BODY) == 2


def test_a_client_that_leaves_ends_the_stall(server: MockServer) -> None:
    """The entry is closed when the connection is."""
    wait_until(lambda: in_flight(server) == 0)
    for fault in ("stall_before_head", "stall_mid_body", "stall_after_head"):
        with closing(connect(server.port)) as sock:
            sock.sendall(get(fault))
            wait_until(lambda: in_flight(server) == 1)
        wait_until(lambda: in_flight(server) == 0)


def test_a_processed_fault_is_told_from_one_that_is_not(server: MockServer) -> None:
    """Truncated after the effect, or in place of it: the journal knows, and so does the resource."""
    record = b'{"name": "Ada"}'
    for effect in ("done", "none"):
        request = post("truncate(after=3)", record, "/users", content_type="application/json", x_fault_effect=effect)
        assert ask(server.port, request).end == "FIN"
        assert server.journal.entries[-1].processed is (effect == "done")
