"""From a schema to what it expects of single rows while serving. Pure."""

from __future__ import annotations

from heliostat.data.schema import ColumnExpectations, Schema
from heliostat.spec.expectations import ExpectedField

ENVIRONMENT = "serving"


def of_requests(schema: Schema) -> dict[str, ExpectedField]:
    """What is expected of each feature in a request. Where a share of rows may be missing, infinite or unknown, each single
    row may be: it is a data set that is held to shares.

    Raises:
        ValueError: the schema has no environment `serving`.
    """
    expected = schema.expected_in(ENVIRONMENT)
    return {name: _field(expected[name]) for name in schema.features if name in expected}


def _field(column: ColumnExpectations) -> ExpectedField:
    length = column.length
    return ExpectedField(
        type=column.type,
        required=not column.max_missing,
        finite=not column.max_infinite,
        minimum=column.minimum,
        maximum=column.maximum,
        values=column.values if not column.max_unknown else None,
        min_length=(length.minimum or None) if length is not None else None,
        max_length=length.maximum if length is not None else None,
    )
