"""What a failed test shows: its timeline, and the lines that replay it.

The text goes into the report as a section, so that pytest prints it, in a worker of xdist, too. For the page of
`--api-report` the markup travels with the report, as plain text; who runs the session puts the page together.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pytest_plugin.watch import Watch

SECTION = "HTTP timeline"


def tell(watch: Watch, report: pytest.TestReport) -> None:
    """Put what the test saw into its report."""
    if not report.passed:
        watch.failed = True
    timeline = watch.timeline() if report.failed else None
    if timeline:
        lines = [f"replay with --api-fault-replay='{line}'" for line in watch.replay()]
        report.sections.append((SECTION, "\n".join([timeline.text(), "", *lines])))
    if watch.config.getoption("--api-report") is not None:
        _draw(watch, report)
    if report.when == "teardown" and watch.cassettes:
        report.__dict__["api_cassettes"] = watch.cassettes  # what is there travels, in xdist too


def _draw(watch: Watch, report: pytest.TestReport) -> None:
    last = report.when == "teardown"
    wanted = report.failed or (last and not watch.failed and watch.config.getini("api_report_tests") == "all")
    if wanted:
        from pytest_plugin.timeline_page import part

        outcome = "failed" if report.failed else "passed"
        details = _message(report) if report.failed else ""
        report.__dict__["api_part"] = part(watch.timeline(), title=f"{report.nodeid}: {outcome}", details=details)


def tell_rehearsal(error: BaseException, report: pytest.TestReport) -> None:
    """Draw what went wrong in a rehearsal, which keeps its own record, for the page."""
    rehearsal: Any = getattr(error, "report", None)
    if isinstance(error, AssertionError) and callable(getattr(rehearsal, "timeline", None)):
        from pytest_plugin.timeline_page import part

        report.__dict__["api_part"] = part(rehearsal.timeline(), title=f"{report.nodeid}: failed", details=str(error))


def _message(report: pytest.TestReport) -> str:
    """What the failure says. Its traceback stays in the terminal: it shows arguments, and secrets may be among them."""
    crash = getattr(report.longrepr, "reprcrash", None)
    return report.longreprtext if crash is None else str(crash.message)


def write(path: Path, parts: list[str]) -> None:
    """Write the page of all of them."""
    from pytest_plugin.timeline_page import page

    lead = f"{len(parts)} tests" if parts else "no test failed that used a fixture of this plugin"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page(parts, title="HTTP timelines", lead=lead), encoding="utf-8")
