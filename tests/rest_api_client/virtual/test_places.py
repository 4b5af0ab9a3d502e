"""Where somebody waits, in words."""

from __future__ import annotations

import threading

from rest_api_client.virtual.places import listed, thread_frames, where


def test_a_thread_that_ended_has_no_place() -> None:
    """Nothing is made up about it."""
    thread = threading.Thread(target=int)
    thread.start()
    thread.join()
    assert where(thread_frames(thread.ident or 0)) == "a place unknown"


def test_a_loop_may_have_no_task() -> None:
    """It says so."""
    assert listed("an asyncio loop", []) == "an asyncio loop without a task"


def test_one_tasks_line_follows_another() -> None:
    """In the order of their names."""
    assert listed("a loop", [("b", []), ("a", [])]).split("\n      ") == [
        "a loop",
        "a at a place unknown",
        "b at a place unknown",
    ]
