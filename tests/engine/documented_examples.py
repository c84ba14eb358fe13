"""Runs the examples of an SDK's documentation on the SDK's own mocks, and says what its schemas would refuse of them.

`python documented_examples.py PACKAGE MODULE...` prints the number of resources, and each mistake on a line.
"""

from __future__ import annotations

import contextlib
import inspect
import io
import re
import sys
import textwrap
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import pulumi
from pulumi.runtime import mocks, rpc

from heliostat.engine.protocol.language_host import schemas
from heliostat.engine.protocol.language_host.schemas import sdk


class Recording(mocks.Mocks):
    def __init__(self) -> None:
        self.made: list[tuple[str, Mapping[str, Any]]] = []

    def new_resource(self, args: Any) -> Any:
        self.made.append((args.typ, args.inputs))
        return f"{args.name}-id", {}

    def call(self, args: Any) -> Any:
        return {}


def examples(resource: type) -> Iterator[str]:
    documented = inspect.getsource(sys.modules[resource.__module__]).partition("@overload")[2].partition("\n        ...\n")[0]
    for found in re.findall(r"```python\n(.*?)```", textwrap.dedent(documented), re.S):
        yield textwrap.dedent(found)


def made_by(code: str) -> list[tuple[str, Mapping[str, Any]]]:
    recording = Recording()
    mocks.set_mocks(recording, preview=True)

    @pulumi.runtime.test
    def run() -> None:
        exec(compile(code, "example", "exec"), {"__name__": "example"})

    # an example may need what a mock does not answer: what it had made until then counts
    with contextlib.suppress(Exception), contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        run()
    return recording.made


def main(package: str, modules: list[str]) -> None:
    warnings.simplefilter("ignore")
    sdk.sdk_of(package)
    registered = [key for key in rpc._RESOURCE_MODULES if key.split("/")[0] in {f"{package}:{one}" for one in modules}]
    tokens = [token for key in registered for token in rpc._RESOURCE_MODULES[key][0].mod_info["classes"]]  # type: ignore[attr-defined]
    classes = [found for token in tokens if (found := sdk.resource_class(token))]
    made = [one for resource in classes for code in examples(resource) for one in made_by(code)]
    refused = [(token, *mistake) for token, inputs in made for mistake in schemas.mistakes(token, inputs)]
    sys.stdout.write("\n".join([str(len(made)), *map(" ".join, refused), ""]))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
