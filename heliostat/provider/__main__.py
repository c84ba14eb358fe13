"""The provider plugin: `python heliostat/provider <engine address>`. An engine starts it and reads its port from stdout."""

import sys
from pathlib import Path

_FOLDER = Path(__file__).resolve().parent
# Python puts this folder first; a file here would stand in for a library of the same name. The checkout goes last instead.
sys.path[:] = [entry for entry in sys.path if Path(entry or ".").resolve() != _FOLDER]
sys.path.append(str(_FOLDER.parents[1]))

if __name__ == "__main__":
    from heliostat.provider.plugin import main

    main(sys.argv[1:])
