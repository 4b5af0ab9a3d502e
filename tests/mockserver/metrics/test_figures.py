"""The figures of a run."""

import json

import pytest

from mockserver.metrics import Phase, measure
from mockserver.metrics.figures import histogram
from tests.mockserver.rules.traffic import Traffic


def outage() -> Traffic:
    """Ten calls a second for three seconds; in the second second all fail, and are tried again in the third."""
    traffic = Traffic()
    for number in range(30):
        down = 10 <= number < 20
        traffic.ask(at=number / 10, status=503 if down else 200, call_id=str(number), attempt=1, accepted=not down)
    for number in range(10, 20):
        traffic.ask(at=2.05 + number / 1000, status=503 if number < 12 else 200, call_id=str(number), attempt=2)
    traffic.entries.sort(key=lambda entry: entry.arrived)
    return traffic


PHASES = [Phase("calm", 0.0, 1.0), Phase("down", 1.0, 2.0), Phase("after", 2.0, 3.0)]


def test_an_outage_in_figures() -> None:
    """Phase by phase."""
    calm, down, after = measure(outage().entries, PHASES).phases
    assert (calm.requests, calm.calls, calm.amplification, calm.wasted) == (10, 10, 1.0, 0)
    assert (down.requests, down.succeeded, down.refused, down.wasted) == (10, 0, 10, 10)
    assert (after.requests, after.calls, after.wasted) == (20, 20, 2)
    assert down.herd[0] == 11  # ten retries and the first call of the phase, within a tenth of a second
    assert down.recovery == pytest.approx(0.062)
    assert (len(down.herd), len(after.herd)) == (10, 0)


def test_work_done_twice_is_wasted() -> None:
    """The second POST of the call had no effect that was not there."""
    traffic = Traffic()
    for status in (None, 201):
        traffic.ask("/orders", method="POST", status=status, processed=True, call_id="a")
    (whole,) = measure(traffic.entries).phases
    assert (whole.name, whole.requests, whole.wasted, whole.processed) == ("all", 2, 2, 2)


def test_a_run_that_never_recovers_says_so() -> None:
    """Not zero."""
    traffic = Traffic()
    for number in range(20):
        traffic.ask(at=number / 10, status=503)
    assert measure(traffic.entries, [("down", 0.0, 1.0)]).phases[0].recovery is None


def test_nothing_is_measured_of_nothing() -> None:
    """An empty run has no amplification."""
    (whole,) = measure([]).phases
    assert (whole.requests, whole.amplification, whole.recovery) == (0, None, None)


def test_figures_are_plain_data() -> None:
    """With a version."""
    told = json.loads(json.dumps(measure(outage().journal(), PHASES).to_json()))
    assert (told["version"], told["step"], told["phases"][1]["name"]) == (1, 0.1, "down")
    assert sum(told["arrivals"]) == 40


@pytest.mark.parametrize("phases", [[("a", 1.0, 1.0)], [("a", 0.0, 2.0), ("b", 1.0, 3.0)], [("a", 0.0, float("inf"))]])
def test_senseless_phases_are_refused(phases: list[tuple[str, float, float]]) -> None:
    """They end before they start, overlap, or never end."""
    with pytest.raises(ValueError, match="order of time"):
        measure([], phases)


def test_a_histogram_counts_each_time_once() -> None:
    """Its end is open."""
    assert histogram([0.0, 0.05, 0.1, 0.29, 0.3], 0.0, 0.3) == (2, 1, 1)
