"""MLflow's database: a PostgreSQL of RDS in the private subnets, which only the cluster reaches, and by TLS alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
from pulumi_aws import ec2, rds, vpc

from heliostat.platforms.aws.scope import Scope
from heliostat.spec.platforms.aws import Rds

NAME = "mlflow"
"""The database's, and its user's."""
PORT = 5432


@dataclass(frozen=True)
class DatabaseArgs:
    """Where the database is, and what it is made with."""

    vpc_id: pulumi.Input[str]
    subnet_ids: Sequence[pulumi.Input[str]]
    clients: pulumi.Input[str]
    """The security group of those who may reach it."""
    key_arn: pulumi.Input[str]
    password: pulumi.Input[str]
    log_groups: Sequence[pulumi.Resource]
    """Where RDS writes its logs; made before."""


class Database(pulumi.ComponentResource):
    """The instance, with what it stands on."""

    def __init__(
        self,
        name: str,
        spec: Rds,
        scope: Scope,
        args: DatabaseArgs,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("heliostat:aws:Database", name, {}, opts)
        self._scope = scope
        group = self._security_group(args.vpc_id, args.clients)
        subnets = rds.SubnetGroup(
            "database",
            name=scope.names.base,
            description="Private subnets",
            subnet_ids=args.subnet_ids,
            tags=scope.tagged(),
            opts=scope.kept(self),
        )
        self.instance = rds.Instance(
            "database",
            **self._sizes(spec),
            **self._keeping(spec),
            username=NAME,
            password=pulumi.Output.secret(args.password),
            kms_key_id=args.key_arn,
            db_subnet_group_name=subnets.name,
            vpc_security_group_ids=[group.id],
            parameter_group_name=self._parameters(spec.version).name,
            tags=scope.tagged(),
            opts=scope.protected(self, depends_on=list(args.log_groups)),
        )
        self.uri: pulumi.Output[str] = pulumi.Output.secret(
            pulumi.Output.format("postgresql://{0}:{1}@{2}/{0}?sslmode=require", NAME, args.password, self.instance.endpoint)
        )
        """With the password, so a secret."""
        self.register_outputs({"endpoint": self.instance.endpoint})

    def _security_group(self, vpc_id: pulumi.Input[str], clients: pulumi.Input[str]) -> ec2.SecurityGroup:
        scope = self._scope
        name = f"{scope.names.base}-database"
        group = ec2.SecurityGroup(
            "database", name=name, description="PostgreSQL", vpc_id=vpc_id, tags=scope.tagged(name), opts=scope.kept(self)
        )
        vpc.SecurityGroupIngressRule(
            "database",
            security_group_id=group.id,
            description="Pods of the cluster",
            referenced_security_group_id=clients,
            ip_protocol="tcp",
            from_port=PORT,
            to_port=PORT,
            tags=scope.tagged(name),
            opts=scope.child(self),
        )
        return group

    def _parameters(self, version: str) -> rds.ParameterGroup:
        """What the server is told. A family of its own goes with each version, beside the old one meanwhile."""
        tls = rds.ParameterGroupParameterArgs(name="rds.force_ssl", value="1", apply_method="immediate")
        return rds.ParameterGroup(
            "database",
            name_prefix=f"{self._scope.names.base}-",
            description="TLS only",
            family=f"postgres{version}",
            parameters=[tls],
            tags=self._scope.tagged(),
            opts=self._scope.kept(self),
        )

    def _sizes(self, spec: Rds) -> dict[str, Any]:
        return {
            "identifier": self._scope.names.base,
            "engine": "postgres",
            "engine_version": spec.version,
            "allow_major_version_upgrade": True,
            "auto_minor_version_upgrade": True,
            # What the plan says happens now, and not in some night to come.
            "apply_immediately": True,
            "instance_class": spec.machine,
            "storage_type": "gp3",
            "allocated_storage": spec.storage_gib,
            "max_allocated_storage": 2 * spec.storage_gib,
            "multi_az": spec.multi_az,
            "db_name": NAME,
            "port": PORT,
        }

    def _keeping(self, spec: Rds) -> dict[str, Any]:
        keeps = self._scope.keeps
        return {
            "storage_encrypted": True,
            "publicly_accessible": False,
            "backup_retention_period": spec.backup_days,
            "copy_tags_to_snapshot": True,
            "deletion_protection": keeps,
            "delete_automated_backups": not keeps,
            "skip_final_snapshot": not keeps,
            "final_snapshot_identifier": f"{self._scope.names.base}-last" if keeps else None,
            "enabled_cloudwatch_logs_exports": list(self._scope.names.database_log_groups),
        }
