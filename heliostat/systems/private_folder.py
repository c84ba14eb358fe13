"""The folder of this user below the system's temporary one: for sockets, claims, and what a node keeps between processes.

Stacks share it, so what lies in it is named by stack, store or content.
"""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path

from heliostat.systems.errors import PermanentError, explained


def node_folder() -> Path:
    """The folder, which outlives processes and not the node.

    Raises:
        PermanentError: somebody else can write in it.
    """
    return private(Path(tempfile.gettempdir(), f"heliostat-{os.getuid()}"), "remove it, or name another folder in TMPDIR")


def private(root: Path, fix: str) -> Path:
    """`root`, made where it is not there.

    Raises:
        PermanentError: somebody else can write in it; `fix` says what to do.
    """
    try:
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = root.lstat()
    except OSError as error:
        raise explained(error, f"make the runtime folder {root}") from error
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o022:
        raise PermanentError(
            f"the runtime folder {root} is not a folder that only this user (uid {os.getuid()}) can write; {fix}"
        )
    return root
