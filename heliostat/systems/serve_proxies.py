"""Serve without proxies of its own, in a cluster of this machine; its controller calls `start_none` before it starts any.

Clients come by HAProxy to the replicas' own ports, so the proxy serves nobody, and takes 120 MiB. Serve cannot be asked to
leave it out: where replicas have ports of their own its controller puts a proxy on the head, whatever `proxy_location` is in
the request; and where it said `Disabled`, no replica would listen.
"""

from __future__ import annotations

import logging
from importlib import import_module
from typing import Any, cast

START_NONE = f"{__name__}:start_none"
"""For RAY_SERVE_CONTROLLER_CALLBACK_IMPORT_PATH."""
NODES = "_get_target_nodes"


def start_none() -> None:
    """Have the Serve controller of this process place no proxy on any node; a Serve that places them differently does so."""
    manager = cast("Any", import_module("ray.serve._private.proxy_state")).ProxyStateManager
    if not hasattr(manager, NODES):
        # It works all the same, in more memory.
        logging.getLogger("ray.serve").warning("a proxy that nobody uses starts: %s is not what it was", manager)
        return
    setattr(manager, NODES, lambda self, proxy_nodes: [])
