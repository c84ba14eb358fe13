"""What is the SQLite broker's own: its file and who opens it."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

from heliostat.systems.brokers.base import Retention
from heliostat.systems.brokers.sqlite import Sqlite

OPENERS = 8


def test_all_that_open_a_new_file_at_once_have_it(tmp_path):
    for attempt in range(25):
        brokers = [Sqlite(tmp_path / str(attempt), Retention(60, 60)) for _ in range(OPENERS)]
        together = threading.Barrier(OPENERS)

        def beat(number, brokers=brokers, together=together):
            together.wait()
            brokers[number].beat(f"{number}", 60)

        with ThreadPoolExecutor(OPENERS) as pool:
            list(pool.map(beat, range(OPENERS)))
        assert len(brokers[0].alive()) == OPENERS
        for broker in brokers:
            broker.close()
