"""The picture of a run."""

from xml.etree import ElementTree as ET

from mockserver.metrics import Phase, measure, picture
from tests.mockserver.metrics.test_figures import PHASES, outage
from tests.mockserver.rules.traffic import Traffic

SVG = "{http://www.w3.org/2000/svg}"


def texts(svg: str) -> list[str]:
    return [element.text or "" for element in ET.fromstring(svg).iter(f"{SVG}text")]


def test_a_picture_is_one_document_that_loads_nothing() -> None:
    """Axes and phases are labelled, light and dark are both there."""
    svg = picture(measure(outage().entries, PHASES), 'a "title" & <more>')
    words = texts(svg)
    assert {'a "title" & <more>', "calm", "down", "after", "requests in 100 ms", "1.00 per call"} <= set(words)
    assert "seconds since the server started" in words
    assert "prefers-color-scheme: dark" in svg
    assert "href" not in svg
    assert "url(" not in svg


def test_bars_stand_where_the_requests_came() -> None:
    """As high as they are many."""
    traffic = Traffic()
    for _ in range(5):
        traffic.ask(at=0.0)
    traffic.ask(at=0.5, status=503)
    svg = picture(measure(traffic.entries, [("all", 0.0, 1.0)]))
    paths = {path.get("class"): path.get("d", "") for path in ET.fromstring(svg).iter(f"{SVG}path")}
    assert paths["wasted"].count("M") == 2
    assert paths["useful"] == "M64.0 316 v-220.0 h72.0 V316 Z"


def test_a_long_run_gets_broader_bars() -> None:
    """An hour is not 36,000 of them; nothing is nothing."""
    traffic = Traffic()
    for second in range(3600):
        traffic.ask(at=float(second))
    svg = picture(measure(traffic.entries, [Phase("hour", 0.0, 3600.0)]))
    assert svg.count("M") < 1000
    assert "requests in 9000 ms" in texts(svg)
    assert "nothing" in texts(picture(measure([])))
