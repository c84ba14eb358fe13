"""`heliostat convert`: where its files go, what it declares, and what it refuses."""

from pathlib import Path

import pytest

from heliostat.scaffold import rendering, template

SCRIPT = (
    "from sklearn.datasets import load_iris\nfrom sklearn.linear_model import LogisticRegression\n"
    "X, y = load_iris(return_X_y=True)\nmodel = LogisticRegression(C=0.3, max_iter=300).fit(X, y)\n"
)


@pytest.fixture
def project(desk, monkeypatch):
    """A repository of one's own, with a script."""
    folder = desk.folder.parent / "platform"
    for path, text in rendering.repository(template.read(), "platform").items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    (folder / "iris.py").write_text(SCRIPT)
    monkeypatch.chdir(folder)
    return folder


def test_a_workload_is_made_and_declared_where_a_stack_is_named(project, desk):
    config = project / "configs/Pulumi.local.yaml"
    before = config.read_text()
    ran = desk("convert", "iris.py", "--name", "little-iris", "--no-run", "--interface", "both", "-s", "local")
    assert ran.code == 0, ran.err
    assert "Created workloads/little_iris/flow.yaml" in ran.out
    assert "Changed configs/Pulumi.local.yaml" in ran.out
    assert "little-iris:" in config.read_text()
    assert config.read_text().startswith(before.splitlines()[0])
    assert "interface: both" in (project / "workloads/little_iris/flow.yaml").read_text()
    assert "the source was not run" in (project / "workloads/little_iris/QUESTIONS.md").read_text()


def test_without_a_stack_the_lines_to_add_are_shown_and_no_config_is_touched(project, desk):
    before = (project / "configs/Pulumi.local.yaml").read_text()
    ran = desk("convert", "iris.py", "--name", "flowers", "--no-run")
    assert "    flowers:" in ran.err
    assert (project / "configs/Pulumi.local.yaml").read_text() == before


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("iris.py", "--name", "Iris"), "cannot be called 'Iris'"),
        (("iris.py", "--name", "tumours"), "is there already"),
        (("gone.py", "--name", "flowers"), "cannot read gone.py"),
        (("Pulumi.yaml", "--name", "flowers"), "is neither a notebook"),
        (("iris.py", "--name", "flowers", "-s", "gone"), "which would declare the workload"),
        (("runs:/abc", "--name", "flowers"), "--tracking-uri"),
        (("runs:/abc", "--name", "flowers", "--tracking-uri", "sqlite:///mlflow.db"), "a store, sqlite:…: serve it"),
    ],
)
def test_what_cannot_be_converted_is_refused_and_nothing_is_made(project, desk, arguments, text, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    ran = desk("convert", *arguments)
    assert (ran.code, text in ran.err) == (2, True), ran.err
    assert not (project / "workloads/flowers").exists()


def test_a_repository_elsewhere_is_named(project, desk, tmp_path):
    desk.ok("convert", "iris.py", "--name", "flowers", "--no-run", "--out", str(tmp_path))
    assert (Path(tmp_path) / "workloads/flowers/train.py").exists()
