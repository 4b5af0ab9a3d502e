"""The command line: it finds its commands, and says what to do where it cannot."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from rest_api_client.cli import main


@pytest.fixture(autouse=True)
def _commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A distribution with three commands: one works, one lacks its library, one is broken otherwise."""
    info = tmp_path / "fake_commands-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: fake-commands\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[rest_api_client.commands]\nshout = fake_commands:shout\nlacking = fake_lacking:main\n"
        "odd = fake_commands_odd:main\n"
    )
    (tmp_path / "fake_commands.py").write_text(
        "def shout(arguments):\n    print(*arguments)\n    return len(arguments)\n"
    )
    (tmp_path / "fake_lacking.py").write_text("import no_such_library\n")
    (tmp_path / "fake_commands_odd.py").write_text("raise ImportError('told without a name')\n")
    monkeypatch.syspath_prepend(str(tmp_path))


@pytest.mark.parametrize("arguments", [[], ["-h"], ["--help"], ["help"]])
def test_usage(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Asked for help, or nothing, it lists the commands and loads none."""
    assert main(arguments) == 0
    out = capsys.readouterr().out
    assert out.startswith("usage: rest-api-client COMMAND")
    assert "  shout\n" in out
    assert "  lacking" in out
    assert "fake_commands" not in sys.modules


def test_a_command_gets_its_arguments(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """What it returns is the exit status; without arguments to `main`, those of the process count."""
    assert main(["shout", "a", "--b"]) == 2
    monkeypatch.setattr(sys, "argv", ["rest-api-client", "shout", "c"])
    assert main() == 1
    assert capsys.readouterr().out == "a --b\nc\n"


def test_an_unknown_command_suggests_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    """Status 2, on stderr, with the usage; nothing is suggested where nothing is near."""
    assert main(["shuot"]) == 2
    assert main(["zzzzzz"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "did you mean 'shout'?" in captured.err
    assert captured.err.count("did you mean") == 1
    assert captured.err.count("usage:") == 2


@pytest.mark.parametrize(("name", "needed"), [("lacking", "no_such_library"), ("odd", "told without a name")])
def test_a_missing_library_says_what_to_install(name: str, needed: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Status 2, and the extra that brings it."""
    assert main([name]) == 2
    err = capsys.readouterr().err
    assert needed in err
    assert "pip install 'rest-api-client-kit[all]'" in err
