import os

import pytest
import yaml

from bench.commands import MeasurementError
from bench.session import SOURCE
from bench.workspace import Workspace, until
from heliostat.testing import load_stack


def test_a_workspace_has_all_that_a_checkout_needs_and_nothing_of_the_real_one_is_written(tmp_path):
    workspace = Workspace(SOURCE, tmp_path / "checkout")
    workspace.make()
    root = tmp_path / "checkout"
    assert (root / "infra" / "__main__.py").is_file()
    assert (root / "workloads" / "flights" / "workload.py").is_file()
    assert not (root / "infra").is_symlink()
    assert (root / "heliostat").readlink() == SOURCE / "heliostat"
    assert not (root / "tests").exists()
    assert load_stack(root).workloads.keys() == {"flights"}
    assert os.fspath(root) in workspace.environment["PULUMI_BACKEND_URL"]


def test_edits_of_the_config_add_up_and_leave_what_the_engine_wrote_into_it(tmp_path):
    workspace = Workspace(SOURCE, tmp_path / "checkout")
    workspace.make()
    file = tmp_path / "checkout" / "configs" / "Pulumi.local.yaml"
    file.write_text(file.read_text().replace("encryptionsalt: v1:", "encryptionsalt: v1:salt:"))
    workspace.edit("workloads", lambda workloads: workloads["flights"].update(gate={"margin": 0.1}))
    workspace.edit("workloads", lambda workloads: workloads["flights"].update(serving={"replicas": 1}))
    config = yaml.safe_load(file.read_text())
    assert config["encryptionsalt"].startswith("v1:salt:")
    flights = config["config"]["heliostat:workloads"]["flights"]
    assert flights["gate"] == {"margin": 0.1}
    assert flights["serving"] == {"replicas": 1}
    assert set(flights) >= {"gate", "serving"}


def test_waiting_tells_how_long_it_took_and_ends_with_an_error_where_it_is_in_vain():
    answers = iter([False, False, True])
    assert until(lambda: next(answers), "it", 5, every=0.01) >= 0.02
    with pytest.raises(MeasurementError, match=r"the moon rises: not within 0\.05 s"):
        until(lambda: False, "the moon rises", 0.05, every=0.01)
