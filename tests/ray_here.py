"""A Ray of this process, also on a machine that does many other things."""

from __future__ import annotations

from typing import Any


def begin(**options: Any) -> None:
    """Start it; once more where its node took longer than the 30 s that Ray gives it, which no setting changes."""
    import ray

    try:
        ray.init(**options)
    except Exception as error:
        if "timed out during startup" not in str(error):
            raise
        ray.shutdown()
        ray.init(**options)
