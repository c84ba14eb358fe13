"""What of the SDK tells which arguments a resource takes: all that is private to `pulumi` is named here, and nowhere else.

`tests/engine/test_sdk_schemas.py` says plainly where an SDK has none of these names any more.
"""

from __future__ import annotations

import importlib
import inspect
import sys
from functools import cache
from typing import Any, NamedTuple

import pulumi
from pulumi import _types
from pulumi.output import Unknown as Unknown
from pulumi.runtime import rpc

PROVIDERS = "pulumi:providers:"
UNKNOWN = rpc.UNKNOWN
SIGNATURE_KEY = rpc._special_sig_key
SECRET = rpc._special_secret_sig
OUTPUT = rpc._special_output_value_sig
CONTENT = (rpc._special_asset_sig, rpc._special_archive_sig)
REFERENCE = rpc._special_resource_sig
_KUBERNETES = "kubernetes"


class Sdk(NamedTuple):
    """A package's SDK: its module (`pulumi_aws`), its version (`7.51.1`), and the class of its provider resource."""

    module: str
    version: str
    provider: str


@cache
def sdk_of(package: str) -> Sdk | None:
    """The SDK of a package, imported where the program has not done so; None where this Python has none."""
    found = rpc.get_resource_package(package, "")
    if found is None:
        try:
            importlib.import_module("pulumi_" + package.replace("-", "_"))
        except ImportError:
            return None
        found = rpc.get_resource_package(package, "")
    info = getattr(found, "pkg_info", None)
    return Sdk(info["fqn"], str(found.version()), info["class"]) if found and info else None


@cache
def resource_class(token: str) -> type | None:
    """The class of a type (`aws:eks/nodeGroup:NodeGroup`, `pulumi:providers:aws`); None where no SDK has one.

    Every kind that Kubernetes' SDK has no class for is a custom resource.
    """
    if token.startswith(PROVIDERS):
        sdk = sdk_of(token[len(PROVIDERS) :])
        return getattr(importlib.import_module(sdk.module), sdk.provider) if sdk else None
    package, _, rest = token.partition(":")
    sdk = sdk_of(package)
    module = rpc.get_resource_module(package, rest.rpartition(":")[0], "") if sdk else None
    info = getattr(module, "mod_info", {"classes": {}})
    if token in info["classes"]:
        found: type = getattr(importlib.import_module(info["fqn"]), info["classes"][token])
        return found
    if sdk and package == _KUBERNETES:
        custom: type = importlib.import_module(f"{sdk.module}.apiextensions").CustomResource
        return custom
    return None


@cache
def arguments_class(resource: type) -> type | None:
    """The class of a resource's arguments, which is called `...InitArgs` where `...Args` is that of a block."""
    module = sys.modules[resource.__module__]
    names = (f"{resource.__name__}InitArgs", f"{resource.__name__}Args")
    return next((found for name in names if is_input(found := getattr(module, name, None))), None)


def is_input(found: Any) -> bool:
    """Whether it is a class of arguments."""
    return isinstance(found, type) and bool(_types.is_input_type(found))


def is_output(found: Any) -> bool:
    """Whether it is a class of an output's parts."""
    return isinstance(found, type) and bool(_types.is_output_type(found))


class Arguments(NamedTuple):
    """What a class of arguments takes, each by its name in the protocol."""

    hints: dict[str, Any]
    python: dict[str, str]
    """What Python calls each."""
    required: frozenset[str]


@cache
def arguments(inputs: type) -> Arguments:
    """What a class of arguments takes."""
    names = _types.input_type_py_to_pulumi_names(inputs)
    parameters = inspect.signature(inputs).parameters.values()
    required = frozenset(names.get(one.name, one.name) for one in parameters if one.default is inspect.Parameter.empty)
    python = {wire: name for name, wire in names.items()}
    return Arguments(dict(_types.input_type_types(inputs)), python, required)


@cache
def outputs(found: type) -> dict[str, Any]:
    """The outputs of a resource's class, or the parts of an output's, by name in the protocol, with their types."""
    return dict(_types.resource_types(found) if issubclass(found, pulumi.Resource) else _types.output_type_types(found))
