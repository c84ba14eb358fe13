"""Running flows: steps are plain functions in this process."""

import numpy as np
import pyarrow as pa
import pytest

from heliostat.ml import flow
from heliostat.ml.datasets import Tables
from heliostat.spec.parameters import JobParameters

RAN: list[str] = []


class Fitting(JobParameters):
    alpha: float = 1.0


def load(rows: int) -> Tables:
    RAN.append("load")
    table = pa.table({"x": np.arange(float(rows)), "y": np.arange(float(rows)) * 2})
    return Tables(table, table, table, "y")


def fit(tables: Tables, parameters: Fitting) -> float:
    RAN.append("fit")
    return parameters.alpha * tables.train.num_rows


def both(model: float) -> tuple[float, float]:
    return model, -model


def broken(model: float) -> None:
    raise ValueError("no")


CONSTANT = 3


def made(*steps, **changes):
    return flow.read(
        flow.Flow.model_validate({"steps": [{**step, **changes} for step in steps]}).model_dump_json(), "flow.json"
    )


LOAD = {"name": "load", "run": f"{__name__}:load", "parameters": {"rows": 4}, "outputs": ["tables"]}
FIT = {"name": "fit", "run": f"{__name__}:fit", "inputs": {"tables": "tables"}, "outputs": ["model"]}
BOTH = {"name": "both", "run": f"{__name__}:both", "inputs": {"model": "model"}, "outputs": ["up", "down"]}


@pytest.fixture(autouse=True)
def nothing_ran():
    RAN.clear()


def test_steps_run_in_their_order_and_give_each_other_values():
    assert flow.run(made(LOAD, FIT, BOTH), ["down", "up"]) == {"down": -4.0, "up": 4.0}
    assert RAN == ["load", "fit"]


def test_only_the_steps_that_are_needed_run():
    tables = load(7)
    RAN.clear()
    assert flow.run(made(LOAD, FIT, BOTH), ["model"], {"tables": tables}) == {"model": 7.0}
    assert RAN == ["fit"]


def test_parameters_given_stand_over_those_of_the_flow_and_both_over_the_defaults():
    steps = made(LOAD, {**FIT, "parameters": {"alpha": 2.0}})
    assert flow.run(steps, ["model"])["model"] == 8.0
    assert flow.run(steps, ["model"], parameters={"fit": {"alpha": 3.0}})["model"] == 12.0


def test_unknown_functions_and_wrong_parameters_are_told_at_once_with_their_paths():
    steps = made(
        {**LOAD, "parameters": {"rows": "many"}},
        {**FIT, "parameters": {"alhpa": 1.0}},
        {**BOTH, "run": f"{__name__}:gone"},
        {"name": "none", "run": f"{__name__}:CONSTANT", "outputs": ["nothing"]},
        {"name": "odd", "run": f"{__name__}:broken", "inputs": {"other": "model"}, "outputs": ["odd"]},
    )
    with pytest.raises(flow.FlowError) as refused:
        flow.check(steps)
    for text in (
        "steps[0].parameters.rows: input should be a valid integer (given: 'many')",
        "steps[1].parameters.alhpa: there is no such key",
        "steps[2].run: ",
        "steps[3].run: ",
        "steps[4]: ",
    ):
        assert text in str(refused.value)
    assert RAN == []


def test_a_value_that_no_step_makes_is_told():
    with pytest.raises(flow.FlowError, match="no step makes modle; the flow makes tables, model"):
        flow.run(made(LOAD, FIT), ["modle"])


def test_outputs_that_a_step_does_not_return_are_told():
    with pytest.raises(flow.FlowError, match="the step 'fit' returned a float: its outputs are model, figures"):
        flow.run(made(LOAD, {**FIT, "outputs": ["model", "figures"]}), ["figures"])


def test_what_a_step_raises_comes_through_with_its_name():
    with pytest.raises(ValueError, match="no") as raised:
        flow.run(
            made(LOAD, FIT, {"name": "broken", "run": f"{__name__}:broken", "inputs": {"model": "model"}, "outputs": ["x"]}),
            ["x"],
        )
    assert "in the step 'broken' of the flow" in raised.value.__notes__[0]


def test_a_data_set_and_a_training_are_parts_of_one_flow():
    assert flow.snapshot(made(LOAD, FIT), "load")({"rows": 6}).train.num_rows == 6
