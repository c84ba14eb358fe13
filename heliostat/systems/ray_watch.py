"""Waits for the processes of a Ray node: `python -I -S ray_watch.py NAME=PID...`, each a child of this very process.

The process that started them becomes this one (`heliostat.systems.ray_node`): `ray start --block` would stay, with all of Ray
loaded, for nothing but to look at its children once a second. As there, one that ends unexpectedly ends the node: the kernel
kills the others with this process.
"""

from __future__ import annotations

import os
import signal
import sys

_EXPECTED = frozenset({0, signal.SIGTERM, -signal.SIGTERM, 128 + signal.SIGTERM})
"""Ends that Ray takes for asked for."""


def main(children: list[str]) -> None:
    """Exit code 1 where one of them ended unexpectedly; 0 once all have ended."""
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    names = {int(pid): name for name, _, pid in (child.partition("=") for child in children)}
    while names:
        pid, status = os.wait()
        name, code = names.pop(pid, None), os.waitstatus_to_exitcode(status)
        if name is not None and code not in _EXPECTED:
            sys.exit(f"Ray's {name} (process {pid}) ended with {code}; the rest of its node is ended")


if __name__ == "__main__":
    main(sys.argv[1:])
