"""Answers made to order: which requests, what they get, and why one got none."""

from mockserver.stubs.files import Loader, dump, load, read_stubs, write_stubs
from mockserver.stubs.near import Near
from mockserver.stubs.reply import Reply
from mockserver.stubs.sections import StubFileError
from mockserver.stubs.stub import STARTED, Answer, State, Stub, stub
from mockserver.stubs.stubs import Count, Stubs

__all__ = [
    "STARTED",
    "Answer",
    "Count",
    "Loader",
    "Near",
    "Reply",
    "State",
    "Stub",
    "StubFileError",
    "Stubs",
    "dump",
    "load",
    "read_stubs",
    "stub",
    "write_stubs",
]
