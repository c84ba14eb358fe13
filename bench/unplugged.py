"""How long a preview takes of resources whose plugins are not there, by the typed SDKs alone."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Mapping
from pathlib import Path
from statistics import median

import yaml

from bench.commands import MeasurementError, run
from bench.engine import heliostat, own_environment
from bench.numbers import alternate
from bench.rows import BY_NAME, Result
from bench.session import SOURCE, Session

ONE, MANY = 1, 100
_TURNS = 5
_OF_A_WORKLOAD = 10

_PROGRAM = """\
    import pulumi
    import pulumi_aws as aws
    import pulumi_kubernetes as kubernetes

    vpc = aws.ec2.Vpc("vpc", cidr_block="10.0.0.0/16")
    roles = [aws.iam.Role(f"role-{number}", assume_role_policy="{}") for number in range(8)]
    for number, role in enumerate(roles):
        aws.iam.RolePolicyAttachment(f"attached-{number}", role=role.name, policy_arn="arn:aws:iam::aws:policy/some")
    subnets = []
    for number in range(8):
        subnet = aws.ec2.Subnet(f"subnet-{number}", vpc_id=vpc.id, cidr_block=f"10.0.{number}.0/24")
        table = aws.ec2.RouteTable(f"table-{number}", vpc_id=vpc.id)
        aws.ec2.RouteTableAssociation(f"association-{number}", route_table_id=table.id, subnet_id=subnet.id)
        subnets.append(subnet.id)
    cluster = aws.eks.Cluster("cluster", role_arn=roles[0].arn, vpc_config={"subnet_ids": subnets})
    scaling = {"min_size": 0, "max_size": 3, "desired_size": 0}
    common = dict(cluster_name=cluster.name, node_role_arn=roles[1].arn, subnet_ids=subnets, scaling_config=scaling)
    for number in range(6):
        aws.eks.NodeGroup(f"group-{number}", **common)
    there = kubernetes.Provider("there", kubeconfig=cluster.endpoint)
    inside = pulumi.ResourceOptions(provider=there)
    space = kubernetes.core.v1.Namespace("space", metadata={"name": "ml"}, opts=inside)
    for workload in range(int(pulumi.Config().require("workloads"))):
        labels = {"app": f"workload-{workload}"}
        container = {"name": "c", "image": "i", "ports": [{"container_port": 80}], "env": [{"name": "A", "value": "b"}] * 8}
        pod = {"metadata": {"labels": labels}, "spec": {"containers": [container]}}
        metadata = {"namespace": space.metadata["name"], "labels": labels}
        for part in range(4):
            name = f"{workload}-{part}"
            spec = {"replicas": 2, "selector": {"match_labels": labels}, "template": pod}
            kubernetes.apps.v1.Deployment(name, metadata=metadata, spec=spec, opts=inside)
            served = {"selector": labels, "ports": [{"port": 80}]}
            kubernetes.core.v1.Service(name, metadata=metadata, spec=served, opts=inside)
        bucket = aws.s3.Bucket(f"bucket-{workload}", tags=labels)
        aws.s3.BucketVersioning(f"versions-{workload}", bucket=bucket.bucket, versioning_configuration={"status": "Enabled"})
    """


def preview(session: Session) -> Iterable[Result]:
    """Previews of a new stack with `ONE` workload and with `MANY`, once Python has compiled the SDKs."""
    folder = session.folder / "unplugged"
    environment = own_environment(folder)
    project = _project(folder, environment)

    def timed(workloads: int) -> float:
        seconds, count = _preview(project, workloads, environment)
        session.tell(f"{count} resources without their plugins: {seconds:.2f} s")
        return seconds

    timed(ONE)
    one, many = alternate(lambda: timed(ONE), lambda: timed(MANY), _TURNS)
    yield BY_NAME["engine/preview-unplugged"].result(median(one), seconds=one)
    each = 1_000 * (median(many) - median(one)) / ((MANY - ONE) * _OF_A_WORKLOAD)
    yield BY_NAME["engine/preview-unplugged-more"].result(each, seconds_1=one, seconds_100=many)


def _project(folder: Path, environment: Mapping[str, str]) -> Path:
    """A project with a stack for each number of workloads."""
    project = folder / "project"
    project.mkdir(parents=True)
    (folder / "state").mkdir()
    runtime = {"name": "python", "options": {"virtualenv": str(SOURCE / ".venv")}}
    (project / "Pulumi.yaml").write_text(yaml.safe_dump({"name": "unplugged", "runtime": runtime}))
    (project / "__main__.py").write_text(textwrap.dedent(_PROGRAM))
    for workloads in (ONE, MANY):
        run([heliostat(), "stack", "init", _stack(workloads)], project, environment, seconds=60)
        config = ["config", "set", "workloads", str(workloads), "--stack", _stack(workloads)]
        run([heliostat(), *config], project, environment, seconds=60)
    return project


def _stack(workloads: int) -> str:
    return f"of-{workloads}"


def _preview(project: Path, workloads: int, environment: Mapping[str, str]) -> tuple[float, int]:
    """Seconds of one preview and the number of its resources, after seeing that they are there."""
    done = run([heliostat(), "preview", "--stack", _stack(workloads)], project, environment, seconds=300)
    told = re.search(r"(\d+) to create", done.output)
    count = int(told[1]) if told else 0
    if count <= workloads * _OF_A_WORKLOAD:
        raise MeasurementError(f"the preview of {workloads} workloads saw {count} resources to create")
    return done.seconds, count
