"""Several that come for one stack at one instant: one of them gets it, and never two."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from heliostat.engine.stackerrors import LockedError
from heliostat.engine.state import locks
from heliostat.engine.state.bucket import FileBucket

STACK = "organization/demo/dev"


class Together(FileBucket):
    """Whose first writers all have written before any of them goes on."""

    def __init__(self, root, writers):
        super().__init__(root, f"file://{root}")
        self._together = threading.Barrier(writers)
        self._writer = threading.local()

    def write(self, key, content, *, keep=""):
        first = not getattr(self._writer, "has_written", False)
        self._writer.has_written = True
        if first:
            self._together.wait(10)  # all have seen that nobody holds it
        super().write(key, content, keep=keep)
        if first:
            self._together.wait(10)


@pytest.mark.parametrize("writers", [2, 3])
def test_of_those_that_come_at_one_instant_one_gets_the_lock_and_the_others_are_told_who(tmp_path, writers):
    bucket, inside, most = Together(tmp_path, writers), [], []
    over = threading.Event()

    def come(_):
        try:
            with locks.locked(bucket, STACK, pytest.fail):
                inside.append(1)
                most.append(len(inside))
                over.wait(10)  # longer than anybody tries
                inside.pop()
            return "held"
        except LockedError as error:
            if len(told) == writers - 2:
                over.set()
            told.append(str(error))
            return "told"

    told = []
    with ThreadPoolExecutor(writers) as pool:
        outcomes = [*pool.map(come, range(writers))]
    assert outcomes.count("held") == 1 and max(most) == 1
    assert all("is locked" in each for each in told)
    assert not [*tmp_path.rglob("*.json")]


def test_one_that_holds_the_stack_for_long_is_told_at_once(tmp_path):
    bucket = FileBucket(tmp_path, "file://x")
    with locks.locked(bucket, STACK, pytest.fail):
        began = time.monotonic()
        with pytest.raises(LockedError), locks.locked(bucket, STACK, pytest.fail, sleep=pytest.fail):
            pass
        assert time.monotonic() - began < 60
