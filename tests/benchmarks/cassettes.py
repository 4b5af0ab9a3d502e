"""The recorder beside vcrpy, cassetter and dvd-rw: ten thousand interactions recorded, saved, loaded and played."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

from tests.benchmarks.figures import Claim, Result, Series, Terms, bench, ratio
from tests.benchmarks.peers import KEPT, Missing
from tests.benchmarks.processes import SERVER_CORE, spawn

ROOT = Path(__file__).parents[2]
NEEDED = (3, 12)
PACKAGES = ["vcrpy>=9.4,<10", "cassetter==0.16.1", f"httpx=={version('httpx')}", "anyio", "pyyaml"]
DVD = "dvd-rw==0.1.6"
TITLES = {
    "transport": "ours, the transports alone",
    "client": "ours, use_cassette and APIClient",
    "dvd_rw": "dvd-rw",
    "cassetter": "cassetter, TOML",
    "vcrpy": "vcrpy, YAML",
    "nothing": "httpx.Client, no recorder",
}
OURS = TITLES["transport"]
HOW = """
{count:,} GETs of distinct URLs, about 800 bytes an interaction, all by Python {python}, each library in a process of
its own, on one core; the server is a function, and no socket is in it. First and last are means of a hundred requests
(vcrpy: of twenty). What patches httpx is asked through httpx.Client, whose own time without a recorder is a row of the
table. Loading ends with the first answer, where it does not say "alone": that is when an index is made. vcrpy
does not come to the end of recording so many within minutes: it is given a file with all of them, and the last one
recorded is one more. cassetter writes TOML here, since it cannot read so long a YAML file of its own.
Redaction and the scan for secrets are part of our saving.
"""


@bench
def cassettes(terms: Terms) -> Result:
    """Every recorder does the same, in turns."""
    count, rounds = int(terms.pick(10_000, 500)), int(terms.pick(5, 1))
    skipped: list[str] = []
    python = _installed(skipped)
    taken: dict[tuple[str, str], list[float]] = defaultdict(list)
    names = [name for name in TITLES if name != "dvd_rw" or not skipped]
    for _ in range(rounds):
        for name in names:
            for what, value in _work(python, name, count).items():
                taken[TITLES[name], what].append(value)
    measured = {key: Series(key[0], "", tuple(values)) for key, values in taken.items()}
    return Result(
        title="Ten thousand interactions, beside other recorders" if not terms.quick else "Interactions, at a glance",
        text=HOW.format(count=count, python=_version(python)),
        series=_series(taken),
        claims=_claims(measured),
        skipped=tuple(skipped),
    )


def _installed(skipped: list[str]) -> Path:
    """The Python of an environment that has them all; made if there is none yet."""
    folder = KEPT / "recorders"
    python = folder / "bin" / "python"
    newer = next((each for each in _pythons() if _is_new(each)), None)
    if newer is None:
        skipped.append("dvd-rw: it needs Python 3.12, and there is none here")
    if not python.exists():
        _run([newer or sys.executable, "-m", "venv", str(folder)], folder)
        wanted = [*PACKAGES, *([DVD] if newer else [])]
        _run([str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *wanted], folder)
    return python


def _pythons() -> Iterator[str]:
    """Every Python there may be: this one, those on the path, and pyenv's."""
    yield sys.executable
    yield from filter(None, map(shutil.which, ("python3.14", "python3.13", "python3.12")))
    yield from map(str, sorted(Path.home().glob(".pyenv/versions/3.*/bin/python3"), reverse=True))


def _is_new(python: str) -> bool:
    """Whether it runs, and is new enough for all of them."""
    code = f"import sys; sys.exit(sys.version_info < {NEEDED})"
    return subprocess.run([python, "-c", code], capture_output=True, check=False).returncode == 0


def _run(command: list[str], folder: Path) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    if done.returncode != 0:
        shutil.rmtree(folder, ignore_errors=True)
        raise Missing(f"the recorders cannot be installed: {done.stderr.strip()[-300:]}")


def _version(python: Path) -> str:
    return subprocess.run([str(python), "--version"], capture_output=True, text=True, check=True).stdout.split()[-1]


def _work(python: Path, name: str, count: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        os.environ["PYTHONPATH"] = str(ROOT)
        try:
            command = [str(python), "-m", "tests.benchmarks.recorders.work", name, str(count), folder]
            process = spawn(command, SERVER_CORE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        finally:
            del os.environ["PYTHONPATH"]
        out, err = process.communicate(timeout=900)
    if process.returncode != 0:
        raise RuntimeError(f"{TITLES[name]}:\n{err.decode(errors='replace')[-2000:]}")
    found: dict[str, float] = json.loads(out)
    return found


_TABLES = (
    ("record, first", "ms to record one, the first"),
    ("record, last", "ms to record one, the last"),
    ("replay, first", "ms to play one, the first"),
    ("replay, last", "ms to play one, the last"),
    ("save", "s to save all"),
    ("load", "s to load all"),
)


def _series(taken: dict[tuple[str, str], list[float]]) -> tuple[Series, ...]:
    found: list[Series] = []
    for what, unit in _TABLES:
        rows = [Series(title, unit, tuple(values)) for (title, of), values in taken.items() if of == what]
        if what == "load":
            rows.append(Series("ours, the file alone", unit, tuple(taken[OURS, "load, native"])))
            rows.append(Series("ours, a file of vcrpy's YAML alone", unit, tuple(taken[OURS, "load, YAML"])))
        found += sorted(rows, key=lambda each: each.median)
    return tuple(found)


def _claims(measured: dict[tuple[str, str], Series]) -> tuple[Claim, ...]:
    def ms(what: str, at_most: float) -> Claim:
        return Claim(f"{what}, by the transport", measured[OURS, what].median, "ms", at_most=at_most)

    vcrpy, dvd = TITLES["vcrpy"], TITLES["dvd_rw"]
    claims = [
        ms("record, first", 0.12), ms("record, last", 0.12), ms("replay, first", 0.08), ms("replay, last", 0.08),
        Claim("load of our own form", measured[OURS, "load, native"].median, "s", at_most=0.1),
        ratio("load of vcrpy's YAML, of vcrpy's", measured[OURS, "load, YAML"], measured[vcrpy, "load"], at_most=0.5),
    ]  # fmt: skip
    for peer in (vcrpy, dvd):
        if (peer, "replay, last") in measured:
            claims += [
                ratio(f"{peer}: the last one {done}, of ours", measured[peer, what], measured[OURS, what])
                for what, done in (("record, last", "recorded"), ("replay, last", "played"))
            ]
    return tuple(claims)
