"""Validation of a resource's inputs against its model, while some of them may not be known yet. Pure."""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any, TypeVar

from pydantic import Discriminator, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from heliostat.provider.properties import UNKNOWN, Path, Properties, below, leaves, text_of
from heliostat.provider.resource import Failure, PermanentError
from heliostat.spec.base import Model
from heliostat.spec.mistakes import MISSING, mistakes_in

M = TypeVar("M", bound=Model)

_OF_THE_WHOLE = frozenset({"value_error", "assertion_error"})
"""Mistakes told of a whole that may come of a part of it: not judged while the part is unknown."""

_SECRET = "is not valid (its value is secret, so it is not shown)"  # noqa: S105 - no secret


def check(model: type[Model], given: Properties) -> tuple[dict[str, Any], list[Failure]]:
    """The inputs in their normal form, defaults filled in, and every mistake in them.

    Inputs that are missing, and nothing worse, are no mistake yet: an engine that goes on after an error leaves out what a
    failed resource would have given, and passes over the resource in the next step. A mistake found here would end the
    whole update. Who acts on the inputs calls `parsed`, which tells what is missing.
    """
    unknowns = given.unknowns
    try:
        return dumped(model.model_validate(given.values)), []
    except ValidationError as error:
        failures = _failures(model, error, given, unknowns)
        keys = _keys(model)
        if any(failure.reason != MISSING or failure.path not in keys for failure in failures):
            return given.values, failures
        return _normal(model, given.values), []


def dumped(model: Model) -> dict[str, Any]:
    """The model as it stands in the state: camel case, JSON's types, nothing that is not set."""
    return model.model_dump(mode="json", by_alias=True, exclude_none=True)


def normal(model: type[Model], state: Properties) -> dict[str, Any]:
    """What stands in a state as this version writes it; what it does not know is left out."""
    known = Properties({key: value for key, value in state.values.items() if key in _keys(model)}, state.secrets)
    return check(model, known)[0]


def parsed(model: type[M], values: Mapping[str, Any], what: str) -> M:
    """`values` of the state or the program as a model; keys that it no longer knows are left out.

    Raises:
        PermanentError: it does not fit; the text names every mistake.
    """
    known = {key: value for key, value in values.items() if key in _keys(model)}
    try:
        return model.model_validate(known)
    except ValidationError as error:
        mistakes = "; ".join(f"{text_of(each.path)}: {each.text}" for each in mistakes_in(model, error, known))
        raise PermanentError(f"{what} does not fit this version of heliostat: {mistakes}") from None


def require_all(model: type[Model], given: Properties) -> None:
    """See that nothing is missing that is not merely unknown yet.

    Raises:
        PermanentError: with the names of what is missing.
    """
    missing = [key for key, field in _fields(model) if field.is_required() and key not in given.values]
    if missing:
        raise PermanentError("the declaration is not whole: " + ", ".join(f"{key} is missing" for key in missing))


def is_known(model: type[M], given: Properties) -> M | None:
    """The model, where all of it is known and right; None otherwise."""
    if given.unknowns:
        return None
    try:
        return model.model_validate(given.values)
    except ValidationError:
        return None


def _failures(model: type[Model], error: ValidationError, given: Properties, unknowns: frozenset[Path]) -> list[Failure]:
    failures: dict[str, list[str]] = {}
    for mistake in mistakes_in(model, error, given.values):
        part_unknown = mistake.kind in _OF_THE_WHOLE and any(below(unknown, (mistake.path,)) for unknown in unknowns)
        if below(mistake.path, unknowns) or part_unknown:
            continue
        reasons = failures.setdefault(text_of(mistake.path), [])
        reason = _SECRET if below(mistake.path, given.secrets) else mistake.text
        if reason not in reasons:
            reasons.append(reason)
    return [Failure(path, "; or ".join(reasons)) for path, reasons in failures.items()]


def _normal(model: type[Model], values: Mapping[str, Any]) -> dict[str, Any]:
    """What `dumped` would give, with what is unknown left as it is."""
    result: dict[str, Any] = {}
    for name, field in model.model_fields.items():
        key = field.alias or name
        given = values.get(key, values.get(name))
        if given is None:
            given = _default(field)
        elif any(value == UNKNOWN for _, value in leaves(given)):
            inner = _model_for(field.annotation, given)
            given = _normal(inner, given) if inner else given
        else:
            given = _dumped_field(model, name, given)
        if given is not None:
            result[key] = given
    return result


def _default(field: FieldInfo) -> Any:
    if field.is_required():
        return None
    return TypeAdapter(Any).dump_python(field.get_default(call_default_factory=True), mode="json", exclude_none=True)


def _dumped_field(model: type[Model], name: str, value: Any) -> Any:
    adapter = _adapter(model, name)
    try:
        return adapter.dump_python(adapter.validate_python(value), mode="json", by_alias=True, exclude_none=True)
    except ValidationError:
        return value


@cache
def _adapter(model: type[Model], name: str) -> TypeAdapter[Any]:
    field = model.model_fields[name]
    metadata = [*field.metadata, *([Discriminator(field.discriminator)] if isinstance(field.discriminator, str) else [])]
    annotation: Any = field.annotation
    return TypeAdapter(Annotated[annotation, *metadata] if metadata else annotation)


def _model_for(annotation: Any, value: Any) -> type[Model] | None:
    """The model that `value` is to become, if it is one: of several, that whose `kind` the value names."""
    if not isinstance(value, dict):
        return None
    if typing.get_origin(annotation) is Annotated:
        return _model_for(typing.get_args(annotation)[0], value)
    if isinstance(annotation, type) and issubclass(annotation, Model):
        return annotation
    if typing.get_origin(annotation) not in (types.UnionType, typing.Union):
        return None
    models = [found for part in typing.get_args(annotation) if (found := _model_for(part, value))]
    if len(models) > 1:
        models = [m for m in models if "kind" in m.model_fields and m.model_fields["kind"].default == value.get("kind")]
    return models[0] if models else None


def _keys(model: type[Model]) -> list[str]:
    return [key for key, _ in _fields(model)]


def _fields(model: type[Model]) -> list[tuple[str, FieldInfo]]:
    return [(field.alias or name, field) for name, field in model.model_fields.items()]
