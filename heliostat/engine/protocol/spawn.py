"""Starts a command so that it does not outlive its parent: `python spawn.py PARENT COMMAND ARGUMENT...`.

A plugin must not get the terminal's Ctrl-C, so it has a session of its own, and then nothing of the system ends it when
the engine is killed. The kernel can do that where it has `prctl`; processes that the plugin starts are not affected.
"""

from __future__ import annotations

import os
import sys

PR_SET_PDEATHSIG = 1
SIGTERM = 15
"""As `signal` has it, whose import takes longer than all the rest here."""


def main() -> None:
    """Asks for a SIGTERM at the parent's death, then becomes the command."""
    parent = int(sys.argv[1])
    try:
        import ctypes

        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, SIGTERM, 0, 0, 0)
    except (ImportError, AttributeError, OSError):  # contextlib takes longer to import
        pass
    if os.getppid() == parent:
        os.execvp(sys.argv[2], sys.argv[2:])  # noqa: S606


if __name__ == "__main__":
    main()
