"""The base of every model and the constrained types that several of them share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, StringConstraints
from pydantic.alias_generators import to_camel

PROJECT: Final = "heliostat"
"""The name before each of this project's keys in a stack's config."""


class Model(BaseModel):
    """An immutable value that refuses unknown keys and numbers that are none, and writes itself in camel case.

    A limit of NaN or infinity is one that nothing is held against, and JSON has no way to write it. A model's validator is
    made when something is validated: a process imports many more models than it uses.
    """

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        allow_inf_nan=False,
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
        serialize_by_alias=True,
        defer_build=True,
    )


def is_none(value: object) -> bool:
    """Whether a field is left out where a model is written: what was written before it came is what is written still."""
    return value is None


def is_empty(value: object) -> bool:
    """The same for a field that holds text, or others."""
    return not value


def shared(source: Model, part: type[Model]) -> dict[str, Any]:
    """The fields of `part` as `source`, which has them too, says them: so that whoever hands a part on need not name them."""
    return {name: getattr(source, name) for name in part.model_fields}


def make_all(models: type[Model] = Model) -> None:
    """Makes all models that are imported by now, as if none of them had been left for later.

    For whoever looks into models before using them: FastAPI misreads the parameters of a call whose model is not made, or
    whose config says that it may not be.
    """
    for model in models.__subclasses__():
        model.model_config["defer_build"] = False
        model.model_rebuild()
        make_all(model)


Name = Annotated[str, StringConstraints(pattern=r"^[a-z]([a-z0-9-]{0,38}[a-z0-9])?$")]
"""A name of an application, model or data set: lower case, digits and dashes, at most 40 characters.

Serve's routes, HAProxy's backends and Kubernetes' labels (KubeRay allows 47 characters for a RayService) all take it.
"""

EntryPoint = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$")]
"""`package.module:attribute`, as in Python packaging."""

RegisteredModel = Annotated[str, StringConstraints(pattern=r"^models:/[a-z0-9-]+/[1-9][0-9]*$")]
"""A version of a registered model."""

Digest = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
"""A SHA-256 in hexadecimal."""

Parameters = dict[str, bool | int | float | str]
"""Values that a workload's own code reads, such as hyperparameters."""

REQUEST_ID: Final = "^[!-+.-~-]{1,128}$"
"""The `x-request-id` that a client may choose, for HAProxy and Python alike: visible ASCII, which goes into headers and files
as it is, without a comma, which makes several headers one. Any other is replaced where the request is logged."""


def without_defaults(value: BaseModel) -> dict[str, Any]:
    """A model as JSON's types, without what is as ever; but with the kinds of what may be one of several: it is read by its
    kind, which is a default of each."""
    found: dict[str, Any] = _with_kinds(value, value.model_dump(mode="json", exclude_defaults=True))
    return found


def _with_kinds(value: Any, dumped: Any) -> Any:
    if isinstance(value, BaseModel) and isinstance(dumped, dict):
        names = {field.alias or name: name for name, field in type(value).model_fields.items()}
        kind = getattr(value, "kind", None)
        return {
            **({"kind": str(kind)} if isinstance(kind, str) else {}),
            **{key: _with_kinds(getattr(value, names.get(key) or key, None), each) for key, each in dumped.items()},
        }
    if isinstance(value, list | tuple) and isinstance(dumped, list):
        return [_with_kinds(*pair) for pair in zip(value, dumped, strict=True)]
    if isinstance(value, Mapping) and isinstance(dumped, dict):
        return {name: _with_kinds(value.get(name), each) for name, each in dumped.items()}
    return dumped
