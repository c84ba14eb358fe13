"""Who may do what: the interfaces that the project has switched on, keys and who may use them, and the pods' rights."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

import pulumi
from pulumi_gcp import kms, projects, serviceaccount, storage

SERVICES: Final = (
    "artifactregistry",
    "cloudkms",
    "compute",
    "container",
    "iam",
    "logging",
    "monitoring",
    "servicenetworking",
    "sqladmin",
    "storage",
)
"""The interfaces of Google Cloud that are used; `serviceusage` and `cloudresourcemanager` have to be on before."""
_AGENTS: Final = ("artifactregistry", "container", "sqladmin", "storage")
"""Services whose agent is asked for: it is made the first time that somebody does, and takes no right before."""
_ROTATION: Final = f"{90 * 24 * 3600}s"
_NODE_ROLES: Final = ("roles/container.defaultNodeServiceAccount",)
_STORE_ROLES: Final = ("roles/storage.objectUser", "roles/storage.legacyBucketReader")
"""Reads, writes and removes objects, and sees the bucket itself; neither its rights nor its settings."""


def number_of(email: str) -> str:
    """The project's number, which the names of service agents have, of one of them.

    Raises:
        ValueError: the name has none.
    """
    found = re.match(r"service-([0-9]+)@", email)
    if found is None:
        raise ValueError(f"{email or 'an empty name'} is no service agent's: service-NUMBER@... was expected")
    return found[1]


class Project(pulumi.ComponentResource):
    """What a project needs before anything is made in it: its interfaces, and the agents that Google works through."""

    def __init__(self, name: str, opts: pulumi.ResourceOptions) -> None:
        super().__init__("heliostat:gcp:Project", name, {}, opts)
        child = pulumi.ResourceOptions(parent=self)
        self.services = [
            projects.Service(each, service=f"{each}.googleapis.com", disable_on_destroy=False, opts=child) for each in SERVICES
        ]
        agent = pulumi.ResourceOptions(parent=self, depends_on=self.services)
        agents = {
            each: projects.ServiceIdentity(f"{each}-agent", service=f"{each}.googleapis.com", opts=agent) for each in _AGENTS
        }
        self.agents: list[pulumi.Resource] = list(agents.values())
        # A resource says it, where a function would ask the cloud in each preview. Storage's agent has no e-mail there.
        self.number: pulumi.Output[str] = agents["sqladmin"].email.apply(number_of)
        self.register_outputs({"number": self.number})

    def agent(self, domain: str) -> pulumi.Output[str]:
        """The agent of a service as a member of a policy, e.g. `compute-system`."""
        return pulumi.Output.format("serviceAccount:service-{0}@{1}.iam.gserviceaccount.com", self.number, domain)


class Keys(pulumi.ComponentResource):
    """A ring of keys, each for one purpose, which the agents of that purpose alone may use.

    Google Cloud never removes a ring or the name of a key: names have a random end, so that the next platform has its own.
    """

    def __init__(
        self, name: str, prefix: str, region: str, project: Project, keep: bool, opts: pulumi.ResourceOptions
    ) -> None:
        super().__init__("heliostat:gcp:Keys", name, {}, opts)
        self._project, self._keep = project, keep
        self._prefix = prefix
        first = pulumi.ResourceOptions(parent=self, depends_on=project.services, retain_on_delete=keep)
        self._ring = kms.KeyRing(f"{prefix}-keys", location=region, opts=first)
        self.cluster = self._key("cluster", "container-engine-robot")
        self.disks = self._key("disks", "compute-system")
        self.store = self._key("store", "gs-project-accounts")
        self.database = self._key("database", "gcp-sa-cloud-sql")
        self.registry = self._key("registry", "gcp-sa-artifactregistry")
        self.register_outputs({})

    def _key(self, purpose: str, *agents: str) -> Key:
        kept = pulumi.ResourceOptions(parent=self, protect=self._keep, retain_on_delete=self._keep)
        key = kms.CryptoKey(
            f"{self._prefix}-{purpose}",
            key_ring=self._ring.id,
            purpose="ENCRYPT_DECRYPT",
            rotation_period=_ROTATION,
            opts=kept,
        )
        # What was encrypted is unreadable when its service may not use the key any more: the right stays with the data.
        grant = pulumi.ResourceOptions(parent=self, depends_on=self._project.agents, retain_on_delete=self._keep)
        grants = [
            kms.CryptoKeyIAMMember(
                f"{self._prefix}-{purpose}-{agent}",
                crypto_key_id=key.id,
                role="roles/cloudkms.cryptoKeyEncrypterDecrypter",
                member=self._project.agent(agent),
                opts=grant,
            )
            for agent in agents
        ]
        return Key(key, grants)


class Key:
    """A key with the rights that have to be there before something is encrypted with it."""

    def __init__(self, key: kms.CryptoKey, grants: Sequence[kms.CryptoKeyIAMMember]) -> None:
        self.id: pulumi.Output[str] = key.id
        self.grants = list(grants)


class NodeIdentity(pulumi.ComponentResource):
    """The service account of the nodes: it writes logs and metrics, and pulls images of the platform's registry."""

    def __init__(
        self, name: str, prefix: str, project: str, ready: Sequence[pulumi.Resource], opts: pulumi.ResourceOptions
    ) -> None:
        super().__init__("heliostat:gcp:NodeIdentity", name, {}, opts)
        child = pulumi.ResourceOptions(parent=self, depends_on=list(ready))
        account = serviceaccount.Account(
            f"{prefix}-nodes", account_id=f"{prefix}-nodes", display_name=f"Nodes of {prefix}", opts=child
        )
        self.email: pulumi.Output[str] = account.email
        self.member: pulumi.Output[str] = account.member
        self.rights = [
            projects.IAMMember(
                f"{prefix}-nodes-{role.rpartition('.')[2]}",
                project=project,
                role=role,
                member=account.member,
                opts=pulumi.ResourceOptions(parent=self),
            )
            for role in _NODE_ROLES
        ]
        self.register_outputs({"email": self.email})


def let_pods_in(
    prefix: str,
    bucket: storage.Bucket,
    members: Mapping[str, pulumi.Input[str]],
    opts: pulumi.ResourceOptions,
) -> list[storage.BucketIAMMember]:
    """Give pods the right to the bucket's objects.

    Args:
        prefix: What names begin with.
        bucket: The bucket.
        members: Policies' members by the name of their Kubernetes service account.
        opts: Options of each right.
    """
    return [
        storage.BucketIAMMember(
            f"{prefix}-{account}-{role.rpartition('.')[2]}", bucket=bucket.name, role=role, member=member, opts=opts
        )
        for account, member in members.items()
        for role in _STORE_ROLES
    ]


def pod_member(project: str, number: pulumi.Output[str], namespace: str, account: str) -> pulumi.Output[str]:
    """A Kubernetes service account as a member of a policy: Workload Identity, without a key anywhere."""
    return pulumi.Output.format(
        "principal://iam.googleapis.com/projects/{0}/locations/global/workloadIdentityPools/{1}.svc.id.goog/subject/ns/{2}/sa/{3}",
        number,
        project,
        namespace,
        account,
    )
