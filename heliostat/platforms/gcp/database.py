"""MLflow's PostgreSQL, as a Cloud SQL instance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

import pulumi
from pulumi_gcp import compute, sql

from heliostat.platforms.gcp.identity import Key
from heliostat.spec.platforms.gcp import CloudSql

_VERSION: Final = "POSTGRES_17"
_DATABASE, _USER = "mlflow", "mlflow"
_LOG_DAYS: Final = 7
"""How long Google keeps a database's logs at most, in this edition: any moment of these days can be restored."""


@dataclass(frozen=True)
class DatabaseArgs:
    """What the database is made of."""

    prefix: str
    region: str
    spec: CloudSql
    network: compute.Network
    access: pulumi.Resource
    """The way to Google's services in the network, which gives it its address."""
    key: Key
    labels: dict[str, str]
    """Of the instance: it takes them as settings, where the provider's defaults do not get."""
    password: pulumi.Input[str]
    """A secret."""
    keep: bool


class Database(pulumi.ComponentResource):
    """A PostgreSQL that is reached in the network alone, over TLS, with backups."""

    def __init__(self, name: str, args: DatabaseArgs, opts: pulumi.ResourceOptions) -> None:
        super().__init__("heliostat:gcp:Database", name, {}, opts)
        # No name of its own: that of one that was deleted stays taken for days.
        instance = sql.DatabaseInstance(
            f"{args.prefix}-mlflow",
            database_version=_VERSION,
            region=args.region,
            encryption_key_name=args.key.id,
            deletion_protection=args.keep,
            settings=_settings(args),
            opts=pulumi.ResourceOptions(
                parent=self,
                depends_on=[args.access, *args.key.grants],
                protect=args.keep,
                retain_on_delete=args.keep,
                # An hour is the provider's own limit; standby and encryption take their part of it.
                custom_timeouts=pulumi.CustomTimeouts(create="60m", update="60m", delete="30m"),
            ),
        )
        # Whoever deletes the instance deletes both: PostgreSQL lets no user go that owns something.
        kept = pulumi.ResourceOptions(parent=self, retain_on_delete=args.keep, deleted_with=instance)
        database = sql.Database(_DATABASE, name=_DATABASE, instance=instance.name, deletion_policy="ABANDON", opts=kept)
        user = sql.User(
            _USER, name=_USER, instance=instance.name, password=args.password, deletion_policy="ABANDON", opts=kept
        )
        self.uri: pulumi.Output[str] = pulumi.Output.secret(
            pulumi.Output.all(instance.private_ip_address, args.password, user.name, database.name).apply(
                lambda found: uri_of(*found)
            )
        )
        self.register_outputs({"instance": instance.name})


def uri_of(host: str, password: str, user: str, database: str) -> str:
    """Where the database answers, with its user; over TLS, which it insists on."""
    return f"postgresql://{quote(user, safe='')}:{quote(password, safe='')}@{host}:5432/{database}?sslmode=require"


def _settings(args: DatabaseArgs) -> sql.DatabaseInstanceSettingsArgs:
    return sql.DatabaseInstanceSettingsArgs(
        tier=args.spec.tier,
        # The other edition, the default of this PostgreSQL, has no custom machines.
        edition="ENTERPRISE",
        availability_type="REGIONAL" if args.spec.regional else "ZONAL",
        disk_type="PD_SSD",
        disk_size=args.spec.storage_gib,
        disk_autoresize=True,
        deletion_protection_enabled=args.keep,
        user_labels=args.labels,
        ip_configuration=sql.DatabaseInstanceSettingsIpConfigurationArgs(
            ipv4_enabled=False, private_network=args.network.id, ssl_mode="ENCRYPTED_ONLY"
        ),
        backup_configuration=sql.DatabaseInstanceSettingsBackupConfigurationArgs(
            enabled=True,
            start_time="02:00",
            location=args.region,
            point_in_time_recovery_enabled=True,
            transaction_log_retention_days=min(_LOG_DAYS, args.spec.backup_days),
            backup_retention_settings=sql.DatabaseInstanceSettingsBackupConfigurationBackupRetentionSettingsArgs(
                retained_backups=args.spec.backup_days, retention_unit="COUNT"
            ),
        ),
        maintenance_window=sql.DatabaseInstanceSettingsMaintenanceWindowArgs(day=7, hour=3, update_track="stable"),
        insights_config=sql.DatabaseInstanceSettingsInsightsConfigArgs(query_insights_enabled=True),
    )
