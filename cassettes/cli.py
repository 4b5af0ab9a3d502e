"""The command line: `rest-api-client cassette convert | show | diff | scrub | check`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

from cassettes import files, scan
from cassettes.compare import compared
from cassettes.errors import CassetteError
from cassettes.explain import shown
from cassettes.interaction import Interaction
from cassettes.messages import decoded
from cassettes.redaction import Redaction, Vault
from cassettes.session import clean_interactions, recorded_age

_LONGEST_BODY = 2000


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command. Returns 0; 1 where `diff` or `check` found something, 2 where a cassette cannot be used."""
    options = _parser().parse_args(argv)
    try:
        status: int = options.run(options)
    except CassetteError as error:
        print(f"cassette: {error}", file=sys.stderr)  # noqa: T201  this is the command line
        return 2
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="rest-api-client cassette", description="Look at recorded traffic, compare it, and change its form."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    convert = commands.add_parser("convert", help="write a cassette in another form, told by the end of the name")
    convert.add_argument("source", type=Path)
    convert.add_argument("target", type=Path, help=".yaml and .json are vcrpy's, .jsonl is for large recordings")
    convert.add_argument("--no-timing", action="store_true", help="leave moments and pieces out: exactly vcrpy's file")
    convert.set_defaults(run=_convert)
    show = commands.add_parser("show", help="list what a cassette holds")
    show.add_argument("path", type=Path)
    show.add_argument("--number", "-n", type=int, metavar="N", help="one interaction, whole")
    show.set_defaults(run=_show)
    diff = commands.add_parser("diff", help="what differs between two cassettes, by field and JSON path")
    diff.add_argument("old", type=Path)
    diff.add_argument("new", type=Path)
    diff.set_defaults(run=_diff)
    scrub = commands.add_parser("scrub", help="take the secrets out of cassettes, in place")
    scrub.add_argument("paths", type=Path, nargs="+", metavar="path")
    scrub.add_argument("--name", action="append", default=[], help="a field or member that holds a secret; repeatable")
    scrub.set_defaults(run=_scrub)
    check = commands.add_parser("check", help="whether cassettes can be read, hold no secret and are not too old")
    check.add_argument("paths", type=Path, nargs="+", metavar="path")
    check.add_argument("--max-age", type=int, metavar="DAYS", help="fail where a recording is older")
    check.set_defaults(run=_check)
    return parser


def _write(line: str) -> None:
    sys.stdout.write("".join(c if c.isprintable() or c == "\n" else repr(c)[1:-1] for c in line) + "\n")


def _convert(options: argparse.Namespace) -> int:
    interactions, about = files.load(options.source)
    files.check_suffix(options.target)
    for each in interactions:
        each.source = None
    text = files.render(interactions, about, options.target.suffix, timing=not options.no_timing)
    files.replace(options.target, text)
    _write(f"{options.target}: {len(interactions)} interactions, {len(text.encode('utf-8', 'surrogatepass'))} bytes")
    return 0


def _show(options: argparse.Namespace) -> int:
    interactions, about = files.load(options.path)
    if options.number is not None:
        if not 1 <= options.number <= len(interactions):
            raise CassetteError(f"--number {options.number}: {options.path} has {len(interactions)} interactions")
        _show_one(interactions[options.number - 1])
        return 0
    _write(f"{options.path}: {len(interactions)} interactions{_dated(about)}")
    for number, each in enumerate(interactions, 1):
        _write(f"{number:5}  {each.started:9.3f}s  {each.label}  {len(each.body)} bytes")
    return 0


def _dated(about: dict[str, object]) -> str:
    return f", recorded {about['recorded']}" if "recorded" in about else ""


def _show_one(each: Interaction) -> None:
    _write(each.label)
    for name, value in each.asked.headers:
        _write(f"> {name}: {value}")
    _write_body("> ", each.asked.headers, each.asked.body)
    fields = each.head.headers if each.head is not None else ()
    for name, value in fields:
        _write(f"< {name}: {value}")
    _write_body("< ", tuple((name.lower(), value) for name, value in fields), each.body)
    for step in each.script.steps:
        _write(f"  {shown(str(step))}")


def _write_body(prefix: str, fields: tuple[tuple[str, str], ...], body: bytes) -> None:
    plain = decoded(fields, body)
    text = (body if plain is None else plain).decode("utf-8", "backslashreplace")[:_LONGEST_BODY]
    for line in text.splitlines():
        _write(prefix + line)


def _diff(options: argparse.Namespace) -> int:
    old, new = files.load(options.old)[0], files.load(options.new)[0]
    difference = compared(old, new, f"{options.old} -> {options.new}")
    if difference:
        _write(difference.rstrip("\n"))
    return 1 if difference else 0


def _scrub(options: argparse.Namespace) -> int:
    redaction = Redaction(names=tuple(options.name))
    for path in options.paths:
        interactions, about = files.load(path)
        clean = clean_interactions(interactions, redaction, path)
        changed = sum(1 for was, now in zip(interactions, clean, strict=True) if now is not was)
        if changed:
            files.replace(path, files.render(clean, about, path.suffix.lower()))
        _write(f"{path}: {changed} of {len(clean)} interactions changed")
    return 0


def _check(options: argparse.Namespace) -> int:
    failed = 0
    for path in options.paths:
        problems = _problems(path, options.max_age)
        failed += bool(problems)
        _write(f"{path}: {'; '.join(problems) or 'ok'}")
    return 1 if failed else 0


def _problems(path: Path, max_age: int | None) -> list[str]:
    try:
        interactions, about = files.load(path)
        for each in interactions:
            _ = each.script  # read now
    except CassetteError as error:
        return [str(error)]
    vault = Vault()
    clean = vault.scrubbed(interactions)
    problems = scan.scan(interactions, vault.secrets())
    if not problems and any(now is not was for was, now in zip(interactions, clean, strict=True)):
        problems = ["values under the names of secrets: `rest-api-client cassette scrub` takes them out"]
    age = recorded_age(about)
    if max_age is not None and age is not None and age > timedelta(days=max_age):
        problems.append(f"recorded {age.days} days ago")
    return problems
