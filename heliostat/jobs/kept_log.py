"""Runs a command and keeps what it writes in the object store, beside the job's specification: the cluster goes with the job.

Run by KubeRay as the entrypoint of a job with a cluster of its own. It ends as the command does, killed or not.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Final

from heliostat.spec.jobs import SpecificationAddress
from heliostat.systems.errors import PermanentError, RetryableError
from heliostat.systems.objects import open_store

_EVERY_SECONDS: Final = 5.0
_BYTES_A_SECOND: Final = 100_000
"""The log is written as a whole each time; a long one less often."""
_MOST_BYTES: Final = 32 * 1024 * 1024
_CUT: Final = b"(what came before is left out)\n"
_DRAIN_SECONDS: Final = 5.0
"""How long after its end a command's own children may still write."""


class KeptLog:
    """What a command has written so far, written on as it grows."""

    def __init__(self, put: Callable[[bytes], object]) -> None:
        self._put = put
        self._text, self._written, self._kept = bytearray(), 0, 0
        self._lock, self._over = threading.Lock(), threading.Event()
        self._thread = threading.Thread(target=self._keep, daemon=True)
        self._thread.start()

    def write(self, part: bytes) -> None:
        """Take what comes next."""
        with self._lock:
            self._text += part
            self._written += len(part)
            if len(self._text) > 2 * _MOST_BYTES:
                self._text = bytearray(_CUT) + self._text[-_MOST_BYTES:]

    def close(self) -> None:
        """Keep what is left."""
        self._over.set()
        self._thread.join()
        self._write()

    def _keep(self) -> None:
        while not self._over.wait(max(_EVERY_SECONDS, len(self._text) / _BYTES_A_SECOND)):
            self._write()

    def _write(self) -> None:
        with self._lock:
            text, written = bytes(self._text), self._written
        if written == self._kept:
            return
        try:
            self._put(text)
        except (PermanentError, RetryableError) as error:
            # It is no reason to fail that nobody may be able to read why.
            print(f"the log cannot be kept: {error}", file=sys.stderr, flush=True)  # noqa: T201
        self._kept = written


def run(command: str, put: Callable[[bytes], object]) -> int:
    """Run a shell's command; its exit code, as a shell tells it."""
    child = subprocess.Popen(  # noqa: S603 - what Ray would run itself
        ["/bin/sh", "-c", command],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    # Whoever stops the job tells all of its processes: this one goes last, with what the command still had to say.
    signal.signal(signal.SIGTERM, lambda *_: child.send_signal(signal.SIGTERM))
    kept = KeptLog(put)
    assert child.stdout is not None  # noqa: S101 - it was asked for
    # A daemon: what the command left behind may hold the pipe open for ever.
    reading = threading.Thread(target=_pass_on, args=(child.stdout.fileno(), kept), daemon=True)
    reading.start()
    code = child.wait()
    reading.join(_DRAIN_SECONDS)
    kept.close()
    return code if code >= 0 else 128 - code


def _pass_on(pipe: int, kept: KeptLog) -> None:
    while part := os.read(pipe, 1 << 16):
        sys.stdout.buffer.write(part)
        sys.stdout.buffer.flush()
        kept.write(part)


def main() -> int:
    """Run what the command line says."""
    where = SpecificationAddress.model_validate_json(sys.argv[1])
    store = open_store(where.store)
    return run(sys.argv[2], lambda text: store.put(where.key, text))


if __name__ == "__main__":
    sys.exit(main())
