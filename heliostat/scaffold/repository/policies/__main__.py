"""The policy pack: `pulumi preview --policy-pack policies`. Making it serves it, so nothing may import this file."""

import importlib
import importlib.util
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pulumi_policy import (
    EnforcementLevel,
    PolicyConfigSchema,
    PolicyPack,
    ReportViolation,
    ResourceValidationArgs,
    ResourceValidationPolicy,
    StackValidationArgs,
    StackValidationPolicy,
)
from pulumi_policy.proxy import UnknownValueError

# The folder is run as a program; its modules are a package all the same, whatever the folder is called.
_PACKAGE, _FOLDER = "heliostat_policies", Path(__file__).resolve().parent
_SPEC = importlib.util.spec_from_file_location(_PACKAGE, _FOLDER / "__init__.py", submodule_search_locations=[str(_FOLDER)])
assert _SPEC is not None  # noqa: S101 - the file is there
sys.modules[_PACKAGE] = importlib.util.module_from_spec(_SPEC)
catalog = importlib.import_module(f"{_PACKAGE}.catalog")
model = importlib.import_module(f"{_PACKAGE}.model")


def plain(value: Any) -> Any:
    """A value of the SDK's, which raises where it is not known yet, as one in which that stands as such."""
    if isinstance(value, Mapping):
        return {key: _item(value, key) for key in value}
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return [_item(value, at) for at in range(len(value))]
    return value


def _item(values: Any, key: Any) -> Any:
    try:
        value = values[key]
    except UnknownValueError:
        return model.UNKNOWN
    return plain(value)


def resource_of(args: Any) -> Any:
    """A resource of the SDK's as the rules know it."""
    needs = {key: tuple(one.urn for one in ones) for key, ones in (getattr(args, "property_dependencies", None) or {}).items()}
    provider = plain(args.provider.props) if args.provider else {}
    return model.Resource(args.resource_type, args.name, plain(args.props), args.urn, bool(args.opts.protect), provider, needs)


def policy_of(one: Any) -> ResourceValidationPolicy | StackValidationPolicy:
    """A rule as CrossGuard knows it."""

    def of_resource(args: ResourceValidationArgs, report: ReportViolation) -> None:
        for violation in one.of_resource(resource_of(args), args.get_config() or {}):
            report(violation, None)

    def of_stack(args: StackValidationArgs, report: ReportViolation) -> None:
        for urn, violation in one.of_stack([resource_of(each) for each in args.resources], args.get_config() or {}):
            report(violation, urn or None)

    level = EnforcementLevel.ADVISORY if one.level == "advisory" else EnforcementLevel.MANDATORY
    schema = PolicyConfigSchema(dict(one.schema)) if one.schema else None
    if one.of_stack:
        return StackValidationPolicy(one.name, one.description, of_stack, level, schema)
    return ResourceValidationPolicy(one.name, one.description, of_resource, level, schema)


PolicyPack("heliostat", [policy_of(one) for one in catalog.POLICIES])
