"""`ray start --address ...` for one more node of this machine: `python -m heliostat.systems.ray_worker_node`.

Ray keeps to loopback only where RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER is 0 (else it takes 127.0.0.1 for this machine's outward
address), and then refuses a second node, though all of it works. So `ray start` alone sees 1, and leaves addresses as they are
given; the node's processes see 0, as everywhere in the cluster.
"""
from __future__ import annotations

import os
import sys

_SWITCH = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"


def main() -> None:
    """Run `ray start` with this process's arguments."""
    os.environ[_SWITCH] = "1"
    from ray._private import services
    from ray.scripts.scripts import main as ray

    services.resolve_ip_for_localhost = lambda host: host
    os.environ[_SWITCH] = "0"
    sys.argv[1:1] = ["start"]
    ray()  # type: ignore[no-untyped-call]


if __name__ == "__main__":
    main()
