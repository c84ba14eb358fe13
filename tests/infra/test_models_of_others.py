"""Workloads without code: what the config may say of them, and what the program refuses of their contracts."""

import pulumi
import pytest

from heliostat import program
from heliostat.spec.stack import ConfigError, parse

LOCAL = {"kind": "local"}


def stack(known=("rents",), **workload):
    return parse({"platform": LOCAL, "workloads": {"rents": workload}}, "Pulumi.local.yaml", known)


@pytest.mark.parametrize(
    "address",
    ["models:/rents/3", "models:/rents@champion", f"models:/m-{'0' * 32}", f"runs:/{'a' * 32}/model", "s3://bucket/a/model",
     "gs://bucket/model", "file:///models/rents", "models:/Rents of flats/1"],
)  # fmt: skip
def test_every_address_of_mlflow_s_can_be_named(address):
    if " " in address:
        with pytest.raises(ConfigError, match=r"workloads\.rents\.mlflow"):
            stack(mlflow=address)
    else:
        assert stack(mlflow=address).workloads["rents"].mlflow == address


@pytest.mark.parametrize(
    "address", ["models:/rents", "rents/3", "models:/rents/0", "runs:/1/model", "http://mlflow/rents", "s3://bucket"]
)
def test_what_names_no_model_is_refused(address):
    with pytest.raises(ConfigError, match=r"workloads\.rents\.mlflow"):
        stack(mlflow=address)


@pytest.mark.parametrize("key", ["model", "training", "gate"])
def test_what_would_do_nothing_beside_a_model_of_others_is_refused(key):
    given = {"model": "models:/rents/1", "training": {"maxFailures": 1}, "gate": {"margin": 0.1}}[key]
    with pytest.raises(ConfigError, match=f"`{key}` would do nothing"):
        stack(mlflow="models:/rents/3", **{key: given})


def test_predictions_beforehand_are_of_files_or_a_query_and_a_package_is_refused_with_a_way_out():
    files = {"source": {"kind": "parquet", "uri": "s3://bucket/rows"}, "key": ["number"], "sink": {"kind": "sqlite"}}
    lookup = {"serving": {"lookup": {"batch": "nightly"}}}
    found = stack(mlflow="models:/rents/3", batch={"nightly": files}, **lookup).workloads["rents"]
    assert found.batch["nightly"].key == ("number",)
    with pytest.raises(ConfigError, match=r"batch\.nightly\.source is a split of the workload's snapshot, .*`parquet` files"):
        stack(mlflow="models:/rents/3", batch={"nightly": {**files, "source": {"kind": "snapshot"}}})
    with pytest.raises(ConfigError, match=r"`package` is for a workload with code.*answers made beforehand \(`batch`\)"):
        stack(mlflow="models:/rents/3", package={})


def test_a_contract_that_is_not_there_yet_is_made_by_a_command():
    with pytest.raises(ConfigError, match="`heliostat contract rents` writes it"):
        stack((), mlflow="models:/rents/3")


def test_it_needs_no_room_for_a_training():
    small = {**LOCAL, "ray": {"head": {"cpus": 1}, "workers": {"count": 0}}}
    serving = {"replicas": 1}
    given = {"platform": small, "workloads": {"rents": {"mlflow": "models:/rents/3", "serving": serving}}}
    assert parse(given, "f", ("rents",)).workloads["rents"].mlflow


def test_code_beside_a_contract_and_a_contract_without_a_model_are_refused_at_once(tmp_path):
    for name, file in (("coded", "workload.py"), ("bare", "contract.yaml"), ("open_one", "contract.yaml")):
        (tmp_path / "workloads" / name).mkdir(parents=True)
        (tmp_path / "workloads" / name / file).write_text("title: 'TODO: a title'\n")
    given = {"coded": {"mlflow": "models:/a/1"}, "bare": {}, "open-one": {"mlflow": "models:/b/1"}}
    declared = parse({"platform": LOCAL, "workloads": given}, "f", tuple(given))
    with pytest.raises(pulumi.RunError) as refused:
        program._contracts(declared, tmp_path)
    told = str(refused.value)
    assert "coded has code of its own (workloads/coded/workload.py)" in told
    assert "bare has a contract and no code" in told
    assert "workloads/open_one/contract.yaml:1:8: title: is still to be answered: a title" in told
