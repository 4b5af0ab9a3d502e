"""The timeline: what both sides keep becomes one picture, in which no secret stands and nothing runs."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from xml.etree import ElementTree as ET

import pytest

from mockserver import Entry, MockServer, Plan
from pytest_plugin.timeline import Called, Served, Timeline, Tried
from pytest_plugin.timeline_page import MOST_ROWS, page, part
from pytest_plugin.timeline_text import MOST_LINES
from rest_api_client import APIClient, APIError, ServerError, VirtualClock
from rest_api_client.events import CallStarted, Event


def rehearsed(plan: str, *targets: str, **options: object) -> Timeline:
    """A client in virtual time, and what became of a few calls."""
    server, clock, events = MockServer(faults=Plan.parse(plan), rules=None), VirtualClock(), list[Event]()
    settings = {"attempt_headers": True, "random": 1, **options}
    with APIClient(
        base_url="http://stage", engine=server.transport(), clock=clock, events=[events.append], **settings
    ) as client:  # type: ignore[arg-type]
        for target in targets:
            try:
                client.get(target)
            except APIError:
                clock.sleep(1)
    assert server.faults is not None
    return Timeline.of(
        events=events,
        entries=server.journal,
        entries_began=clock.monotonic() - server.now(),
        explain=server.faults.explain,
        title="test_it",
        unit="virtual seconds",
    )


def test_each_attempt_stands_with_what_the_server_did_and_what_was_decided() -> None:
    """A call that is answered at its second attempt has two bars, a request below each, and the reason between."""
    timeline = rehearsed("rule=rule(error(503, retry_after=20), first=1)", "/users/7")
    (call,) = timeline.called
    first, second = call.tried
    assert (call.label, call.kind) == ("GET /users/7", "ok")
    assert (first.kind, first.reason, second.kind) == ("failed", "status 503", "ok")
    assert first.decided[-1].startswith("retry in 20.")
    assert second.start >= 20
    (request,) = first.served
    assert "answered 503" in request.text
    assert "error(503, retry_after=20)" in request.text
    assert "not processed" in request.text
    assert "asks to wait 20 s" in request.text
    assert "processed" in second.served[0].text
    assert timeline.served == ()
    assert timeline.end == pytest.approx(second.end)


def test_the_text_has_a_bar_for_each_attempt() -> None:
    """The bar of a pause is dotted, that of a failure crossed; moments are seconds from the first."""
    text = rehearsed("rule=rule(error(503, retry_after=20), first=1)", "/users/7").text(100)
    assert text.startswith("test_it\n2")
    assert "virtual seconds" in text
    assert re.search(r"^  1 \|x\.{50,60} *\| 0\.000 \+0\.000  status 503$", text, re.MULTILINE)
    assert re.search(r"^  2 \| {50,59}=+\| 20\.\d+ \+[01]\.\d+  ok$", text, re.MULTILINE)
    assert "      server 0.000: #0 GET /users/7: answered 503" in text
    assert "      client: retry in 20." in text
    assert max(map(len, rehearsed("rule=reset", "/users/7").text(40).splitlines()[2:4])) < 100


def test_what_the_client_told_besides_stands_at_its_moment() -> None:
    """A breaker that opened, calls that were refused, a fallback: each is told where it happened."""
    timeline = rehearsed("rule=error(503)", *["/users/7"] * 30, max_retries=0)
    told = [text for call in timeline.called for _, text in call.told]
    assert any("closed to open" in text for text in told)
    assert "client " in timeline.text()
    refused = [call for call in timeline.called if "CircuitOpenError" in call.outcome]
    assert refused
    assert all(each.served == () for call in refused for each in call.tried)


def test_errors_and_responses_carry_enough_for_a_timeline() -> None:
    """Without events, attempts are drawn from the moment their call began."""
    server, clock = MockServer(faults=Plan.parse("rule=error(503)"), rules=None), VirtualClock()
    with (
        APIClient(base_url="http://stage", engine=server.transport(), clock=clock, random=1) as client,
        pytest.raises(ServerError) as raised,
    ):
        client.get("/users/7")
    timeline = Timeline.of(attempts=[("GET /users/7", 5.0, raised.value.attempts)], entries=server.journal)
    (call,) = timeline.called
    assert [each.reason for each in call.tried] == ["status 503"] * 3
    assert call.outcome == "status 503"
    assert len(timeline.served) == 3  # they name no call
    assert "requests of which no client told" in timeline.text()
    assert Timeline.of(attempts=[("GET /", 0.0, ())]).called[0].outcome == "no attempt"


def test_a_call_that_is_not_over_is_open() -> None:
    """Neither a call nor a request that hangs when the test ends gets an end."""
    began = CallStarted(call_id="c1", at=3.0, method="GET", endpoint="/slow", url="http://stage/slow")
    entry = Entry(index=0, arrived=1.0, method="GET", path="/slow", call_id="c2", attempt=1)
    cut = Entry(index=1, arrived=2.0, method="GET", path="/slow", finished=2.5)
    timeline = Timeline.of(events=[began], entries=[entry, cut], entries_began=2.5)
    assert (timeline.called[0].kind, timeline.called[0].outcome, timeline.called[0].end) == ("open", "not over", None)
    assert [each.text for each in timeline.served] == [
        "in flight, not processed",
        "cut off, nothing answered, not processed",
    ]
    assert "in flight" in timeline.text()
    assert "in flight" in timeline.html()


def test_what_the_limit_refused_and_what_came_late_is_told() -> None:
    """Of an entry: a limit's refusal, a dead period, a delay, an unknown fault."""
    plain = Entry(index=0, arrived=0.0, answered=0.0, finished=0.0, method="GET", path="/", status=429, accepted=False)
    entries = [
        plain,
        replace(plain, status=503),
        replace(plain, status=200, accepted=True, processed=True, answered=1.0, delay=1.0, fault_id="abc"),
    ]
    assert [each.text for each in Timeline.of(entries=entries).served] == [
        "answered 429, refused by the limit, not processed",
        "answered 503, in a dead period, not processed",
        "answered 200, fault abc, processed, 1.000 s late",
    ]


def test_nothing_makes_an_empty_timeline() -> None:
    """It is falsy, and says so."""
    timeline = Timeline.of()
    assert not timeline
    assert timeline.text() == "no call was made, and no request arrived"
    assert "no call, no request" in timeline.html()
    assert timeline.end == 0


def test_no_secret_gets_into_a_timeline() -> None:
    """Neither query parameters that are secret by name, nor credentials of any kind, in text or page."""
    timeline = rehearsed(
        "rule=error(503)", "/users?access_token=hunter2&page=2", headers={"authorization": "Bearer hunter2"},
        params={"api_key": "hunter2"},
    )  # fmt: skip
    assert "hunter2" not in timeline.text() + timeline.html() + repr(timeline)
    assert "page=2" in timeline.text()


class _Parser(HTMLParser):
    """Takes a page apart."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.said: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.said.append(data)


HOSTILE = "</title></text><script>alert(1)</script>\"' onload=x & \x1b[31m\udc80"


def hostile() -> Timeline:
    """A timeline in which every text is somebody's attack."""
    served = Served(label=HOSTILE, start=0.0, end=None, kind="open", text=HOSTILE)
    tried = Tried(
        number=1, start=0.0, end=1.0, kind="failed", reason=HOSTILE, decided=(HOSTILE,), pause=1.0, served=(served,)
    )
    told = ((0.5, HOSTILE),)
    call = Called(
        label=HOSTILE, call_id=HOSTILE, start=0.0, end=None, kind="open", outcome=HOSTILE, tried=(tried,), told=told
    )
    return Timeline(called=(call,), served=(served,), title=HOSTILE, unit=HOSTILE)


def test_a_page_stands_alone_and_nothing_in_it_runs() -> None:
    """No script, no link, no address; what was shown is text, whatever it was."""
    html = page([part(hostile(), details=HOSTILE)], title=HOSTILE, lead=HOSTILE)
    html.encode()
    parser = _Parser()
    parser.feed(html)
    assert not {"script", "link", "img", "iframe", "object", "a", "image", "use", "foreignobject"} & set(parser.tags)
    names = {name for name, _ in parser.attributes}
    assert not [name for name in names if name.startswith("on")]
    assert not {"href", "src", "xlink:href", "style", "action"} & names
    assert ("content", "default-src 'none'; style-src 'unsafe-inline'") in parser.attributes
    assert "url(" not in html
    assert "://" not in html
    assert "\x1b" not in html
    assert any("alert(1)" in text for text in parser.said)


def test_pictures_are_well_formed_and_stay_in_their_frame() -> None:
    """Each bar lies within the picture, also one of no length, one that never ended, one at the very end."""
    for timeline in (hostile(), rehearsed("rule=rule(error(503, retry_after=20), first=1)", *["/users/7"] * 3)):
        svg = re.search(r"<svg.*?</svg>", timeline.html(), re.DOTALL)
        assert svg is not None
        root = ET.fromstring(svg[0])
        width, height = map(float, root.attrib["viewBox"].split()[2:])
        for bar in root.iter("rect"):
            x, y, w, h = (float(bar.attrib[name]) for name in ("x", "y", "width", "height"))
            assert x >= 0
            assert w >= 2
            assert x + w <= width
            assert y + h <= height


def test_a_terminal_obeys_nothing_of_what_is_shown() -> None:
    """Control characters are shown as question marks, half characters too."""
    text = hostile().text()
    text.encode()
    assert "\x1b" not in text


def test_long_timelines_are_cut_in_the_middle() -> None:
    """A storm of ten thousand calls makes a page and a text of bounded length."""
    one = Called(label="", call_id="", start=0.0, end=0.5, kind="ok", outcome="ok")
    many = tuple(replace(one, label=f"GET /{n}", start=float(n), end=n + 0.5) for n in range(10_000))
    timeline = Timeline(called=many)
    lines = timeline.text().splitlines()
    assert len(lines) == MOST_LINES + 1
    assert "lines left out" in lines[MOST_LINES // 2]
    assert "GET /0:" in timeline.text()
    assert "GET /9999:" in timeline.text()
    assert timeline.html().count("<tr>") <= MOST_ROWS + 1
    assert "more rows" in timeline.html()
