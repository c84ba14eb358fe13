"""`python -m heliostat.systems.revival FOLDER NAME`: starts a service again that died; run by `heliostat.systems.keeper`."""

from __future__ import annotations

import sys
from pathlib import Path

from heliostat.systems import processes
from heliostat.systems.errors import PermanentError


def main() -> None:
    """Exit code 1 where it cannot be started."""
    folder, name = sys.argv[1:]
    try:
        processes.revive(Path(folder), name)
    except PermanentError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
