"""The source tree that a package's wheel is built from."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any, Final

from heliostat.packaging.contents import Contents, PackageError, library_top
from heliostat.packaging.runtime import ABOUT_FILE, LISTS_FOLDER, MODEL_FOLDER
from heliostat.packaging.vendoring import moved
from heliostat.spec.packages import import_name

CODE: Final = "_code"
"""The package's own namespace, with copies of the library and of the workload."""

_MODULE: Final = '''"""{title}: {description}

`{distribution}` {version} is the model {model_uri} with its features and its contract.

    from {module} import Row, predict

    predict({{...}})      one row: a mapping as its JSON, or a `Row`
    predict([...])        many, in their order

It takes, refuses and answers as the service does.{steps}
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, overload

from {code}.heliostat.packaging.runtime import PackagedModel, RowsError, SchemaError, StepError
from {code}.{contract_module} import {contract_name} as _CONTRACT
{types}

__all__ = ["Answer", "Model", "Row", "RowsError", "SchemaError", "StepError", "__version__", "predict"]
__version__ = "{version}"


class Model(PackagedModel[Row, Answer]):
    """The model, loaded. Safe to use from several threads."""

    def __init__(self) -> None:
        super().__init__(_CONTRACT, Path(__file__).parent, "{code}")


@overload
def predict(rows: Row | Mapping[str, Any]) -> Answer: ...
@overload
def predict(rows: Sequence[Row | Mapping[str, Any]]) -> list[Answer]: ...
def predict(rows: Row | Mapping[str, Any] | Sequence[Row | Mapping[str, Any]]) -> Answer | list[Answer]:
    """The answer to one row, or the answers to many in their order; the model is loaded at the first call.

    Raises:
        RowsError: rows that the service would refuse too, with every mistake.
        SchemaError: rows of another contract's type.
    """
    return _model().predict(rows)


@cache
def _model() -> Model:
    return Model()
'''

_README: Final = """# {distribution} {version}

{description}

The model `{model_uri}` as a library: its files, its features and its contract, without Ray and without MLflow.

| | |
| --- | --- |
| application | {application} |
| model | {model_uri} |
| SHA-256 of the code | {digests.code} |
| SHA-256 of the library's part | {digests.library} |
| SHA-256 of the model's files | {digests.model} |
| SHA-256 of the training's data | {data} |
| SHA-256 of a row's schema | {digests.row} |
| SHA-256 of an answer's schema | {digests.answer} |

`pip install '{distribution}[exact]'` takes the very versions of its requirements that it was tried with.
"""

_PROJECT: Final = """[build-system]
requires = ["setuptools>=80"]
build-backend = "setuptools.build_meta"

[project]
name = {distribution}
version = {version}
description = {summary}
readme = "README.md"
requires-python = {requires_python}
dependencies = {dependencies}

[project.optional-dependencies]
exact = {exact}

[tool.setuptools.packages.find]
where = ["src"]
namespaces = false

[tool.setuptools.package-data]
{module} = {data}
"""


def write(folder: Path, contents: Contents, version: str) -> None:
    """Write the tree into `folder`, which is empty.

    Raises:
        PackageError: a requirement that no package may have, or a source that cannot be moved.
    """
    module = import_name(contents.distribution)
    package = folder / "src" / module
    code = package / CODE
    _move(contents.root, contents.code, code, contents, module)
    _move(library_top(), contents.library, code, contents, module)
    (code / "__init__.py").write_text('"""Copies of the library and of the workload, for this package alone."""\n')
    for name in contents.model_files:
        target = package / MODEL_FOLDER / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(contents.model / name, target)
    for digest, text in contents.lists.items():
        (package / LISTS_FOLDER).mkdir(exist_ok=True)
        (package / LISTS_FOLDER / f"{digest}.txt").write_text(text, "utf-8")
    (package / "py.typed").touch()
    (package / ABOUT_FILE).write_text(json.dumps(about(contents, version), indent=2) + "\n")
    (package / "__init__.py").write_text(_module(contents, version, module))
    (folder / "README.md").write_text(_readme(contents, version))
    (folder / "pyproject.toml").write_text(_project(contents, version, module))


def about(contents: Contents, version: str) -> dict[str, Any]:
    """What the package says of itself, for programs."""
    return {
        "distribution": contents.distribution,
        "version": version,
        "application": contents.application,
        "modelUri": contents.model_uri,
        "digests": contents.digests.model_dump(mode="json", by_alias=True),
        "requirements": dict(contents.requirements),
        **({"postprocessing": [step.model_dump(mode="json") for step in contents.steps]} if contents.steps else {}),
    }


def _move(root: Path, files: tuple[str, ...], target: Path, contents: Contents, module: str) -> None:
    tops = {name.partition("/")[0].removesuffix(".py") for name in (*contents.code, *contents.library)}
    for name in files:
        copy = target / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(moved((root / name).read_text("utf-8"), name, tops, f"{module}.{CODE}").encode())
        # A folder without one is a namespace to Python, and nothing to what builds the wheel.
        for parent in copy.parents:
            if parent == target:
                break
            (parent / "__init__.py").touch()


def _module(contents: Contents, version: str, module: str) -> str:
    contract_module, _, contract_name = contents.entry_point.partition(":")
    return _MODULE.format(
        title=_prose(contents.contract.title),
        description=_prose(contents.contract.description),
        distribution=contents.distribution,
        version=version,
        model_uri=contents.model_uri,
        module=module,
        code=f"{module}.{CODE}",
        contract_module=contract_module,
        contract_name=contract_name,
        steps=_told_steps(contents),
        types="\n".join((_type(contents, "row", "Row", module), _type(contents, "answer", "Answer", module))),
    )


def _type(contents: Contents, attribute: str, name: str, module: str) -> str:
    """How the row's or the answer's type is had: by its own name, which type checkers follow, where it has one."""
    kind: Any = getattr(contents.contract, attribute)
    module_of, called = str(kind.__module__), str(kind.__qualname__)
    file = module_of.replace(".", "/")
    ours = {f"{file}.py", f"{file}/__init__.py"} & {*contents.code, *contents.library}
    if ours and called.isidentifier() and getattr(sys.modules[module_of], called, None) is kind:
        return f"from {module}.{CODE}.{module_of} import {called} as {name}"
    return f"{name} = _CONTRACT.{attribute}"


def _told_steps(contents: Contents) -> str:
    told = ", ".join(step.label for step in contents.steps)
    return f" Its answers pass through {told}; lists are as they were when it was made." if told else ""


def _readme(contents: Contents, version: str) -> str:
    return _README.format(
        distribution=contents.distribution,
        version=version,
        description=contents.contract.description,
        application=contents.application,
        model_uri=contents.model_uri,
        digests=contents.digests,
        data=contents.data_digest or "not known to the registry",
    )


def _project(contents: Contents, version: str, module: str) -> str:
    given = {
        "distribution": contents.distribution,
        "version": version,
        "summary": _prose(contents.contract.description),
        "requires_python": contents.requires_python,
        "dependencies": [_range(name, installed) for name, installed in contents.requirements],
        "exact": [f"{name}=={installed}" for name, installed in contents.requirements],
        "data": ["py.typed", ABOUT_FILE, f"{MODEL_FOLDER}/**/*", *([f"{LISTS_FOLDER}/*.txt"] if contents.lists else [])],
    }
    # JSON's strings and lists of them are TOML's.
    return _PROJECT.format(module=module, **{name: json.dumps(value) for name, value in given.items()})


def _range(name: str, installed: str) -> str:
    """From what is installed here up to the next version that may break."""
    release = installed.partition("+")[0].split(".")
    if not release[0].isdigit():
        raise PackageError(f"{name} is installed as {installed}, which is no version to require: install a release")
    major, minor = int(release[0]), int(release[1]) if len(release) > 1 and release[1].isdigit() else 0
    return f"{name}>={major}.{minor},<{major + 1 if major else f'0.{minor + 1}'}"


def _prose(text: str) -> str:
    return " ".join(text.split()).replace("\\", "").replace('"""', "'''")
