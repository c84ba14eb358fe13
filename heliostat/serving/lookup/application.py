"""The application of a contract whose answers may be from a table.

    GET  /lookup?<key>=...   the answer for a key: `{"answer": ..., "ageSeconds": ...}`; 404 where nothing was predicted,
                             503 where that is too long ago

All else is as without a lookup: a row of /predict that has a prediction which is new enough is answered with that, and
`x-heliostat-age` says how old it is, in whole seconds; of several rows, the oldest. Without that header the model answered.
"""

from __future__ import annotations

import json
import time
from typing import Any
from urllib.parse import parse_qsl

from pydantic import TypeAdapter, ValidationError
from pydantic_core import to_json

from heliostat.ml.contracts import Contract
from heliostat.serving.bodies import problems
from heliostat.serving.dataplane import Call, DataPlane
from heliostat.serving.errors import HttpError
from heliostat.serving.lookup.predictor import LookupPredictor
from heliostat.serving.lookup.table import LookupTable
from heliostat.serving.rest import pages
from heliostat.serving.rest.application import RestApplication
from heliostat.serving.rest.exchange import JSON, Request, Response, Work
from heliostat.spec.batch import Lookup

_PATH = "/lookup"


class LookupApplication(RestApplication):
    """A `RestApplication` that tells how old its answers are, and answers by keys."""

    def __init__(self, plane: DataPlane, public_path: str, predictor: LookupPredictor, table: LookupTable, settings: Lookup):
        super().__init__(plane, public_path)
        self._predictor, self._table, self._settings = predictor, table, settings
        self._contract: Contract[Any, Any] = plane.contract
        version = plane.version
        document = pages.openapi(plane.contract, version.label, public_path, version.limits)
        document["paths"][f"{public_path}{_PATH}"] = {"get": _described(table.key, plane.contract.answer.__name__)}
        told = json.dumps(document).encode()
        self._routes[("GET", _PATH)] = self._looked_up
        self._routes[("GET", "/openapi.json")] = lambda request, call: (JSON, told)
        predictor.serve()
        table.follow(settings.refresh_seconds)

    def reply(self, request: Request) -> Response | Work:
        """The answer, or where it takes long, how to get it. Never raises."""
        self._predictor.begin()
        reply = super().reply(request)
        if isinstance(reply, Response):
            return self._with_age(reply)

        def work() -> Response:
            self._predictor.begin()
            return self._with_age(reply())

        return work

    def close(self) -> None:
        """Write and store what is still to be logged, and look for no newer predictions."""
        self._table.close()
        super().close()

    def _with_age(self, response: Response) -> Response:
        age = self._predictor.age()
        if age is not None and response.status == 200:
            response.fields = (*response.fields, (b"x-heliostat-age", b"%d" % age))
        return response

    def _looked_up(self, request: Request, call: Call) -> tuple[bytes, bytes]:
        names = self._table.key
        if not names:
            raise HttpError(503, "nothing was predicted yet by this version: its prediction has to run once")
        given = dict(parse_qsl(request.query.decode("latin-1"), keep_blank_values=True))
        if given.keys() != set(names):
            raise HttpError(422, f"give {', '.join(f'{name}=...' for name in names)}, and nothing else")
        key = {name: self._field(name, given[name]) for name in names}
        kept = self._predictor.kept
        found = self._table.find([kept(name, self._value(name, given[name], key[name])) for name in names])
        if found is None:
            raise HttpError(404, f"nothing was predicted for {', '.join(f'{name}={given[name]}' for name in names)}")
        age, limit = max(0.0, time.time() - found.at), self._settings.max_age_seconds
        if limit is not None and age > limit:
            raise HttpError(503, f"the prediction is {age:.0f} s old: at most {limit:g} s are answered (maxAgeSeconds)")
        # Of the row a key tells its own fields: a step that reads another one fails.
        row = self._contract.row.model_construct(**{name: value for name, value in key.items() if value is not None})
        [answer] = self.plane.finished([row], [self._contract.respond(found.value)])
        return JSON, to_json({"answer": answer, "ageSeconds": round(age, 3)})

    def _field(self, name: str, text: str) -> Any:
        """A field of the contract by its type; None of what is none."""
        field = self._contract.row.model_fields.get(name)
        if field is None:
            return None
        adapter: TypeAdapter[Any] = TypeAdapter(field.annotation)
        try:
            return adapter.validate_strings(text)
        except ValidationError as error:
            raise HttpError(422, [{**each, "loc": ["query", name]} for each in problems(error, b"")]) from None

    def _value(self, name: str, text: str, value: Any) -> Any:
        """A key's value as predictors have it."""
        if name not in self._contract.row.model_fields:
            return _number(text)
        row = self._contract.row.model_construct(**{name: value})
        converted: Any = dict(self._contract._converters)[name]([row], name)[0]
        return converted


def _number(text: str) -> int | float | str:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _described(key: tuple[str, ...], answer: str) -> dict[str, Any]:
    parameters = [{"name": name, "in": "query", "required": True, "schema": {"type": "string"}} for name in key]
    schema = {
        "type": "object",
        "required": ["answer", "ageSeconds"],
        "properties": {"answer": {"$ref": f"#/components/schemas/{answer}"}, "ageSeconds": {"type": "number"}},
    }
    error = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
    return {
        "operationId": "lookup",
        "summary": "The answer that was made beforehand for a key.",
        "parameters": parameters,
        "responses": {
            "200": {"description": "The answer and its age.", "content": {"application/json": {"schema": schema}}},
            "404": {"description": "Nothing was predicted for the key.", "content": error},
            "503": {"description": "What was predicted is too old, or nothing was yet.", "content": error},
        },
    }
