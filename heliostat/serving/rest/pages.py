"""What an application says of itself: OpenAPI with the paths that clients see, and a page that is whole in itself."""

from __future__ import annotations

import html
import json
from typing import Any

from pydantic.json_schema import models_json_schema

from heliostat.ml.contracts import Contract
from heliostat.serving.bodies import envelope_of
from heliostat.serving.inference.signature import Signature
from heliostat.serving.rest import inference_pages
from heliostat.spec.workload import Limits

_PROBLEM = {
    "type": "object",
    "required": ["detail"],
    "properties": {
        "detail": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["type", "loc", "msg"],
                "properties": {
                    "type": {"type": "string"},
                    "loc": {"type": "array", "items": {"anyOf": [{"type": "string"}, {"type": "integer"}]}},
                    "msg": {"type": "string"},
                    "input": {},
                },
            },
        }
    },
}
_TEXT = {"type": "object", "required": ["detail"], "properties": {"detail": {"type": "string"}}}


def openapi(contract: Contract[Any, Any], version: str, public_path: str, limits: Limits) -> dict[str, Any]:
    """The OpenAPI 3.1 document."""
    row, answer = contract.row, contract.answer
    many, answers = envelope_of(row, limits.max_rows), envelope_of(answer, limits.max_rows)
    models = [(row, "validation"), (many, "validation"), (answer, "serialization"), (answers, "serialization")]
    _, schemas = models_json_schema(models, ref_template="#/components/schemas/{model}")  # type: ignore[arg-type]
    schemas["$defs"].update({"Problems": _PROBLEM, "Error": _TEXT, **inference_pages.SCHEMAS})
    inference = inference_pages.paths(contract, Signature.of(contract), public_path, public_path.strip("/"))
    return {
        "openapi": "3.1.0",
        "info": {"title": contract.title, "description": contract.description, "version": version},
        "paths": {
            f"{public_path}/predict": {"post": _predict(contract, many.__name__, answers.__name__, limits)},
            f"{public_path}/healthz": {"get": _get("healthz", "Which version answers.")},
            f"{public_path}/openapi.json": {"get": _get("openapi", "This document.")},
            **inference,
        },
        "components": {"schemas": schemas["$defs"]},
    }


def _predict(contract: Contract[Any, Any], many: str, answers: str, limits: Limits) -> dict[str, Any]:
    examples = [example.model_dump(mode="json") for example in contract.examples]
    request = {
        "schema": {"oneOf": [_ref(contract.row.__name__), _ref(many)]},
        "examples": {"one row": {"value": examples[0]}, "many rows": {"value": {"rows": examples}}},
    }
    found = {"schema": {"oneOf": [_ref(contract.answer.__name__), _ref(answers)]}}
    return {
        "operationId": "predict",
        "summary": contract.title,
        "description": f"One row, or at most {limits.max_rows} in a body of at most {limits.max_body_bytes} bytes.",
        "requestBody": {"required": True, "content": {"application/json": request}},
        "responses": {
            "200": {"description": "The answer, or the answers in the rows' order.", "content": {"application/json": found}},
            "400": _error("The body is not in the encoding that its content-encoding names."),
            "413": _error("The body is too large."),
            "415": _error("The body is not JSON, or in an encoding that is not taken: gzip and deflate are."),
            "422": {
                "description": "The body does not fit; each mistake with its path.",
                "content": {"application/json": {"schema": {"oneOf": [_ref("Problems"), _ref("Error")]}}},
            },
        },
    }


def _get(name: str, what: str) -> dict[str, Any]:
    return {"operationId": name, "summary": what, "responses": {"200": {"description": what}}}


def _error(what: str) -> dict[str, Any]:
    return {"description": what, "content": {"application/json": {"schema": _ref("Error")}}}


def _ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


def docs(contract: Contract[Any, Any], public_path: str) -> str:
    """A page with the fields of a row and a form to try a request; no script, style or font from another server."""
    example = json.dumps(contract.examples[0].model_dump(mode="json"), indent=2)
    fields = "".join(
        f"<tr><td><code>{html.escape(name)}</code><td>{html.escape(field.description or '')}"
        for name, field in contract.row.model_fields.items()
    )
    return _PAGE.format(
        title=html.escape(contract.title),
        description=html.escape(contract.description),
        fields=fields,
        example=html.escape(example),
        path=html.escape(public_path),
    )


_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{title}</title>
<style>
body{{font:16px/1.5 system-ui,sans-serif;max-width:46rem;margin:2rem auto;padding:0 1rem}}
td{{padding:.2rem 1rem .2rem 0;vertical-align:top}}
textarea{{width:100%;height:13rem;font:14px/1.4 monospace}}
pre{{background:#f3f3f3;padding:1rem;overflow:auto}}
button{{font:inherit;padding:.3rem 1rem}}
@media(prefers-color-scheme:dark){{body{{background:#16181c;color:#ddd}}pre,textarea{{background:#22252b;color:#ddd}}a{{color:#8bf}}}}
</style>
<h1>{title}</h1><p>{description}<p><code>POST {path}/predict</code> takes one row as an object, or many as
<code>{{"rows": [...]}}</code>. <a href="{path}/openapi.json">OpenAPI</a>
<table>{fields}</table>
<h2>Try it</h2><form><label for="body">Request</label><textarea id="body" spellcheck="false">{example}</textarea>
<p><button>Send</button></form><pre id="answer" aria-live="polite"></pre>
<script>
document.querySelector("form").addEventListener("submit", async (event) => {{
  event.preventDefault();
  const answer = document.getElementById("answer");
  try {{
    const response = await fetch("{path}/predict", {{method: "POST", headers: {{"content-type": "application/json"}},
      body: document.getElementById("body").value}});
    answer.textContent = response.status + " " + JSON.stringify(await response.json(), null, 2);
  }} catch (error) {{ answer.textContent = String(error); }}
}});
</script></html>
"""
