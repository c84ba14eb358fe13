"""What a model's source says of its fields, for the schemas that are made of it.

pydantic can read it itself (`use_attribute_docstrings`), but does so when the class is made: every process that imports the
models would parse their sources, for descriptions that nobody looks at.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from functools import cache
from itertools import pairwise
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema
from typing_extensions import override


class Described(GenerateJsonSchema):
    """A schema whose properties have the text below their field as description, and their defaults."""

    @override
    def get_default_value(self, schema: Any) -> Any:
        """A model's default as well: it is made by a factory, so that importing its owner makes no validator."""
        factory = schema.get("default_factory")
        known = factory is not None and not schema.get("default_factory_takes_data")
        return factory() if known else super().get_default_value(schema)

    def model_schema(self, schema: Any) -> dict[str, Any]:
        """As pydantic makes it, with descriptions."""
        found = super().model_schema(schema)
        properties, model = found.get("properties", {}), schema["cls"]
        for name, text in described(model).items():
            field = model.model_fields.get(name)
            alias = field and (field.serialization_alias if self.mode == "serialization" else field.validation_alias)
            for key in (alias, name):
                if key in properties:
                    properties[key].setdefault("description", text)
        if "const" in properties.get("kind", {}):
            properties["kind"].setdefault("description", "Chooses these keys among the kinds that may stand here.")
        return found


@cache
def described(model: type[BaseModel]) -> dict[str, str]:
    """The text below each field of a model that has one, its bases' fields included."""
    found: dict[str, str] = {}
    for base in reversed(model.__mro__):
        if issubclass(base, BaseModel) and base is not BaseModel:
            found |= _texts(base)
    return found


def _texts(model: type[BaseModel]) -> dict[str, str]:
    (definition,) = ast.parse(textwrap.dedent(inspect.getsource(model))).body
    return {
        field.target.id: inspect.cleandoc(below.value.value)
        for field, below in pairwise(getattr(definition, "body", ()))
        if isinstance(field, ast.AnnAssign)
        and isinstance(field.target, ast.Name)
        and isinstance(below, ast.Expr)
        and isinstance(below.value, ast.Constant)
        and isinstance(below.value.value, str)
    }
