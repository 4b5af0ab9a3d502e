"""What a forked child must not inherit."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import gc, os, threading
from rest_api_client.forks import in_child

class Keeper:
    def __init__(self):
        self.renew()
        in_child(self.renew)
    def renew(self):
        self.lock = threading.Lock()

keeper, gone = Keeper(), Keeper()
del gone
gc.collect()
keeper.lock.acquire()
child = os.fork()
if child == 0:
    os._exit(0 if keeper.lock.acquire(blocking=False) else 1)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
assert keeper.lock.locked()
"""


def test_a_child_gets_fresh_locks_and_forgets_what_is_gone() -> None:
    """A lock held at the moment of the fork is free in the child, held in the parent; dead objects are not asked."""
    subprocess.run([sys.executable, "-W", "error", "-c", PROGRAM], check=True)


def test_what_still_lives_at_the_end_of_a_program_goes_quietly() -> None:
    """A client that nobody closed leaves no complaint of the interpreter's behind."""
    program = "from rest_api_client import APIClient\nclient = APIClient('https://api.test')"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stderr == ""
