"""Flows: what may be said, and what is told of what may not."""

from pathlib import Path

import pytest

from heliostat.spec import flow
from heliostat.spec.code import code_digest, code_of
from heliostat.spec.parameters import JobParameters

GOOD = """
interface: grpc
steps:
  - {name: load, run: "a.b:load", outputs: [rows]}
  - {name: fit, run: "a.b:fit", inputs: {rows: rows}, parameters: {alpha: 0.5}, outputs: [model, figures]}
"""


def mistakes(text, file="flow.yaml"):
    with pytest.raises(flow.FlowError) as refused:
        flow.read(text, file)
    return str(refused.value)


def test_a_flow_is_read_from_yaml_and_from_json():
    read = flow.read(GOOD, "flow.yaml")
    assert flow.read(read.model_dump_json(), "flow.json") == read
    assert read.interface == flow.Interface.GRPC
    assert read.step("fit").outputs == ("model", "figures")


def test_the_committed_schema_of_flows_is_the_one_that_the_models_make():
    committed = Path(__file__).parents[2] / "configs/flow.schema.json"
    assert committed.read_text() == flow.schema_text(), "the schema is stale: run `make schema` and commit it"


def test_a_circle_is_told_with_its_steps():
    told = mistakes(GOOD.replace('run: "a.b:load"', 'run: "a.b:load", inputs: {m: model}'))
    assert "steps: go round in a circle: " in told
    assert "load" in told and "fit" in told


def test_every_mistake_is_told_at_once_with_its_path():
    told = mistakes(
        "interface: soap\nsteps:\n  - {name: a, run: 'm:f', inputs: {x: rwos}, outputs: [rows, rows], colour: red}\n"
        "  - {name: a, run: 'm:g', outputs: []}\n"
    )
    for text in (
        "interface: 'soap' is none of rest, grpc, both",
        "steps[0].colour: there is no such key",
        "steps[0].inputs.x: no step has the output 'rwos'; did you mean 'rows'?",
        "steps[0].outputs[1]: 'rows' is made 2 times",
        "steps[1].name: 'a' is the name of 2 steps",
        "steps[1].outputs: needs at least 1",
    ):
        assert text in told


def test_a_value_that_is_made_later_is_told():
    told = mistakes(
        "steps:\n  - {name: fit, run: 'm:f', inputs: {x: rows}, outputs: [y]}\n  - {name: load, run: 'm:g', outputs: [rows]}\n"
    )
    assert "steps[0].inputs.x: 'rows' is made later, by the step 'load'" in told


def test_a_name_that_is_an_input_and_a_parameter_is_told():
    assert "steps[1].parameters.rows: is an input of this step as well" in mistakes(GOOD.replace("alpha", "rows"))


def test_what_is_no_yaml_is_told():
    assert "flow.yaml cannot be read" in mistakes("steps: [")


def test_a_flow_lies_beside_its_module_once(tmp_path):
    module = tmp_path / "train.py"
    with pytest.raises(flow.FlowError, match="neither is there"):
        flow.beside(str(module))
    (tmp_path / "flow.yaml").write_text(GOOD)
    assert flow.beside(str(module)).step("load").run == "a.b:load"
    (tmp_path / "flow.json").write_text("{}")
    with pytest.raises(flow.FlowError, match="both are there"):
        flow.beside(str(module))


class Fitting(JobParameters):
    alpha: float = 1.0


def test_parameters_of_a_step_stand_over_their_defaults_and_are_checked():
    assert flow.read(GOOD, "flow.yaml").parameters("fit", Fitting) == Fitting(alpha=0.5)
    with pytest.raises(flow.FlowError, match=r"steps\[1\].parameters.alpha"):
        flow.read(GOOD.replace("0.5", "none"), "flow.yaml").parameters("fit", Fitting)


def test_a_flow_travels_with_the_module_that_reads_it_and_only_its_steps_count(tmp_path):
    folder = tmp_path / "workloads/houses"
    folder.mkdir(parents=True)
    (folder / "train.py").write_text("from heliostat.ml import flow\n")
    (folder / "contract.py").write_text("x = 1\n")
    (folder / "flow.yaml").write_text(GOOD)
    before = code_of(tmp_path, "workloads.houses.train:fit")
    assert before.files == ("workloads/houses/flow.yaml", "workloads/houses/train.py")
    assert code_of(tmp_path, "workloads.houses.contract:x").files == ("workloads/houses/contract.py",)
    (folder / "flow.yaml").write_text(GOOD.replace("grpc", "rest") + "# said\n")
    assert code_digest(tmp_path, before.files) == before.digest
    (folder / "flow.yaml").write_text(GOOD.replace("0.5", "0.7"))
    assert code_digest(tmp_path, before.files) != before.digest
