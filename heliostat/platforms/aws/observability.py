"""What is kept of what happens: logs, for as long as the config says, and a budget that people are told of."""

from __future__ import annotations

import pulumi
from pulumi_aws import budgets, cloudwatch

from heliostat.platforms.aws.scope import Scope
from heliostat.spec.platforms.aws import Budget


class Logs(pulumi.ComponentResource):
    """The groups of CloudWatch. AWS would make them itself, unencrypted and for ever."""

    def __init__(
        self, name: str, days: int, key_arn: pulumi.Input[str], scope: Scope, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("heliostat:aws:Logs", name, {}, opts)
        names = scope.names

        def group(name: str, path: str) -> cloudwatch.LogGroup:
            return cloudwatch.LogGroup(
                name,
                name=path,
                retention_in_days=days,
                kms_key_id=key_arn,
                tags=scope.tagged(),
                opts=scope.child(self),
            )

        self.cluster = group("cluster", names.cluster_log_group)
        self.network = group("network", names.flow_log_group)
        self.database = [group(f"database-{log}", path) for log, path in names.database_log_groups.items()]
        self.register_outputs({})


class Costs(pulumi.ComponentResource):
    """A budget of the environment, by the tag `environment`."""

    def __init__(self, name: str, spec: Budget, scope: Scope, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("heliostat:aws:Costs", name, {}, opts)
        told = [
            budgets.BudgetNotificationArgs(
                comparison_operator="GREATER_THAN",
                notification_type=kind,
                threshold=share,
                threshold_type="PERCENTAGE",
                subscriber_email_addresses=list(spec.emails),
            )
            for kind, share in (("ACTUAL", 80), ("FORECASTED", 100))
        ]
        budgets.Budget(
            "month",
            account_id=scope.names.account,
            name=scope.names.base,
            budget_type="COST",
            time_unit="MONTHLY",
            limit_amount=str(spec.monthly_usd),
            limit_unit="USD",
            cost_filters=[
                budgets.BudgetCostFilterArgs(name="TagKeyValue", values=[f"user:environment${scope.tags['environment']}"])
            ],
            notifications=told,
            tags=scope.tagged(),
            opts=scope.child(self),
        )
        self.register_outputs({})
