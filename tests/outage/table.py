"""The libraries compared, by name: where each is set up, the code that sets it up, and the distribution it is of."""

from __future__ import annotations

import ast
import importlib
from dataclasses import dataclass
from pathlib import Path

from tests.outage.crowd import Library

HERE = Path(__file__).parent / "libraries"
OURS = "rest-api-client-kit"


@dataclass(frozen=True)
class Entry:
    """One row of every table.

    Attributes:
        title: what it is called.
        module: in `libraries`.
        name: the library there.
        shown: the function there that is its configuration, or code to show instead.
        packages: distributions whose versions matter.
    """

    title: str
    module: str
    name: str
    shown: str
    packages: tuple[str, ...]

    def load(self) -> Library:
        """The library itself, imported only now.

        Raises:
            SystemExit: it is not installed.
        """
        try:
            library: Library = getattr(importlib.import_module(f"tests.outage.libraries.{self.module}"), self.name)
        except ImportError as error:
            raise SystemExit(f"{error}: install what is compared by pip install --group outage") from error
        return library

    def code(self) -> str:
        """Its configuration, as it stands in the module."""
        text = (HERE / f"{self.module}.py").read_text()
        found = [
            node
            for node in ast.parse(text).body
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == self.shown
        ]
        if not found:
            return self.shown
        first = min([found[0].lineno, *(decorator.lineno for decorator in found[0].decorator_list)])
        return "\n".join(text.splitlines()[first - 1 : found[0].end_lineno])


ENTRIES = (
    Entry("this library, its defaults", "ours", "ours", "AsyncAPIClient(timeout=5)", (OURS,)),
    Entry("httpx alone", "over_httpx", "httpx_bare", "httpx.AsyncClient(timeout=5)", ("httpx",)),
    Entry(
        "httpx-retries, its defaults", "over_httpx", "httpx_retries_defaults", "retrying_transport", ("httpx-retries",)
    ),
    Entry(
        "httpx-retries, 5 with back-off",
        "over_httpx",
        "httpx_retries_backoff",
        "retrying_transport_with_backoff",
        ("httpx-retries",),
    ),
    Entry("stamina, its defaults", "over_httpx", "stamina_default", "stamina_defaults", ("stamina",)),
    Entry("stamina, 3 attempts", "over_httpx", "stamina_readme", "stamina_three", ("stamina",)),
    Entry("tenacity, exponential", "over_httpx", "tenacity_fixed", "tenacity_exponential", ("tenacity",)),
    Entry("tenacity, random exponential", "over_httpx", "tenacity_jitter", "tenacity_random", ("tenacity",)),
    Entry("aiohttp-retry, 3 attempts", "over_aiohttp", "aiohttp_retry", "retry_client", ("aiohttp-retry", "aiohttp")),
    Entry("urllib3, its defaults", "over_urllib3", "urllib3_default", "urllib3.PoolManager(timeout=5)", ("urllib3",)),
    Entry("urllib3, Retry as usual", "over_urllib3", "urllib3_usual", "usual_retry", ("urllib3",)),
)
