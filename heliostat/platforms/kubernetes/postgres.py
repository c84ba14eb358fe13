"""A PostgreSQL for trials: one pod, one volume, no backup. Pure."""

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
from heliostat.platforms.kubernetes.site import POSTGRES, Manifest, Site
from heliostat.spec.platforms.cluster import ClusterDatabase, Compute

SECRET, PASSWORD_KEY, URI_KEY = "mlflow-database", "password", "uri"
USER, DATABASE, PORT = "mlflow", "postgres", 5432
_DATA: Final = "/var/lib/postgresql/data"
# A volume outlives its stack, and the password of the next one is another.
_START: Final = f"""\
PATH="$PATH:$(echo /usr/lib/postgresql/*/bin)"
if [ ! -s "$PGDATA/PG_VERSION" ]; then
  rm -rf "$PGDATA.new"
  printf '%s' "$POSTGRES_PASSWORD" > {SCRATCH}/password
  initdb --pgdata "$PGDATA.new" --username {USER} --pwfile {SCRATCH}/password --auth scram-sha-256 --encoding UTF8 --locale C
  rm {SCRATCH}/password
  echo 'host all all all scram-sha-256' >> "$PGDATA.new/pg_hba.conf"
  mv "$PGDATA.new" "$PGDATA"
else
  printf "ALTER USER {USER} PASSWORD '%s'\\n" "$POSTGRES_PASSWORD" | postgres --single -D "$PGDATA" {DATABASE} > /dev/null
fi
exec postgres -D "$PGDATA" -c listen_addresses='*' -c unix_socket_directories={SCRATCH} -c max_connections=100
"""
_STOP: Final = 'PATH="$PATH:$(echo /usr/lib/postgresql/*/bin)"; pg_ctl stop --pgdata "$PGDATA" --mode fast --no-wait'
_READY: Final = f'PATH="$PATH:$(echo /usr/lib/postgresql/*/bin)"; pg_isready -q -h 127.0.0.1 -p {PORT}'


def uri(site: Site, password: str) -> str:
    """How MLflow reaches it."""
    return f"postgresql://{USER}:{password}@{site.host(POSTGRES)}:{PORT}/{DATABASE}"


def manifests(site: Site, database: ClusterDatabase) -> list[Manifest]:
    """The pod and its service."""
    probe = ("sh", "-c", _READY)
    container = Container(
        name=POSTGRES,
        command=("sh", "-ec", _START),
        compute=Compute(cpus=0.5, memory_gib=1),
        environment={"PGDATA": f"{_DATA}/main", "POSTGRES_PASSWORD": from_secret(SECRET, PASSWORD_KEY)},
        ports={POSTGRES: PORT},
        mounts={_DATA: "data", SCRATCH: "scratch"},
        probes={
            # It may have to read what it wrote before a crash.
            "startupProbe": exec_probe(probe, period=5, failures=60),
            "readinessProbe": exec_probe(probe, period=5),
            # One that is slow is not helped by another start.
            "livenessProbe": exec_probe(probe, period=20, failures=6, timeout=15),
        },
        # SIGTERM waits until all clients are gone, and MLflow keeps its connections.
        more={"lifecycle": {"preStop": {"exec": {"command": ["sh", "-c", _STOP]}}}},
    )
    more = {"terminationGracePeriodSeconds": 60, "volumes": [empty("scratch", 0.5)]}
    spec = pod(site, POSTGRES, [container.manifest(site.without_store())], **more)
    return [
        service(site, POSTGRES, {POSTGRES: PORT}),
        stateful(site, POSTGRES, spec, [claim(site, "data", database.storage_gib)]),
    ]
