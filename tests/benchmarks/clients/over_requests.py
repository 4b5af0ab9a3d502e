"""requests: as it is, with urllib3's Retry, and each without the environment's proxies and netrc."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from tests.benchmarks.clients import TIMEOUT, Setup, blocks, new_file

RETRY = Retry(total=2, backoff_factor=0.5, status_forcelist=[429, 500, 502, 503, 504], respect_retry_after_header=True)


class Requests:
    """A session, as most people have it."""

    retry: Retry | int = 0
    trust_env = True

    def __init__(self, setup: Setup) -> None:
        self._session = requests.Session()
        self._session.trust_env = self.trust_env
        adapter = HTTPAdapter(
            pool_connections=1, pool_maxsize=setup.connections, pool_block=True, max_retries=self.retry
        )
        self._session.mount("http://", adapter)
        self._session.mount("https://", adapter)
        self._session.verify = setup.ca or True

    def json(self, url: str) -> Any:
        return self._session.get(url, timeout=TIMEOUT).json()

    def download(self, url: str) -> int:
        with self._session.get(url, timeout=TIMEOUT, stream=True) as response:
            pieces: Iterator[bytes] = response.iter_content(65536)
            return sum(map(len, pieces))

    def save(self, url: str) -> int:
        with new_file() as path:
            with self._session.get(url, timeout=TIMEOUT, stream=True) as response, path.open("wb") as file:
                file.writelines(response.iter_content(65536))
            return path.stat().st_size

    def upload(self, url: str) -> int:
        return int(self._session.post(url, data=blocks(), timeout=TIMEOUT).json()["number"])

    def close(self) -> None:
        self._session.close()


class RequestsAlone(Requests):
    """The environment is not asked, which it else is for every request."""

    trust_env = False


class RequestsRetry(Requests):
    """With retries."""

    retry = RETRY


class RequestsRetryAlone(RequestsRetry):
    """With retries, the environment not asked."""

    trust_env = False
