"""Sinks hear everything, and nothing they do touches the call."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from rest_api_client.events import CallStarted, Event, fan_out, report

EVENT = CallStarted(call_id="1", at=0.0, method="GET", endpoint="/", url="https://api.test/")


def test_every_sink_hears_in_order() -> None:
    """One sink after the other gets the same event."""
    heard: list[tuple[str, Event]] = []
    emit = fan_out([lambda event: heard.append(("a", event)), lambda event: heard.append(("b", event))])
    assert emit is not None
    emit(EVENT)
    assert heard == [("a", EVENT), ("b", EVENT)]


def test_no_sink_is_no_emitter() -> None:
    """Where nobody listens there is nothing to call."""
    assert fan_out([]) is None


def test_a_sink_that_raises_stops_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """The others hear the event; the error is reported with the sink it came from."""
    reports: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", reports.append)
    heard: list[Event] = []

    def broken(event: Event) -> None:
        raise ValueError("no")

    emit = fan_out([broken, heard.append])
    assert emit is not None
    emit(EVENT)
    assert heard == [EVENT]
    [told] = reports
    assert (told.exc_type, str(told.exc_value), told.object) == (ValueError, "no", broken)
    assert told.exc_traceback is not None
    assert told.err_msg == "event sink failed"


def test_an_interrupt_in_a_sink_passes() -> None:
    """Ctrl-C is not swallowed."""

    def interrupted(event: Event) -> None:
        raise KeyboardInterrupt

    emit = fan_out([interrupted])
    assert emit is not None
    with pytest.raises(KeyboardInterrupt):
        emit(EVENT)


def test_pythons_own_hook_takes_the_report() -> None:
    """The default hook insists on its own argument type; it prints message, culprit and traceback."""
    code = "from rest_api_client.events import fan_out\nfan_out([lambda event: 1 / 0])(None)\nprint('went on')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "went on\n"
    assert "event sink failed" in done.stderr
    assert "ZeroDivisionError" in done.stderr


def test_report_is_for_others_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any error that must not touch the call can be reported."""
    reports: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", reports.append)
    report(ValueError("x"), "culprit", "what failed")
    assert (reports[0].object, reports[0].err_msg) == ("culprit", "what failed")
