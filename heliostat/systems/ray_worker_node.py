"""`ray start --address ...` for one more node of this machine: `python -m heliostat.systems.ray_worker_node`.

Ray keeps to loopback only where RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER is 0 (else it takes 127.0.0.1 for this machine's outward
address), and then refuses a second node, though all of it works. So `ray start` alone sees 1, and leaves addresses as they are
given; the node's processes see 0, as everywhere in the cluster.

Nodes of one machine share the session's folder, and a node that needs a code package extracts it anew over what another
node's processes run from. So each has a folder of its own for them, which Ray has no option for.
"""

from __future__ import annotations

import os
import sys

_SWITCH = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"


def main() -> None:
    """Run `ray start` with this process's arguments."""
    os.environ[_SWITCH] = "1"
    from ray._private import ray_constants, services
    from ray.scripts.scripts import main as ray

    services.resolve_ip_for_localhost = lambda host: host
    ray_constants.DEFAULT_RUNTIME_ENV_DIR_NAME = f"runtime_resources-{os.getpid()}"
    os.environ[_SWITCH] = "0"
    sys.argv[1:1] = ["start"]
    ray()  # type: ignore[no-untyped-call]


if __name__ == "__main__":
    main()
