"""Proofs that what is made to take for ever is over soon: patterns, paths and stub files of the mock server."""

from __future__ import annotations

from functools import partial

from mockserver.matching import Body, JsonPath, Regex
from mockserver.seen import Seen
from mockserver.stubs.documents import parse_document
from rest_api_client.exceptions import ConfigurationError
from tests.mockserver.matching.test_evil import BAD_PATHS, DOCUMENTS, PATHS, REFUSED, SLOW, SUBJECTS, seconds
from tests.mockserver.stubs.test_files import HOSTILE
from tests.prove.figures import Figure, proof


@proof
def evil_patterns_and_paths_end() -> list[Figure]:
    """The slowest question that was ever asked of each kind, in time of the processor."""
    patterns = [
        seconds(partial(Body(Regex(pattern)), _posted(subject.encode()))) for pattern in SLOW for subject in SUBJECTS
    ]
    paths = [seconds(partial(JsonPath(path), _posted(document))) for path in PATHS for document in DOCUMENTS]
    refusals = [seconds(partial(_refused, make, text)) for make, texts in _MADE for text in texts]
    return [
        Figure(f"a search, slowest of {len(patterns)}", max(patterns) * 1000, "ms", 250),
        Figure(f"a look into a document, slowest of {len(paths)}", max(paths) * 1000, "ms", 250),
        Figure(f"a refusal, slowest of {len(refusals)}", max(refusals) * 1000, "ms", 250),
    ]


@proof
def hostile_stub_files_are_refused_at_once() -> list[Figure]:
    """Files that would grow, nest or never end, in time of the processor."""
    files = [text.encode("utf-8", "surrogateescape") for text in HOSTILE.values()]
    took = [seconds(partial(_refused, lambda data: parse_document(data, "a.yaml"), data)) for data in files]
    return [Figure(f"a refusal, slowest of {len(took)}", max(took) * 1000, "ms", 1000)]


_MADE = ((Regex, REFUSED), (JsonPath, BAD_PATHS))


def _posted(body: bytes) -> Seen:
    return Seen(method="POST", path="/", body=body)


def _refused(make: object, text: object) -> None:
    try:
        make(text)  # type: ignore[operator]
    except ConfigurationError:
        return
    raise AssertionError(f"{text!r:.80} was taken")
