"""What goes into a package: the workload's code, the library's part of it, the model's files, and what each was.

Both kinds of code lie below a namespace of the package's own, `<package>._code`. So packages of two versions of the library
live beside each other, and beside an installed one.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import heliostat
from heliostat.ml.contracts import Contract
from heliostat.packaging import schemas
from heliostat.serving.postprocessing import Steps
from heliostat.spec.base import EntryPoint
from heliostat.spec.code import code_digest, code_of, digest_of, library_of, others_of
from heliostat.spec.postprocessing import PostprocessingStep, step_functions
from heliostat.spec.publications import PackageDigests
from heliostat.systems.file_digests import sha256_of

RUNTIME: Final = "heliostat.packaging.runtime"
_ALWAYS: Final = ("numpy", "pydantic")
"""What contracts and predictors stand on."""
_BEHIND: Final = {"heliostat/ml/frameworks/lightgbm/booster.py": "lightgbm"}
"""Packages that modules of the library use without an import."""
_NEVER: Final = frozenset({"ray", "mlflow", "pulumi"})


class PackageError(ValueError):
    """A model cannot be made a package; the text says why, and what to do."""


@dataclass(frozen=True)
class Contents:
    """What goes into the package of one model."""

    distribution: str
    application: str
    entry_point: EntryPoint
    """Of the contract, in the code below `root`."""
    contract: Contract[Any, Any]
    root: Path
    """What the code's files are relative to."""
    model: Path
    """The folder that the predictor loads from."""
    model_uri: str
    data_digest: str
    steps: tuple[PostprocessingStep, ...] = ()
    """What the model's answers pass through."""
    lists: Mapping[str, str] = field(default_factory=dict)
    """The content of the lists that steps read, by its digest."""

    @property
    def loaded_steps(self) -> Steps | None:
        """The steps; None where there are none."""
        return Steps(self.steps, lambda source: self.lists[source.digest], self.contract.answer) if self.steps else None

    @cached_property
    def code(self) -> tuple[str, ...]:
        """The workload's files, relative to `root`."""
        tops = sorted({path.relative_to(self.root).parts[0].removesuffix(".py") for path in self.root.rglob("*.py")})
        return code_of(self.root, self.entry_point, *step_functions(self.steps), sources=tops).files

    @cached_property
    def library(self) -> tuple[str, ...]:
        """The library's files, relative to the folder that it is in."""
        return library_of(self.root, RUNTIME, files=self.code)

    @cached_property
    def model_files(self) -> tuple[str, ...]:
        """The model's files, relative to `model`."""
        return tuple(sorted(path.relative_to(self.model).as_posix() for path in self.model.rglob("*") if path.is_file()))

    @cached_property
    def requirements(self) -> tuple[tuple[str, str], ...]:
        """Distributions that it cannot do without, and the version of each that is installed here.

        Raises:
            PackageError: Ray, MLflow or Pulumi is among them.
        """
        behind = [package for file, package in _BEHIND.items() if file in self.library]
        others = others_of(self.root, self.code)
        if heavy := sorted(others & _NEVER):
            raise PackageError(
                f"{self.entry_point} imports {', '.join(heavy)}, directly or not: what trains or declares belongs into a "
                "module that neither the contract nor the predictor imports"
            )
        names = dict.fromkeys([*_ALWAYS, *behind, *_distributions(others - {*_ALWAYS})])
        return tuple((name, importlib.metadata.version(name)) for name in names)

    @property
    def requires_python(self) -> str:
        """The Pythons that it is for: what its code was tried with, and later ones."""
        return f">={sys.version_info.major}.{sys.version_info.minor}"

    @cached_property
    def digests(self) -> PackageDigests:
        """What it is made of."""
        own = Path(__file__).parent
        made_by = (path.relative_to(library_top()).as_posix() for path in own.glob("*.py"))
        return PackageDigests(
            code=code_digest(self.root, self.code),
            library=digest_of(library_top(), {*self.library, *made_by}),
            model=_digest_of_files(self.model, self.model_files),
            data=self.data_digest,
            row=schemas.digest_of(schemas.row_schema(self.contract.row)),
            answer=schemas.digest_of(schemas.answer_schema(self.contract.answer)),
        )

    @cached_property
    def identity(self) -> str:
        """The same for the same wheel but for its version."""
        parts = [self.distribution, self.application, self.entry_point, self.model_uri, self.requires_python]
        parts += [f"{name}=={version}" for name, version in self.requirements]
        parts.append(self.digests.model_dump_json())
        parts += [step.label for step in self.steps]
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def library_top() -> Path:
    """The folder that the library's package is in."""
    return Path(heliostat.__file__).parents[1]


def _digest_of_files(root: Path, files: Iterable[str]) -> str:
    digest = hashlib.sha256()
    for name in files:
        digest.update(f"{name}\0{sha256_of(root / name)}\0".encode())
    return digest.hexdigest()


def _distributions(modules: Iterable[str]) -> list[str]:
    there = importlib.metadata.packages_distributions()
    return sorted({there[module][0] for module in modules if there.get(module)})
