"""The command line `rest-api-client`: each package brings its own subcommands.

They are entry points of the group `rest_api_client.commands`: the name is the subcommand, the object a function that
takes the arguments behind it and returns an exit status. Where an extra is missing, the command says which.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.metadata import EntryPoint, entry_points, version

from rest_api_client.utils import unknown

GROUP = "rest_api_client.commands"


def main(argv: Sequence[str] | None = None) -> int:
    """Run a subcommand; returns the exit status."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    commands = {entry.name: entry for entry in entry_points(group=GROUP)}
    if arguments == ["--version"]:
        print(version("rest-api-client-kit"))  # noqa: T201
        return 0
    if not arguments or arguments[0] in {"-h", "--help", "help"}:
        print(_usage(commands))  # noqa: T201  this is the command line
        return 0
    name, *rest = arguments
    if name not in commands:
        return _fail(f"{unknown('command', name, commands)}\n\n{_usage(commands)}")
    return _run(commands[name], rest)


def _run(entry: EntryPoint, arguments: list[str]) -> int:
    try:
        command = entry.load()
    except ImportError as error:
        needed = error.name or error
        return _fail(f"{entry.name!r} needs {needed}: pip install 'rest-api-client-kit[all]'")
    status: int = command(arguments)
    return status


def _usage(commands: dict[str, EntryPoint]) -> str:
    names = "\n".join(f"  {name}" for name in sorted(commands))
    return f"usage: rest-api-client COMMAND [ARGUMENT ...]\n\ncommands (each takes --help):\n{names}"


def _fail(message: str) -> int:
    print(message, file=sys.stderr)  # noqa: T201
    return 2
