"""The name that `heliostat.serving.replica` had: Serve applications that run, and settings of controllers, import it by that.

Serve makes the replicas of an application from what it kept of its class, which names the module.
"""

from heliostat.serving.replica import Replica, build

__all__ = ["Replica", "build"]
