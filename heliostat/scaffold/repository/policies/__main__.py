"""The policy pack: `pulumi preview --policy-pack policies`. Making it serves it, so nothing may import this file."""

from pulumi_policy import (
    EnforcementLevel,
    PolicyPack,
    ReportViolation,
    ResourceValidationArgs,
    ResourceValidationPolicy,
)
from rules import ADVISORY, RULES, Rule


def policy(name: str, type_: str, rule: Rule) -> ResourceValidationPolicy:
    """A rule as CrossGuard knows it."""

    def validate(args: ResourceValidationArgs, report: ReportViolation) -> None:
        violation = rule(args.props) if args.resource_type == type_ else None
        if violation:
            report(violation, None)

    description = (rule.__doc__ or name).splitlines()[0]
    level = EnforcementLevel.ADVISORY if name in ADVISORY else EnforcementLevel.MANDATORY
    return ResourceValidationPolicy(name, description, validate, level)


PolicyPack("heliostat", [policy(name, type_, rule) for name, (type_, rule) in RULES.items()])
