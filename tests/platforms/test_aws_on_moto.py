"""The platform's part of AWS really made, on moto's server, by the provider that Pulumi's is made of.

Run with --long, where `terraform` is on the PATH and TERRAFORM_PLUGINS names a folder of plugins, as `terraform providers
mirror` makes it, with hashicorp/aws. Some minutes: the provider itself waits before it looks at databases and lifecycles.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import httpx
import pytest

from tests.platforms.aws_stack import PLATFORM
from tests.platforms.terraform import Resources, of_platform

PLUGINS = os.environ.get("TERRAFORM_PLUGINS", "")
REGION, ACCOUNT = PLATFORM["region"], PLATFORM["account"]
NOT_ON_MOTO = {
    # 404; test_aws_calls.py holds them against AWS's own description.
    "aws_eks_access_entry",
    "aws_eks_access_policy_association",
    "aws_eks_addon",
    "aws_eks_pod_identity_association",
    # No scaling group is behind a node group.
    "aws_autoscaling_tag",
    # Terraform's provider waits for it without end.
    "aws_budgets_budget",
}
IGNORED = {
    # What moto forgets, or makes up: each is held against AWS's own description of the call in test_aws_calls.py instead.
    "aws_db_parameter_group": ["parameter"],
    "aws_eks_cluster": ["access_config"],
    "aws_eks_node_group": ["node_repair_config", "remote_access", "scaling_config[0].desired_size", "update_config"],
    "aws_launch_template": ["tag_specifications"],
    "aws_vpc_security_group_ingress_rule": ["description"],
}
DEFAULT_GROUP = "${aws_default_security_group.default.id}"
SERVICES = ("cloudwatchlogs", "ec2", "ecr", "eks", "iam", "kms", "rds", "s3", "sts")

pytestmark = [
    # pulumi-aws warns of its own deprecated classes while Python loads it.
    pytest.mark.filterwarnings("ignore::DeprecationWarning:pulumi_aws"),
    pytest.mark.long,
    pytest.mark.timeout(3600),
    pytest.mark.skipif(not shutil.which("terraform"), reason="terraform is not on the PATH"),
    pytest.mark.skipif(not PLUGINS, reason="TERRAFORM_PLUGINS names no folder of plugins"),
]


class Terraform:
    """One configuration, applied to moto's server."""

    def __init__(self, folder: Path, endpoint: str) -> None:
        self._folder, self._endpoint = folder, endpoint
        installation = f'provider_installation {{ filesystem_mirror {{ path = "{PLUGINS}" }} }}\n'
        (folder / "terraformrc").write_text(installation)

    def write(self, resources: Resources, tags: dict[str, str]) -> None:
        provider = {
            "region": REGION,
            "access_key": "testing",
            "secret_key": "testing",
            "skip_metadata_api_check": True,
            "s3_use_path_style": True,
            "allowed_account_ids": [ACCOUNT],
            "default_tags": {"tags": tags},
            "endpoints": dict.fromkeys(SERVICES, self._endpoint),
        }
        source = {"aws": {"source": "hashicorp/aws"}}
        whole = {"terraform": {"required_providers": source}, "provider": {"aws": provider}, "resource": resources}
        (self._folder / "main.tf.json").write_text(json.dumps(whole, indent=1))

    def __call__(self, *arguments: str) -> str:
        environment = {key: value for key, value in os.environ.items() if not key.startswith(("AWS_", "TF_"))}
        environment |= {"TF_CLI_CONFIG_FILE": str(self._folder / "terraformrc"), "TF_IN_AUTOMATION": "1"}
        command = ["terraform", *arguments, "-no-color"]
        done = subprocess.run(command, cwd=self._folder, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-6000:]
        return done.stdout

    def changes(self) -> dict[str, Any]:
        """What another plan would change, by address: what there is and what there would be, where these differ."""
        self("plan", "-out=plan")
        plan = json.loads(self("show", "-json", "plan"))
        changed = [each for each in plan.get("resource_changes", ()) if each["change"]["actions"] != ["no-op"]]
        return {each["address"]: _different(**each["change"]) for each in changed}


def _different(before: Any, after: Any, actions: list[str], **_: Any) -> dict[str, Any]:
    keys = (before or {}).keys() | (after or {}).keys()
    changed = {key: ((before or {}).get(key), (after or {}).get(key)) for key in keys}
    return {"actions": actions, **{key: both for key, both in changed.items() if both[0] != both[1]}}


def resources_of(config: dict[str, Any]) -> Resources:
    found = of_platform(config)
    assert found.keys() >= NOT_ON_MOTO, "the test names what there is not"
    kept = {kind: each for kind, each in found.items() if kind not in NOT_ON_MOTO}
    # Moto gives a cluster no security group of its own.
    kept["aws_vpc_security_group_ingress_rule"]["database"]["referenced_security_group_id"] = DEFAULT_GROUP
    for kind, ignored in IGNORED.items():
        for each in kept[kind].values():
            each["lifecycle"] = {"ignore_changes": ignored}
    return kept


@pytest.fixture
def moto_endpoint(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    # With AWS's own policies: to attach one that AWS does not have is refused.
    monkeypatch.setenv("MOTO_IAM_LOAD_MANAGED_POLICIES", "true")
    httpx.post(f"http://{host}:{port}/moto-api/reset").raise_for_status()
    yield f"http://{host}:{port}"
    server.stop()


def left(endpoint: str) -> dict[str, int]:
    """How many of each there are in the account that it did not begin with."""

    def client(service: str) -> Any:
        keys = {"aws_access_key_id": "testing", "aws_secret_access_key": "testing"}
        return boto3.client(service, endpoint_url=endpoint, region_name=REGION, **keys)

    ec2 = client("ec2")
    vpcs = [each for each in ec2.describe_vpcs()["Vpcs"] if not each["IsDefault"]]
    keys = [client("kms").describe_key(KeyId=it["KeyId"])["KeyMetadata"] for it in client("kms").list_keys()["Keys"]]
    return {
        "vpcs": len(vpcs),
        "addresses": len(ec2.describe_addresses()["Addresses"]),
        "launch templates": len(ec2.describe_launch_templates()["LaunchTemplates"]),
        "buckets": len(client("s3").list_buckets()["Buckets"]),
        "clusters": len(client("eks").list_clusters()["clusters"]),
        "databases": len(client("rds").describe_db_instances()["DBInstances"]),
        "repositories": len(client("ecr").describe_repositories()["repositories"]),
        "roles": len(client("iam").list_roles()["Roles"]),
        "log groups": len(client("logs").describe_log_groups()["logGroups"]),
        "keys": len([key for key in keys if key["KeyState"] == "Enabled" and key["KeyManager"] == "CUSTOMER"]),
    }


def test_all_of_it_is_made_changed_found_unchanged_and_gone(tmp_path, moto_endpoint):
    terraform = Terraform(tmp_path, moto_endpoint)
    before = left(moto_endpoint)
    config = PLATFORM | {"onDestroy": "delete"}
    tags = {"owner": "ml", "environment": "dev", "cost-centre": "cc-1"}
    terraform.write(resources_of(config), tags)
    terraform("init")
    terraform("apply", "-auto-approve")
    assert left(moto_endpoint) == {
        "vpcs": 1,
        "addresses": 1,
        "launch templates": 3,
        "buckets": 1,
        "clusters": 1,
        "databases": 1,
        "repositories": 1,
        "roles": 9,
        "log groups": 4,
        "keys": 2,
    }
    assert terraform.changes() == {}

    larger = PLATFORM["groups"] | {"l4": PLATFORM["groups"]["l4"] | {"max": 6}}
    terraform.write(resources_of(config | {"groups": larger}), tags)
    # To look at the update of a node group, as the provider does once it has asked for it, is 404 on moto.
    (group,) = terraform.changes().items()
    assert (group[0], group[1].keys()) == ("aws_eks_node_group.l4", {"actions", "scaling_config"})

    eks, network = PLATFORM["eks"] | {"logDays": 30}, PLATFORM["network"] | {"natGateway": "per-zone"}
    terraform.write(resources_of(config | {"eks": eks, "network": network}), tags)
    terraform("apply", "-auto-approve")
    assert terraform.changes() == {}
    assert left(moto_endpoint)["addresses"] == 2

    terraform("destroy", "-auto-approve")
    assert left(moto_endpoint) == before
