"""`ray start --block` for a node of this machine, in less memory: `python -m heliostat.systems.ray_node ARGUMENTS`.

Once the node's processes are there, this one becomes `heliostat.systems.ray_watch`, a few MiB in the place of 120; they
stay its children, so the kernel ends them with it as before. The server of Ray Client is not started, which nothing here
speaks to. The dashboard and all the rest of a head start at once, not one after the other, and workers of tasks and actors
by `heliostat.systems.ray_worker_setup`.

A worker node needs more. Ray keeps to loopback only where RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER is 0 (else it takes 127.0.0.1
for this machine's outward address), and then refuses a second node, though all of it works. So `ray start` alone sees 1,
and leaves addresses as they are given; the node's processes see 0, as everywhere in the cluster. Nodes of one machine share
the session's folder, and a node that needs a code package extracts it anew over what another node's processes run from. So
each has a folder of its own for them, which Ray has no option for.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn, cast

from heliostat.systems import ray_watch, ray_worker_setup

_DASHBOARD = ("EventHead", "JobHead", "NodeHead", "ReportHead", "ServeHead", "StateHead")
"""Each is a process of its own. Left out are the pages of Ray Data and of Ray Train, whose runs Ray records only where it is
told to, and that of metrics, which asks a Prometheus and a Grafana; nodes export their metrics all the same."""
_SWITCH = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"


def main() -> None:
    """Run `ray start` with this process's arguments."""
    is_head = "--head" in sys.argv
    if not is_head:
        os.environ[_SWITCH] = "1"
    # Modules that are changed are no longer what they say that they are.
    node, services, constants, scripts = (
        cast("Any", import_module(name))
        for name in ("ray._private.node", "ray._private.services", "ray._private.ray_constants", "ray.scripts.scripts")
    )
    if not is_head:
        services.resolve_ip_for_localhost = lambda host: host
        constants.DEFAULT_RUNTIME_ENV_DIR_NAME = f"runtime_resources-{os.getpid()}"
        os.environ[_SWITCH] = "0"
    workers = Path(cast("str", scripts.ray.__file__)).parent / "_private" / "workers"
    os.environ[ray_worker_setup.RAYS_OWN] = str(workers / constants.SETUP_WORKER_FILENAME)
    start = services.start_ray_process
    services.start_ray_process = lambda command, kind, **more: start(_trimmed(command, kind), kind, **more)
    scripts.get_ray_client_dependency_error = lambda: "nothing here uses it"
    started: list[Any] = []

    usual: Any = node.Node

    class Node(usual):  # type: ignore[misc]
        def __init__(self, parameters: Any, *arguments: Any, **options: Any) -> None:
            parameters.setup_worker_path = ray_worker_setup.__file__
            super().__init__(parameters, *arguments, **options)
            started.append(self)

        def start_api_server(self, **options: Any) -> None:
            # Ray waits here until the dashboard answers, and starts the raylet after that, which the worker nodes wait for.
            self._options_of_dashboard = options
            self._webui_url = f"{self._ray_params.dashboard_host}:{self._ray_params.dashboard_port}"

        def start_ray_processes(self) -> None:
            super().start_ray_processes()
            if self.head:
                super().start_api_server(**self._options_of_dashboard)

        def _prepare_socket_file(self, socket_path: str | None, default_prefix: str) -> str:
            # Ray takes the first name of which there is no file yet, and nodes that start at once the same one.
            return str(super()._prepare_socket_file(f"{self._sockets_dir}/{default_prefix}.{os.getpid()}", default_prefix))

    node.Node = Node
    # What `--block` calls once all is started, before it looks at the processes for ever.
    scripts.setup_process_exit_logger = lambda path: _watch(started[-1])
    sys.argv[1:1] = ["start"]
    scripts.main()


def _trimmed(command: list[str], kind: str) -> list[str]:
    """The command of one of Ray's processes, with just those parts of the dashboard that show something here."""
    return [*command, f"--modules-to-load={','.join(_DASHBOARD)}"] if kind == "dashboard" else command


def _watch(node: Any) -> NoReturn:
    """Become the process that waits for those of the node."""
    children = [f"{kind}={each.process.pid}" for kind, found in node.all_processes.items() for each in found]
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(sys.executable, [sys.executable, "-I", "-S", ray_watch.__file__, *children])  # noqa: S606 - our own program


if __name__ == "__main__":
    main()
