"""The code of an entry point: which files it is, and when its digest changes."""

from pathlib import Path

import pytest

from heliostat.spec.code import CodeError, code_digest, code_of, controllers_digest, library_of, others_of


@pytest.fixture
def root(tmp_path: Path) -> Path:
    files = {
        "workloads/__init__.py": "",
        "workloads/birds/__init__.py": "",
        "workloads/birds/train.py": "import numpy\nfrom workloads.birds import features\nfrom .names import NAMES\n",
        "workloads/birds/features.py": "def f(): import workloads.birds.lazy\n",
        "workloads/birds/names.py": "NAMES = ()\n",
        "workloads/birds/lazy.py": "",
        "workloads/birds/contract.py": "from workloads.birds.features import f\n",
        "workloads/birds/unused.py": "",
    }
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


def test_the_code_is_what_the_entry_point_imports_directly_or_not(root: Path) -> None:
    assert code_of(root, "workloads.birds.train:train").files == (
        "workloads/__init__.py",
        "workloads/birds/__init__.py",
        "workloads/birds/features.py",
        "workloads/birds/lazy.py",
        "workloads/birds/names.py",
        "workloads/birds/train.py",
    )


def test_the_digest_changes_with_a_file_that_is_imported(root: Path) -> None:
    before = code_of(root, "workloads.birds.train:train").digest
    (root / "workloads/birds/names.py").write_text("NAMES = ('wren',)\n")
    assert code_of(root, "workloads.birds.train:train").digest != before


def test_the_digest_stays_when_another_entry_point_s_code_changes(root: Path) -> None:
    before = code_of(root, "workloads.birds.train:train").digest
    (root / "workloads/birds/contract.py").write_text("# reworded\n")
    (root / "workloads/birds/unused.py").write_text("x = 1\n")
    assert code_of(root, "workloads.birds.train:train").digest == before


def test_the_digest_does_not_hang_on_where_the_checkout_lies(root: Path) -> None:
    code = code_of(root, "workloads.birds.train:train")
    assert code_digest(root, reversed(code.files)) == code.digest


def test_a_renamed_file_is_another_code(root: Path) -> None:
    assert code_digest(root, ["workloads/birds/lazy.py"]) != code_digest(root, ["workloads/birds/unused.py"])


def test_a_module_that_is_not_there_is_an_error_that_names_it(root: Path) -> None:
    with pytest.raises(CodeError, match=r"workloads\.birds\.trian"):
        code_of(root, "workloads.birds.trian:train")


def test_a_file_that_does_not_parse_is_an_error_with_its_line(root: Path) -> None:
    (root / "workloads/birds/names.py").write_text("\nNAMES = (\n")
    with pytest.raises(CodeError, match=r"workloads/birds/names\.py:2"):
        code_of(root, "workloads.birds.train:train")


def test_the_controllers_own_code_has_a_digest_that_changes_with_any_of_its_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "heliostat"
    for name in ("controller/a.py", "rollout/b.py", "spec/c.py", "systems/deep/d.py", "cli/e.py"):
        (package / name).parent.mkdir(parents=True, exist_ok=True)
        (package / name).write_text("1")
    monkeypatch.setattr("heliostat.__file__", str(package / "__init__.py"))
    first = controllers_digest()
    (package / "cli/e.py").write_text("2")
    assert controllers_digest() == first, "a controller does not load it"
    (package / "systems/deep/d.py").write_text("2")
    assert controllers_digest() != first


def test_the_library_s_part_is_what_its_modules_and_the_workloads_import(root: Path) -> None:
    assert library_of(root, "heliostat.spec.base")[:2] == ("heliostat/__init__.py", "heliostat/spec/__init__.py")
    alone = set(library_of(root, "heliostat.ml.pyfunc"))
    assert {"heliostat/ml/pyfunc.py", "heliostat/ml/contracts.py", "heliostat/spec/base.py"} <= alone
    (root / "workloads/birds/late.py").write_text("def f():\n    from heliostat.ml import metrics\n")
    assert set(library_of(root, "heliostat.ml.pyfunc")) - alone >= {"heliostat/ml/metrics.py"}


@pytest.fixture
def shared(root: Path) -> Path:
    """A checkout whose workload imports helpers from beside the folder of workloads."""
    files = {
        "shared/__init__.py": "",
        "shared/text.py": "from shared.deep import words\n",
        "shared/deep/words.py": "import dates\n",
        "dates.py": "",
        "statistics_of_ours/unused.py": "",
        "workloads/birds/train.py": "import numpy, json\nfrom shared import text\nfrom heliostat.ml import metrics\n",
    }
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def test_helpers_that_are_named_travel_with_the_code_and_count_in_its_digest(shared: Path) -> None:
    before = code_of(shared, "workloads.birds.train:train", sources=("shared", "dates"))
    assert set(before.files) >= {"shared/__init__.py", "shared/text.py", "shared/deep/words.py", "dates.py"}
    assert "statistics_of_ours/unused.py" not in before.files
    (shared / "dates.py").write_text("DAY = 1\n")
    assert code_of(shared, "workloads.birds.train:train", sources=("shared", "dates")).digest != before.digest


def test_helpers_that_are_not_named_are_told_with_the_file_and_the_fix(shared: Path) -> None:
    with pytest.raises(CodeError) as told:
        code_of(shared, "workloads.birds.train:train")
    text = str(told.value)
    assert "workloads/birds/train.py imports shared/text.py, which does not travel with the code" in text
    assert "add 'shared' to `sources` in heliostat.toml, or move it below workloads/" in text


def test_a_helper_of_a_helper_is_told_too(shared: Path) -> None:
    with pytest.raises(CodeError, match=r"shared/deep/words\.py imports dates\.py"):
        code_of(shared, "workloads.birds.train:train", sources=("shared",))


def test_an_entry_point_may_stand_in_a_named_package(shared: Path) -> None:
    assert code_of(shared, "shared.text:f", sources=("shared", "dates")).files[0] == "dates.py"
    with pytest.raises(CodeError, match=r"'shared\.text' is not in .*/workloads:"):
        code_of(shared, "shared.text:f")


def test_what_is_imported_from_elsewhere_is_neither_python_s_nor_ours_nor_the_repository_s(shared: Path) -> None:
    assert others_of(shared, ["workloads/birds/train.py", "shared/text.py"]) == {"numpy"}
