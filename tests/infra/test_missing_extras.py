"""A platform whose packages are not installed says which extra brings them."""

import sys
from pathlib import Path

import pulumi
import pytest

from heliostat import program
from heliostat.spec.stack import Stack
from tests.platforms.gcp_specs import spec_of


@pytest.mark.parametrize(("package", "extra"), [("pulumi_gcp", "gcp,kubernetes"), ("pulumi_kubernetes", "kubernetes")])
def test_a_platform_whose_packages_are_not_installed_names_the_extra(
    package: str, extra: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.startswith("heliostat.platforms.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)  # type: ignore[arg-type]
    with pytest.raises(pulumi.RunError, match=rf"needs the package {package}.*heliostat\[{extra}\]"):
        program._with_its_packages(Stack(platform=spec_of()), tmp_path)
