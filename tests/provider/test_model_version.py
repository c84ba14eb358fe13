"""ModelVersion: judged once, registered once, refused with figures."""

from __future__ import annotations

import json

import pytest
from ml_world import World

from heliostat.provider import model_version
from heliostat.provider.model_version import ModelVersionHandler
from heliostat.provider.properties import UNKNOWN
from heliostat.spec.addresses import Access, KubernetesProxy
from heliostat.spec.model_resources import ModelVersionInputs
from heliostat.spec.workload import Gate, OnRefusal, Slice
from heliostat.systems.errors import PermanentError, RetryableError
from heliostat.systems.mlflow_registry import RegisteredVersion, Run
from heliostat.systems.objects import open_store
from heliostat.testing.jobs import JobResult

HANDLER = ModelVersionHandler()


@pytest.fixture
def world(tmp_path, monkeypatch):
    world = World(tmp_path)
    world.install(monkeypatch)
    world.figures = {"models:/m-1": 0.70, "models:/m-2": 0.72, "models:/m-3": 0.60}
    for number in (1, 2, 3):
        world.runs[f"run-{number}"] = Run(f"run-{number}", "FINISHED", "1", {}, {}, {})

    def evaluated(specification):
        def part(uri):
            source = next((version.source for version in world.versions if version.uri == uri), uri)
            return {"model": uri, "overall": {"roc_auc": world.figures[source]}, "slices": {}}

        report = {
            "metric": "roc_auc", "higherIsBetter": True, "candidate": part(specification["candidate"]),
            "baseline": {"overall": {"roc_auc": 0.65}, "slices": {}},
            "incumbent": part(specification["incumbent"]) if specification["incumbent"] else None,
        }  # fmt: skip
        open_store(world.store).put(specification["resultKey"], json.dumps(report).encode())
        return JobResult()

    world.outcome = evaluated
    return world


def inputs(world, number=1, **changes):
    given = {
        "name": "flights", "application": "flights", "run_id": f"run-{number}", "model_uri": f"models:/m-{number}",
        "code": world.code, "entry_point": "workloads.flights.predictor:P", "dataset": world.dataset, "store": world.store,
        "ray": world.ray, "tracking_uri": "http://mlflow", "controller": world.controller, **changes,
    }  # fmt: skip
    return ModelVersionInputs(**given)


async def serve(world, number):
    outputs = (await HANDLER.create(world.context, inputs(world, number))).outputs
    world.serving = outputs.served_model_uri
    return outputs


async def test_the_first_model_is_registered_when_it_beats_the_baseline(world):
    outputs = await serve(world, 1)
    assert (outputs.version, outputs.served_model_uri, outputs.verdict) == (1, "models:/flights/1", "accepted")
    assert world.runs["run-1"].tags["heliostat.verdict"] == "accepted"
    assert world.runs["run-1"].metrics["test_roc_auc"] == 0.70


async def test_a_model_of_a_sample_says_so_in_the_registry_and_to_people(world):
    await serve(world, 1)
    world.dataset = world.dataset.model_copy(update={"sample": 0.1})
    await serve(world, 2)
    whole, sampled = world.versions
    assert "heliostat.sample" not in whole.tags
    assert sampled.tags["heliostat.sample"] == "0.1"
    assert world.told["info"][-1].endswith("(measured on a sample of 10 % of the rows)")
    with pytest.raises(PermanentError, match=r"models:/m-3 is refused \(measured on a sample of 10 % of the rows\)"):
        await serve(world, 3)


async def test_a_better_model_becomes_the_next_version(world):
    await serve(world, 1)
    assert (await serve(world, 2)).version == 2
    assert len(world.submitted) == 2


async def test_what_the_gate_said_is_kept_for_the_application_s_report_once_for_each_candidate(world):
    for number in (1, 2, 2):
        await serve(world, number)
    store = open_store(world.store)
    kept = [json.loads(store.get(info.key)) for info in store.list("monitors/flights/acceptances/")]
    assert [each["version"] for each in kept] == ["models:/flights/1", "models:/flights/2"]
    assert "0.72" in kept[1]["summary"] and "0.7" in kept[1]["summary"] and kept[1]["report"].startswith(world.store.uri)


async def test_a_worse_model_is_refused_by_how_much_and_what_serves_stays(world):
    await serve(world, 1)
    with pytest.raises(
        PermanentError,
        match=r"(?s)\nroc_auc  all rows  .* 0.6000  0.7000   0.005  worse by 0.1000\n.*models:/flights/1 goes on",
    ):
        await HANDLER.create(world.context, inputs(world, 3))
    assert len(world.versions) == 1
    assert "worse by" in world.runs["run-3"].tags["heliostat.refusal"]
    assert world.runs["run-3"].tags["heliostat.report"].startswith(world.store.uri)


async def test_a_refused_model_is_refused_again_without_measuring(world):
    await serve(world, 1)
    for _ in range(2):
        with pytest.raises(PermanentError) as caught:
            await HANDLER.create(world.context, inputs(world, 3))
    assert "measured at an earlier update, not again" in str(caught.value)
    assert len(world.submitted) == 2, "one for each model"


async def test_asked_to_retry_a_refused_model_is_measured_again(world, monkeypatch):
    await serve(world, 1)
    with pytest.raises(PermanentError, match="`up --retry-refused` measures it once more"):
        await HANDLER.create(world.context, inputs(world, 3))
    monkeypatch.setenv("HELIOSTAT_RETRY_REFUSED", "1")
    with pytest.raises(PermanentError) as caught:
        await HANDLER.create(world.context, inputs(world, 3))
    assert "not again" not in str(caught.value)
    assert [each["id"].rpartition("-")[2] for each in world.submitted[1:]] == ["1", "2"], "a new attempt of the same work"
    world.figures["models:/m-3"] = 0.75
    assert (await HANDLER.create(world.context, inputs(world, 3))).outputs.version == 2


async def test_asked_to_retry_what_was_accepted_is_not_measured_again(world, monkeypatch):
    await serve(world, 1)
    await HANDLER.create(world.context, inputs(world, 2))
    monkeypatch.setenv("HELIOSTAT_RETRY_REFUSED", "1")
    await HANDLER.create(world.context, inputs(world, 2))
    assert len(world.submitted) == 2


async def test_a_version_says_which_data_it_was_trained_on_also_a_pinned_one(world):
    assert (await serve(world, 1)).served_data_digest == world.dataset.digest
    pinned = inputs(world, run_id=None, model_uri=None, pin="models:/flights/1")
    assert (await HANDLER.create(world.context, pinned)).outputs.served_data_digest == world.dataset.digest
    world.versions.append(RegisteredVersion("flights", 2, "by-hand", "models:/m-9", {}))
    by_hand = inputs(world, run_id=None, model_uri=None, pin="models:/flights/2")
    assert (await HANDLER.create(world.context, by_hand)).outputs.served_data_digest == ""


async def test_a_state_from_before_learns_the_data_at_the_next_refresh(world):
    outputs = await serve(world, 1)
    before = outputs.model_copy(update={"served_data_digest": ""})
    assert await HANDLER.read(world.context, "flights", before) == outputs


async def test_another_way_to_mlflow_is_taken_and_nothing_is_judged(world):
    outputs = await serve(world, 1)
    world.serving = "models:/flights/9"
    through = Access(proxy=KubernetesProxy(context="prod"))
    updated = await HANDLER.update(world.context, "flights", outputs, inputs(world, 1, tracking_access=through))
    assert updated == outputs.model_copy(update={"tracking_access": through})
    assert len(world.submitted) == 1


async def test_another_margin_is_judged_from_the_same_measurement(world):
    await serve(world, 1)
    with pytest.raises(PermanentError):
        await HANDLER.create(world.context, inputs(world, 3))
    lenient = Gate(margin=0.2, beat_baseline_by=-1.0)
    assert (await HANDLER.create(world.context, inputs(world, 3, gate=lenient))).outputs.version == 2
    assert len(world.submitted) == 2


async def test_asked_to_keep_a_refusal_is_a_warning_and_what_serves_is_the_output(world):
    await serve(world, 1)
    kept = (await HANDLER.create(world.context, inputs(world, 3, gate=Gate(on_refusal=OnRefusal.KEEP)))).outputs
    assert (kept.served_model_uri, kept.verdict) == ("models:/flights/1", "kept")
    assert "worse by 0.1000" in world.told["warn"][0]


async def test_asked_to_keep_with_nothing_serving_a_refusal_is_an_error(world):
    with pytest.raises(PermanentError, match="nothing serves yet"):
        await HANDLER.create(world.context, inputs(world, 3, gate=Gate(on_refusal=OnRefusal.KEEP)))


async def test_the_model_that_serves_is_not_judged_against_itself(world):
    await serve(world, 1)
    assert (await HANDLER.create(world.context, inputs(world, 1))).outputs.version == 1
    assert len(world.submitted) == 1


async def test_a_model_is_registered_once_for_its_run(world):
    await serve(world, 1)
    world.serving = None
    assert (await HANDLER.create(world.context, inputs(world, 1))).outputs.version == 1
    assert len(world.versions) == 1


async def test_what_was_measured_beside_another_model_is_known_where_nothing_serves(world):
    """As in a branch's environment, whose application is its own: the candidate's figures are the same."""
    await serve(world, 1)
    await HANDLER.create(world.context, inputs(world, 2))
    measured = len(world.submitted)
    world.serving = None
    outputs = (await HANDLER.create(world.context, inputs(world, 2, application="flights-x"))).outputs
    assert len(world.submitted) == measured
    assert (outputs.served_model_uri, outputs.verdict) == ("models:/flights/2", "accepted")
    await HANDLER.create(world.context, inputs(world, 1, application="flights-y"))
    assert len(world.submitted) == measured, "and so is what was measured alone"


async def test_a_pinned_version_is_taken_as_it_is(world):
    await serve(world, 1)
    pinned = inputs(world, run_id=None, model_uri=None, pin="models:/flights/1")
    outputs = (await HANDLER.create(world.context, pinned)).outputs
    assert (outputs.version, outputs.verdict, outputs.report_uri) == (1, "pinned", "")
    assert len(world.submitted) == 1


async def test_a_pinned_version_that_is_not_there_is_refused_also_in_the_preview(world):
    pinned = inputs(world, run_id=None, model_uri=None, pin="models:/flights/9")
    for ask in (HANDLER.create(world.context, pinned), HANDLER.preview(world.context, None, pinned)):
        with pytest.raises(PermanentError, match="models:/flights/9 is not in MLflow"):
            await ask


async def test_it_is_gone_where_the_registry_lost_the_version(world):
    outputs = await serve(world, 1)
    assert await HANDLER.read(world.context, "flights", outputs) == outputs
    world.versions.clear()
    assert await HANDLER.read(world.context, "flights", outputs) is None


async def test_destroying_keeps_the_registered_versions(world):
    outputs = await serve(world, 1)
    await HANDLER.delete(world.context, "flights", outputs)
    assert len(world.versions) == 1


async def test_a_gate_that_does_not_fit_the_data_is_refused_in_the_preview(world):
    world.snapshot({"false": 5, "true": 4})
    gate = Gate(slices=(Slice(column="orign"),))
    with pytest.raises(PermanentError, match=r"gate.slices\[0\].column: the data has no column 'orign'"):
        await HANDLER.preview(world.context, None, inputs(world, gate=gate))


def test_which_version_a_pin_takes_is_known_beforehand_whatever_the_data_will_be():
    assert HANDLER.early_outputs({"pin": "models:/flights/7"}) == {"served_model_uri": "models:/flights/7", "version": 7}
    assert HANDLER.early_outputs({"pin": UNKNOWN}) == HANDLER.early_outputs({"modelUri": "models:/m-1"}) == {}


async def test_a_pin_that_is_not_there_is_told_before_the_data_is_made(world):
    preview_placeholders = {**HANDLER.preview_placeholders, "run_id": None, "model_uri": None, "pin": "models:/flights/9"}
    with pytest.raises(PermanentError, match="the pinned version models:/flights/9 is not in MLflow"):
        await HANDLER.preview(world.context, None, inputs(world, **preview_placeholders))


async def test_what_is_not_trained_yet_is_told_against_what_it_will_be_judged(world):
    await serve(world, 1)
    preview_placeholders = inputs(world, **HANDLER.preview_placeholders)
    await HANDLER.preview(world.context, None, preview_placeholders)
    assert world.told["info"][-1] == "will judge the new model against models:/flights/1"
    world.gone.add("models:/flights/1")
    with pytest.raises(PermanentError, match="no artifacts at models:/flights/1"):
        await HANDLER.preview(world.context, None, preview_placeholders)
    world.mlflow_away = True
    await HANDLER.preview(world.context, None, preview_placeholders)


async def test_a_preview_without_the_controller_says_so_and_fails_nothing(world, monkeypatch):
    async def away(inputs):
        raise RetryableError("the controller does not answer")

    monkeypatch.setattr(model_version, "_incumbent", away)
    await HANDLER.preview(world.context, None, inputs(world))
    assert "cannot be said before the controller is up" in world.told["info"][-1]
