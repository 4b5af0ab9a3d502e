"""Answers made to order: which requests, what they get, and why one got none."""

from mockserver.stubs.near import Near
from mockserver.stubs.reply import Reply
from mockserver.stubs.stub import STARTED, Answer, State, Stub, stub
from mockserver.stubs.stubs import Count, Stubs

__all__ = ["STARTED", "Answer", "Count", "Near", "Reply", "State", "Stub", "Stubs", "stub"]
