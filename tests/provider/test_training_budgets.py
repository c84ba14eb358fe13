"""What a budget, a model to continue from, a tuning and a distribution change about a TrainJob; and its report."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from ml_world import World

from heliostat.jobs.reporting import keep
from heliostat.provider.train_job import TrainJobHandler, identity_of, why
from heliostat.spec.budget import AfterBudget, TrainingBudget
from heliostat.spec.distribution import Elastic
from heliostat.spec.ensembles import Ensemble
from heliostat.spec.training_report import TrainingReport, report_key
from heliostat.spec.training_resources import TrainJobInputs
from heliostat.spec.tuning import Tuning, Uniform
from heliostat.spec.workload import Scaling
from heliostat.systems.errors import PermanentError
from heliostat.systems.mlflow_registry import RegisteredVersion, Run
from heliostat.systems.objects import open_store
from heliostat.testing.jobs import JobResult

FIRST = "models:/flights/1"
HANDLER = TrainJobHandler()
COMPLETE = {"heliostat.complete": "true", "heliostat.model_uri": "m"}
TUNING = Tuning(metric="r2", space={"rounds": Uniform(kind="uniform", low=1, high=9)})


@pytest.fixture
def world(tmp_path, monkeypatch):
    world = World(tmp_path)
    world.install(monkeypatch)
    world.ended_at = None

    def trained(specification):
        ended = {"heliostat.ended_by_budget": world.ended_at} if world.ended_at else {}
        tags = {
            "heliostat.training": specification["digest"],
            "heliostat.complete": "true",
            "heliostat.model_uri": "m",
            **ended,
        }
        run_id = f"run-{len(world.runs) + 1}"
        world.runs[run_id] = Run(run_id, "FINISHED", "1", tags, {"roc_auc": 0.7}, {})
        report = TrainingReport(name="flights", run_id=run_id, seconds=34.0, workers=(), usd=0.12, price="1 g5.xlarge")
        open_store(world.store).put(report_key("flights", specification["digest"]), report.model_dump_json().encode())
        return JobResult()

    world.outcome = trained
    return world


def inputs(world, **changes):
    given = {
        "name": "flights", "code": world.code, "entry_point": "workloads.flights.train:train", "dataset": world.dataset,
        "parameters": {"rounds": 3}, "store": world.store, "ray": world.ray, "tracking_uri": "http://mlflow", **changes,
    }  # fmt: skip
    return TrainJobInputs(**given)


def test_what_is_not_declared_leaves_the_identity_as_it_was(world):
    plain = inputs(world)
    assert identity_of(plain) == identity_of(inputs(world, budget=TrainingBudget(seconds=9))), "a budget decides when it ends"
    assert identity_of(plain) == identity_of(
        inputs(world, scaling=Scaling.model_validate({"distribution": {"kind": "data-parallel"}}))
    )
    others = [
        inputs(world, continue_from="models:/flights/1"),
        inputs(world, ensemble=Ensemble(model="models:/flights/1")),
        inputs(world, ensemble=Ensemble(model="models:/flights/1", share=0.5)),
        inputs(world, tuning=TUNING),
        inputs(world, scaling=Scaling(distribution=Elastic(max_workers=2))),
    ]
    assert len({identity_of(each) for each in (plain, *others)}) == 6


async def test_the_report_of_a_training_is_told_and_found_again(world):
    created = await HANDLER.create(world.context, inputs(world))
    assert "flights: cost 0.12 USD (1 g5.xlarge)" in world.told["info"]
    assert created.outputs.report_uri.endswith(".report.json")


async def test_the_report_is_told_once_though_the_job_has_it_in_its_log(world, capsys):
    made = world.outcome

    def trained_and_kept(specification):
        made(specification)
        (run,) = world.runs.values()
        report = TrainingReport(name="flights", run_id=run.run_id, seconds=34.0, workers=(), usd=0.12, price="1 g5.xlarge")
        job = SimpleNamespace(name="flights", digest=specification["digest"], store=world.store)
        capsys.readouterr()
        keep(job, SimpleNamespace(attach=lambda *_: None), report)
        return JobResult(logs=capsys.readouterr().out)

    world.outcome = trained_and_kept
    await HANDLER.create(world.context, inputs(world))
    told = [line for lines in world.told.values() for line in lines if "cost 0.12 USD" in line]
    assert told == ["flights: cost 0.12 USD (1 g5.xlarge)"]
    (job,) = await world.jobs.attempts(world.jobs.submitted[0].submission_id.rpartition("-")[0])
    assert "cost 0.12 USD" in await world.jobs.logs(job.submission_id)


async def test_a_training_from_before_there_were_reports_is_adopted_without_one(world):
    tags = {"heliostat.training": identity_of(inputs(world)), **COMPLETE}
    world.runs["run-0"] = Run("run-0", "FINISHED", "1", tags, {}, {})
    assert (await HANDLER.create(world.context, inputs(world))).outputs.report_uri == ""


async def test_what_a_budget_ended_is_taken_with_a_warning_and_goes_on_with_a_larger_one(world):
    world.ended_at = "60.0"
    small = inputs(world, budget=TrainingBudget(seconds=60))
    first = (await HANDLER.create(world.context, small)).outputs
    [warning] = world.told["warn"]
    assert "ended by its budget after 60 s; its model is judged as it is. With a larger training.budget it goes on" in warning
    again = await HANDLER.create(world.context, small)
    assert again.outputs.run_id == first.run_id, "the same budget trains nothing more"
    world.ended_at = None
    larger = inputs(world, budget=TrainingBudget(seconds=90))
    assert (await HANDLER.update(world.context, "id", first, larger)).run_id == "run-2"
    assert len(world.submitted) == 2


async def test_a_larger_budget_of_a_training_that_had_ended_by_itself_trains_nothing(world):
    first = (await HANDLER.create(world.context, inputs(world, budget=TrainingBudget(seconds=60)))).outputs
    updated = await HANDLER.update(world.context, "id", first, inputs(world, budget=TrainingBudget(seconds=90)))
    assert updated.run_id == first.run_id
    assert updated.budget == TrainingBudget(seconds=90)
    assert len(world.submitted) == 1


async def test_what_a_budget_ended_is_refused_where_that_is_declared(world):
    world.ended_at = "60.0"
    refusing = inputs(world, budget=TrainingBudget(seconds=60, then=AfterBudget.REFUSE))
    with pytest.raises(PermanentError, match=r"is .refuse.: with a larger training\.budget it goes on from its last"):
        await HANDLER.create(world.context, refusing)


async def test_a_budget_in_usd_without_a_known_price_is_refused_in_the_preview(world):
    with pytest.raises(PermanentError, match="the price of the nodes is not known"):
        await HANDLER.preview(world.context, None, inputs(world, budget=TrainingBudget(usd=1)))


async def test_the_job_is_told_what_is_declared(world):
    await HANDLER.create(
        world.context, inputs(world, budget=TrainingBudget(seconds=9), tuning=TUNING, continue_from="models:/flights/1")
    )
    [job] = world.submitted
    assert job["budget"]["seconds"] == 9
    assert job["tuning"]["metric"] == "r2"
    assert job["continueFrom"] == "models:/flights/1"


async def test_the_preview_says_what_changed(world):
    old = (await HANDLER.create(world.context, inputs(world))).outputs
    assert "it continues from models:/flights/1 (before: nothing)" in why(
        old, inputs(world, continue_from="models:/flights/1")
    )
    assert "its tuning changed" in why(old, inputs(world, tuning=TUNING))
    elastic = Scaling(distribution=Elastic(max_workers=4))
    assert "its scaling changed (workers 2 -> 1 to 4 elastic)" in why(old, inputs(world, scaling=elastic))


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"continue_from": "models:/flights/7"}, "training.continueFrom: there is no models:/flights/7 in MLflow"),
        (
            {"ensemble": Ensemble(model="models:/flights/7")},
            "training.ensemble.model: there is no models:/flights/7 in MLflow",
        ),
    ],
    ids=["to continue from", "to answer together with"],
)
async def test_a_version_that_nobody_registered_is_told_in_the_preview(world, asked, told):
    with pytest.raises(PermanentError, match=told):
        await HANDLER.preview(world.context, None, inputs(world, **asked))
    world.versions.append(RegisteredVersion("flights", 7, "run-1", "m"))
    await HANDLER.preview(world.context, None, inputs(world, **asked))
    assert any("will train flights" in each for each in world.told["info"])
