"""What importing the package does and does not do, and what it gives."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import rest_api_client
from rest_api_client.typing import UNSET

HEAVY = (
    "starlette",
    "uvicorn",
    "vcr",
    "pytest",
    "hypothesis",
    "faker",
    "grpc",
    "redis",
    "trio",
    "pyreqwest",
    "httpx2",
)


def loaded(code: str) -> set[str]:
    """The top-level modules that a fresh interpreter holds after running the code."""
    show = f"{code}\nimport sys\nprint(*{{name.partition('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-W", "error", "-c", show], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_importing_the_client_loads_nothing_heavy() -> None:
    """`import rest_api_client` loads no server, no test tool, no engine but the default one's package."""
    assert loaded("import rest_api_client").isdisjoint(HEAVY)


def test_a_first_client_loads_no_other_engine() -> None:
    """A client that was made and closed has loaded nothing that it does not use."""
    assert loaded("import rest_api_client as r\nr.APIClient('https://api.test').close()").isdisjoint(
        {*HEAVY} - {"trio"}
    )  # httpcore's own


def test_every_public_name_is_there_and_documented() -> None:
    """What `from rest_api_client import *` gives exists; classes and functions say what they are."""
    for name in rest_api_client.__all__:
        value = getattr(rest_api_client, name)
        if callable(value):
            assert value.__doc__, name


@pytest.mark.parametrize(
    "module", ["client", "async_client", "config", "exceptions", "models", "retry", "rate_limiter", "utils", "typing"]
)
def test_the_published_modules_are_there(module: str) -> None:
    """The modules that the architecture page names can be imported."""
    __import__(f"rest_api_client.{module}")


def test_the_types_travel_with_the_package() -> None:
    """Type checkers of users find `py.typed`."""
    from importlib.resources import files

    assert (files("rest_api_client") / "py.typed").is_file()
    assert (files("mockserver") / "py.typed").is_file()


def test_the_package_runs_as_a_command() -> None:
    """`python -m rest_api_client --version` prints the version that `__version__` holds."""
    command = [sys.executable, "-m", "rest_api_client", "--version"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == rest_api_client.__version__


def test_unset_is_false_and_says_what_it_is() -> None:
    """`UNSET` is neither None nor given, and reads as itself."""
    assert not UNSET
    assert repr(UNSET) == "UNSET"


def test_what_is_given_when_asked_for_is_what_type_checkers_see() -> None:
    """Each public name stands at one place only, whether it is imported for them or when it is first used."""
    tree = ast.parse(Path(rest_api_client.__file__).read_text())
    block = next(node for node in tree.body if isinstance(node, ast.If))
    seen = {name.name: node.module for node in block.body if isinstance(node, ast.ImportFrom) for name in node.names}
    places = {name: f"rest_api_client.{module}" for name, module in rest_api_client._PLACES.items()}
    assert seen == {**places, "retry": "rest_api_client.decorators"}
    assert {*seen, "__version__"} == {*rest_api_client.__all__}
    assert {*rest_api_client.__all__} <= {*dir(rest_api_client)}


@pytest.mark.parametrize("first", ["rest_api_client.retry", "rest_api_client"])
def test_the_module_named_retry_does_not_hide_the_decorator(first: str) -> None:
    """Whichever is imported first."""
    code = f"import {first}, rest_api_client.retry; from rest_api_client import retry; print(retry.__module__)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "rest_api_client.decorators"


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    """As of any module."""
    with pytest.raises(AttributeError, match="module 'rest_api_client' has no attribute 'APIClinet'"):
        _ = rest_api_client.APIClinet
