"""The Redis of the Ray cluster's head: what it knows outlives it there. Pure."""

from __future__ import annotations

from typing import Final

from heliostat.platforms.kubernetes.pods import (
    SCRATCH,
    Container,
    claim,
    empty,
    exec_probe,
    from_secret,
    pod,
    service,
    stateful,
)
from heliostat.platforms.kubernetes.ray_cluster import REDIS_KEY, REDIS_SECRET
from heliostat.platforms.kubernetes.site import REDIS, Manifest, Site
from heliostat.spec.platforms.cluster import Compute, Redis

PORT: Final = 6379
COMPUTE: Final = Compute(cpus=0.5, memory_gib=1)
_DATA: Final = "/data"
# The password comes by standard input: an argument would show it to whoever lists processes. Not through a pipe, behind which
# the shell would stay the pod's first process: Redis would not be told when the pod ends, and be killed half a minute later.
_START: Final = f"""\
exec redis-server - --dir /data --appendonly yes --appendfsync everysec --port {PORT} --bind "*" --protected-mode no \
--maxmemory-policy noeviction --daemonize no <<END
requirepass $REDIS_PASSWORD
END
"""
_PING: Final = 'REDISCLI_AUTH="$REDIS_PASSWORD" redis-cli -p 6379 ping | grep -q PONG'


def address(site: Site, redis: Redis) -> str:
    """Where the head finds it."""
    return redis.address or f"redis://{site.host(REDIS)}:{PORT}"


def manifests(site: Site, redis: Redis) -> list[Manifest]:
    """A Redis of one pod that writes down each second what it was told; none where there is one."""
    if redis.address is not None:
        return []
    container = Container(
        name=REDIS,
        command=("sh", "-ec", _START),
        compute=COMPUTE,
        environment={"REDIS_PASSWORD": from_secret(REDIS_SECRET, REDIS_KEY)},
        ports={REDIS: PORT},
        mounts={_DATA: "data", SCRATCH: "scratch"},
        probes={
            "readinessProbe": exec_probe(("sh", "-c", _PING), period=5),
            # One that is slow is not helped by another start, which takes the Ray cluster along for as long.
            "livenessProbe": exec_probe(("sh", "-c", _PING), period=20, failures=6, timeout=15),
        },
    )
    spec = pod(site, REDIS, [container.manifest(site.without_store())], volumes=[empty("scratch", 0.25)])
    return [
        service(site, REDIS, {REDIS: PORT}),
        stateful(site, REDIS, spec, [claim(site, "data", redis.storage_gib)]),
    ]
