"""The provider plugin: `python heliostat/provider <engine address>`. An engine starts it and reads its port from stdout."""

import os
import sys

_FOLDER = os.path.dirname(os.path.realpath(__file__))  # noqa: PTH120 - pathlib would be looked for in this folder
# Python puts this folder first; a file here would stand in for a library of the same name. The checkout goes last instead.
sys.path[:] = [entry for entry in sys.path if os.path.realpath(entry) != _FOLDER]
sys.path.append(os.path.dirname(os.path.dirname(_FOLDER)))  # noqa: PTH120

if __name__ == "__main__":
    from heliostat.provider.command import main

    main()
