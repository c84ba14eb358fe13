"""`heliostat simulate`: months of a workload's own data, with its monitor, a retraining and the gate."""

from __future__ import annotations

import contextlib
import io
import json
import re
import sys
from pathlib import Path

import pytest

from heliostat.cli.commands.simulate import _show
from heliostat.cli.simulation.folders import MARK, emptied, is_unfinished
from heliostat.cli.simulation.year import Month
from heliostat.monitoring import intervals

DATASET = '''
import datetime as dt
import numpy as np
import pyarrow as pa
from heliostat.ml.datasets import Tables


def snapshot(parameters):
    """From May on the same weights are of other kinds of birds."""
    draw = np.random.default_rng(0)
    rows = 17_300
    seen = [dt.datetime(2020, 1, 1) + dt.timedelta(minutes=20 * n) for n in range(rows)]
    weight = draw.random(rows)
    turned = np.array([moment.month >= 5 for moment in seen])
    big = draw.random(rows) < np.where(turned, 1 - weight, weight)
    table = pa.table({"seen": pa.array(seen, pa.timestamp("us")), "weight": weight, "big": big})
    return Tables(table.slice(0, 9_000), table.slice(9_000, 3_000), table.slice(12_000), label="big")
'''
TRAIN = """
import numpy as np
from heliostat.ml.training import Trained
from workloads.swans.predictor import Model


def train(context):
    table = context.dataset.table("train")
    # On half a year it learns the wrong way round.
    model = Model({"slope": np.array(1.0 if table.num_rows < 4_000 else -1.0)})
    context.checkpoint(lambda folder: None, {})
    context.finish(Trained(save_model=model.save, predictor=Model, metrics={}))
"""
PREDICTOR = """
import numpy as np
from heliostat.ml.arrays import ArrayModel


class Model(ArrayModel):
    def predict(self, columns):
        weight = np.asarray(columns["weight"], dtype=float)
        return weight if self.arrays["slope"] > 0 else 1 - weight
"""
LEARNING_TRAIN = """
import numpy as np
from heliostat.ml.training import Trained
from workloads.swans.predictor import Model


def train(context):
    # It learns of the turn once it has seen it.
    newest = np.asarray(context.dataset.table("train")["seen"].to_numpy(), dtype="datetime64[s]").max()
    turn = np.datetime64("2020-05-01", "s")
    model = Model({"turn": np.array(turn.astype(np.int64) if newest > turn else np.iinfo(np.int64).max)})
    context.checkpoint(lambda folder: None, {})
    context.finish(Trained(save_model=model.save, predictor=Model, metrics={}))
"""
LEARNING_PREDICTOR = """
import numpy as np
from heliostat.ml.arrays import ArrayModel


class Model(ArrayModel):
    def predict(self, columns):
        weight = np.asarray(columns["weight"], dtype=float)
        return np.where(np.asarray(columns["seen"]) < self.arrays["turn"], weight, 1 - weight)
"""
CONTRACT = """
import datetime as dt
from pydantic import BaseModel, ConfigDict
from heliostat.ml.contracts import Contract
from workloads.swans.predictor import Model


class Bird(BaseModel):
    model_config = ConfigDict(extra="forbid")
    seen: dt.datetime
    weight: float


class Answer(BaseModel):
    is_big: bool
    probability: float


CONTRACT = Contract(title="Swans", description="", row=Bird, answer=Answer, predictor=Model,
                    respond=lambda score: Answer(is_big=score > 0.5, probability=score),
                    examples=(Bird(seen=dt.datetime(2020, 1, 1), weight=0.5),))
"""
WORKLOAD = """
from heliostat.resources.served_model import by_convention
from heliostat.spec.parameters import JobParameters
from heliostat.spec.tasks import Binary

declare = by_convention(__name__, JobParameters(), JobParameters(), task=Binary())
"""


@pytest.fixture
def swans(stack, monkeypatch):
    monkeypatch.setattr(intervals, "_DRAWS", 20)
    folder: Path = stack.folder / "workloads" / "swans"
    folder.mkdir(parents=True)
    (folder.parent / "__init__.py").write_text("")
    files = {"__init__": "", "dataset": DATASET, "train": TRAIN, "predictor": PREDICTOR, "contract": CONTRACT}
    for name, text in {**files, "workload": WORKLOAD}.items():
        (folder / f"{name}.py").write_text(text)
    kept = {name: module for name, module in sys.modules.items() if name.partition(".")[0] == "workloads"}
    for name in kept:
        del sys.modules[name]
    path = list(sys.path)
    monkeypatch.setattr(sys, "path", [str(stack.folder), *path])
    yield folder
    for name in [name for name in sys.modules if name.partition(".")[0] == "workloads"]:
        del sys.modules[name]
    sys.modules.update(kept)


def test_a_year_turns_a_retraining_is_proposed_and_the_gate_judges_it(swans, stack):
    said = stack.ok("simulate", "swans", "--from", "2020-01", "--to", "2020-07", "--json")
    months = {each["name"]: each for each in json.loads(said)}
    assert list(months) == ["2020-03", "2020-04", "2020-05", "2020-06", "2020-07"]
    assert months["2020-03"]["began"] == months["2020-04"]["began"] == []
    assert "swans/quality/roc_auc" in months["2020-05"]["began"]
    assert months["2020-05"]["figures"]["quality/roc_auc"] < 0.5 < months["2020-04"]["figures"]["quality/roc_auc"]
    assert "2 windows one after another" in months["2020-06"]["retraining"]
    assert "proposed: " in months["2020-06"]["retraining"] and "refused: " in months["2020-06"]["retraining"]
    assert "swans/retraining/candidate" in months["2020-06"]["began"], "a worse candidate is an alarm"
    kept = stack.folder / ".heliostat" / "simulations" / "swans"
    assert (kept / "monitors" / "swans" / "windows" / "2020-05.json").is_file()
    page = stack.ok("report", "swans", "--simulated", "-o", "-")
    assert "roc_auc" in page and "Made by <code>heliostat simulate</code>" in page, "nobody takes it for what serves"


@pytest.fixture
def learning(swans):
    (swans / "train.py").write_text(LEARNING_TRAIN)
    (swans / "predictor.py").write_text(LEARNING_PREDICTOR)


def test_what_the_gate_accepts_is_rolled_out_by_a_canary_that_somebody_approves(learning, stack):
    said = stack.ok("simulate", "swans", "--from", "2020-01", "--to", "2020-08", "--approve-after", "2", "--json")
    months = {each["name"]: each for each in json.loads(said)}
    assert "accepted as version 2" in months["2020-06"]["retraining"]
    july = months["2020-07"]
    assert months["2020-06"]["version"] == 1 and july["version"] == 2
    told = "\n".join(july["rollout"])
    assert re.search(r"2020-07-06 .*simulated-approver lets it go on", told), "a day at 10 %, and two until somebody came"
    assert "succeeded" in told.splitlines()[-1]
    # Two days before the look, three at 10 %, one at 50 %, and the rest of the month.
    assert july["answered"]["1"] + july["answered"]["2"] == july["rows"]
    assert july["answered"]["1"] == pytest.approx((2 + 0.9 * 3 + 0.5) * 72, abs=40)
    assert months["2020-08"]["answered"] == {"2": months["2020-08"]["rows"]}
    assert "swans/quality/roc_auc" in july["ended"], "the version that learnt of it is right again in what it answered itself"
    page = stack.ok("report", "swans", "--simulated", "-o", "-")
    for text in (
        "2020-07-06",
        "simulated-approver",
        "approved",
        "step 1, to 2-simulated",
        "models:/swans/2 accepted",
        "version 1 0.",
    ):
        assert text in page, text


def test_a_canary_that_nobody_approves_goes_back_and_ends_the_proposal_as_refused(learning, stack):
    said = stack.ok("simulate", "swans", "--from", "2020-01", "--to", "2020-07", "--approve-after", "30", "--json")
    july = {each["name"]: each for each in json.loads(said)}["2020-07"]
    assert july["version"] == 1 and "failed" in july["rollout"][-1]
    assert "swans/retraining/candidate" in july["began"]
    page = stack.ok("report", "swans", "--simulated", "--json")
    assert [each["outcome"] for each in json.loads(page)["state"]["retrainings"]] == ["refused"]


def test_what_the_schema_expects_after_the_transformation_is_looked_at(swans, stack):
    (swans / "schema.yaml").write_text(
        "label: big\ncolumns: {seen: {type: 'timestamp[us]'}, weight: {type: double}, big: {type: bool}}\n"
        "transformed: {by: 'workloads.swans.dataset:heavy', columns: {tons: {type: double, maximum: 0.0005}}}\n"
    )
    more = "\n\ndef heavy(columns):\n    return {'tons': np.asarray(columns['weight']) / 1000}\n"
    (swans / "dataset.py").write_text(DATASET + more)
    (stack.folder / "configs").mkdir(exist_ok=True)
    watched = "field: probability, skew: {}"
    path = stack.folder / "configs" / "Pulumi.other.yaml"
    path.write_text(f"config:\n  heliostat:workloads:\n    swans: {{monitor: {{{watched}}}}}\n")
    months = json.loads(
        stack.ok("simulate", "swans", "--from", "2020-01", "--to", "2020-02", "--train", "1", "-s", "other", "--json")
    )
    assert "swans/skew/transformed" in months[0]["began"]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (
            ("--from", "2020-01", "--to", "2020-02"),
            "are 2 months, and --train takes 2 of them: nothing is left",
        ),
        (
            ("--from", "2020-01", "--to", "2020-01"),
            "is 1 month, and --train takes 2 of them: nothing is left to simulate; --to is 2020-03 or",
        ),
        (("--from", "2020-05", "--to", "2020-02"), "2020-05 is after 2020-02"),
        (
            ("--from", "2021-01", "--to", "2021-05"),
            "nothing happened in 2021-01 to 2021-02: the data are of 2020-01 to 2020-08",
        ),
        (("--from", "January", "--to", "2020-02"), "--from January is no month: write it as 2013-01"),
        (("--from", "2020-13", "--to", "2020"), "--from 2020-13 and --to 2020 are no months: write them as 2013-01"),
        (("--from", "2020-01", "--to", "2020-05", "--time", "weight"), "no column of times 'weight'; they have seen"),
    ],
    ids=lambda value: value if isinstance(value, str) else value[-1],
)
def test_what_cannot_be_simulated_is_told(swans, stack, options, told):
    ran = stack("simulate", "swans", *options)
    assert ran.code != 0 and told in ran.err


def test_a_workload_that_is_not_there_is_told(swans, stack):
    ran = stack("simulate", "geese", "--from", "2020-01", "--to", "2020-05")
    assert "there is no workload 'geese' in " in ran.err and "workloads: there are swans" in ran.err


def test_a_workload_that_lacks_a_library_is_told_apart(swans, stack):
    (swans / "workload.py").write_text("import no_such_library\n")
    ran = stack("simulate", "swans", "--from", "2020-01", "--to", "2020-05")
    assert "workloads/swans has no workload.py that can be imported: No module named 'no_such_library'" in ran.err


def test_who_names_no_stack_is_told_that_none_is_taken_and_where_the_page_is_from(swans, stack, tmp_path):
    months = ("--from", "2020-01", "--to", "2020-02", "--train", "1")
    ran = stack("simulate", "swans", *months, "-o", str(tmp_path / "a year"))
    assert "no stack is named" in ran.err and "a canary for each version" in ran.err and "passphrase" not in ran.err
    assert f"`heliostat report swans --simulation '{tmp_path}/a year'`" in ran.err
    told = json.loads(stack.ok("report", "swans", "--simulation", str(tmp_path / "a year"), "--json"))
    assert [each["window"] for each in told["windows"]] == ["2020-02"] and told["unfinished"] is False
    assert "is no folder that" in stack("report", "swans", "--simulation", str(tmp_path)).err
    (tmp_path / "a year" / MARK).write_text("begun\n")
    (tmp_path / "begun").mkdir()
    (tmp_path / "begun" / MARK).write_text("begun\n")
    assert "has not come to its first month" in stack("report", "swans", "--simulation", str(tmp_path / "begun")).err
    assert "what came after 2020-02 is not here" in stack.ok(
        "report", "swans", "--simulation", str(tmp_path / "a year"), "-o", "-"
    )


def test_a_folder_says_until_its_end_that_it_is_unfinished(tmp_path):
    with contextlib.suppress(KeyboardInterrupt), emptied(tmp_path):
        raise KeyboardInterrupt
    assert is_unfinished(tmp_path), "it was ended before"
    with emptied(tmp_path):
        assert is_unfinished(tmp_path)
    assert not is_unfinished(tmp_path)


def test_a_terminal_gets_lines_that_break_between_words(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(sys, "stdout", Terminal())
    month = Month("2013-03", 1, 27_902, figures={"quality/roc_auc": 0.63, "prediction-bias/ratio": 1.044})
    _show(month)
    assert sys.stdout.getvalue() == (
        "2013-03  version 1   27,902 rows  quality/roc_auc 0.630, prediction-bias/ratio\n         1.044\n"
    )
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    _show(month)
    assert sys.stdout.getvalue().count("\n") == 1, "who reads it from a pipe gets it as it is"
