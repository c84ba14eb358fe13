"""ExternalModel: found by every address, held to the contract, registered once, with an environment where it needs one."""

import hashlib

import pytest
from ml_world import World
from played_mlflow import FLAVOURS, PlayedMlflow, described, write_model

from heliostat.provider import external_model
from heliostat.provider.external_model import ExternalModelHandler
from heliostat.spec.model_resources import ExternalModelInputs
from heliostat.systems import model_environments
from heliostat.systems.errors import PermanentError, RetryableError
from heliostat.systems.objects import open_store

FITTING = described(("area", "double"), ("rooms", "long"))
RUN = "b" * 32


@pytest.fixture
def world(tmp_path, monkeypatch):
    world = World(tmp_path)
    world.mlflow = PlayedMlflow()
    monkeypatch.setattr(external_model, "_opened", world.mlflow.open)
    return world


@pytest.fixture
def handler():
    return ExternalModelHandler()


def inputs(world, source, **changes):
    interface = {
        "reads": "frame", "request": {"area": {"type": "double"}, "rooms": {"type": "long"}},
        "answer": {"rent": {"type": "double"}},
    }  # fmt: skip
    digest = hashlib.sha256(FITTING.encode()).hexdigest()
    return ExternalModelInputs.model_validate(
        {
            "name": "rents", "source": source, "interface": interface, "task": "regression",
            "recorded": {"model": source, "digest": digest}, "store": world.store, "trackingUri": "http://mlflow", **changes,
        }
    )  # fmt: skip


async def made(world, handler, source, **changes):
    return (await handler.create(world.context, inputs(world, source, **changes))).outputs


async def test_a_registered_version_is_served_as_it_is(world, handler):
    source = world.mlflow.register(world.mlflow.log("m-1", FITTING))
    outputs = await made(world, handler, source)
    assert (outputs.served_model_uri, outputs.version, outputs.environments) == (source, 1, ())
    assert len(world.mlflow.versions) == 1


async def test_an_alias_is_the_version_that_it_names(world, handler):
    for number in (1, 2):
        world.mlflow.register(world.mlflow.log(f"m-{number}", FITTING))
    world.mlflow.aliases["champion"] = 2
    assert (await made(world, handler, "models:/rents@champion")).served_model_uri == "models:/rents/2"
    with pytest.raises(PermanentError, match="there is no model models:/rents@nobody"):
        await made(world, handler, "models:/rents@nobody")


async def test_an_alias_that_moved_shows_as_another_source_and_one_that_stayed_does_not(world, handler):
    for number in (1, 2):
        world.mlflow.register(world.mlflow.log(f"m-{number}", FITTING))
    world.mlflow.aliases["champion"] = 1
    outputs = await made(world, handler, "models:/rents@champion")
    assert await handler.read(world.context, "rents", outputs) == outputs
    world.mlflow.aliases["champion"] = 2
    assert (await handler.read(world.context, "rents", outputs)).source == "models:/rents/1"


async def test_a_logged_model_becomes_a_version_once(world, handler):
    source = world.mlflow.log("m-1f", FITTING)
    first, again = await made(world, handler, source), await made(world, handler, source)
    assert first.served_model_uri == again.served_model_uri == "models:/rents/1"
    (version,) = world.mlflow.versions
    assert version["source"] == source
    assert {each["key"]: each["value"] for each in version["tags"]} == {
        "heliostat.source": source,
        "heliostat.task": "regression",
    }


async def test_a_run_s_model_is_found_by_its_name_there(world, handler):
    world.mlflow.log("m-1", described(("x", "string")), name="other")
    world.mlflow.log("m-2", FITTING, name="rents")
    world.mlflow.runs[RUN] = ["m-1", "m-2"]
    await made(world, handler, f"runs:/{RUN}/rents")
    assert world.mlflow.versions[0]["source"] == "models:/m-2"
    with pytest.raises(PermanentError, match=f"there is no model runs:/{'c' * 32}/rents"):
        await made(world, handler, f"runs:/{'c' * 32}/rents")


async def test_two_models_of_a_run_are_two_versions(world, handler):
    for number, name in ((1, "a"), (2, "b")):
        world.mlflow.log(f"m-{number}", FITTING, name=name)
    world.mlflow.runs[RUN] = ["m-1", "m-2"]
    versions = [(await made(world, handler, f"runs:/{RUN}/{name}")).version for name in "ab"]
    assert versions == [1, 2]


async def test_a_model_in_a_folder_is_copied_once_for_what_is_in_it(world, handler, tmp_path):
    source = write_model(tmp_path / "saved", FITTING)
    first, again = await made(world, handler, source), await made(world, handler, source)
    assert first.version == again.version == 1
    (copied,) = world.mlflow.logged.values()
    assert copied["status"] == "LOGGED_MODEL_READY"
    path = copied["artifact_uri"].removeprefix("mlflow-artifacts:/")
    assert world.mlflow.files[f"{path}/MLmodel"].decode() == FITTING
    write_model(tmp_path / "saved", FITTING + "# another\n")
    assert (await made(world, handler, source)).version == 2


@pytest.mark.parametrize("place", ["s3_address", "gs_address"])
async def test_a_model_in_a_bucket_is_copied_once_for_what_is_in_it(world, handler, tmp_path, place, request):
    address = request.getfixturevalue(place)
    folder = tmp_path / "logged"
    write_model(folder, FITTING)
    for path in folder.iterdir():
        open_store(address).put_file(f"exports/rents/{path.name}", path)
    source = open_store(address).uri("exports/rents")
    outputs = await made(world, handler, source, store=address)
    assert (outputs.version, len(world.mlflow.versions)) == (1, 1)
    again = await made(world, handler, source, store=address)
    assert (again.served_model_uri, len(world.mlflow.versions)) == (outputs.served_model_uri, 1)
    with pytest.raises(PermanentError, match="exports/nothing holds no MLmodel"):
        await made(world, handler, open_store(address).uri("exports/nothing"), store=address)


async def test_a_folder_without_a_model_is_told(world, handler, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(PermanentError, match="holds no MLmodel"):
        await made(world, handler, f"file://{tmp_path}/empty")


async def test_a_model_whose_logging_was_refused_is_not_whole(world, handler):
    source = world.mlflow.log("m-1", FITTING, status="LOGGED_MODEL_UPLOAD_FAILED")
    with pytest.raises(PermanentError, match=r"is not whole \(LOGGED_MODEL_UPLOAD_FAILED\).*Log it again"):
        await handler.preview(world.context, None, inputs(world, source))
    registered = world.mlflow.register(source)
    with pytest.raises(PermanentError, match="is not whole"):
        await handler.preview(world.context, None, inputs(world, registered))


async def test_a_version_that_does_not_fit_is_refused_in_the_preview_with_all_that_differs(world, handler):
    source = world.mlflow.register(world.mlflow.log("m-1", described(("area", "float"), ("city", "string"))))
    with pytest.raises(PermanentError) as refused:
        await handler.preview(world.context, None, inputs(world, source))
    assert str(refused.value).splitlines() == [
        "models:/rents/1 cannot be served by workloads/rents/contract.yaml:",
        "  request: the model has the column 'city', which the contract does not have",
        "  request.area: the contract has double, the model float",
        "  request.rooms: the model has no column 'rooms'; it has area, city",
    ]


async def test_a_pickle_of_another_python_is_refused_in_the_preview(world, handler):
    pickled = FLAVOURS.replace("skops}", "cloudpickle}").replace("model.skops", "model.pkl").replace("3.11.7", "3.8.1")
    source = world.mlflow.register(world.mlflow.log("m-1", described(("area", "double"), ("rooms", "long"), flavours=pickled)))
    with pytest.raises(PermanentError, match=r"is a pickle of Python 3\.8\.1, and replicas run Python 3"):
        await handler.preview(world.context, None, inputs(world, source))


async def test_a_signature_that_is_missing_is_told(world, handler):
    source = world.mlflow.register(world.mlflow.log("m-1", FLAVOURS))
    with pytest.raises(PermanentError, match="has no signature"):
        await handler.preview(world.context, None, inputs(world, source))


async def test_requirements_that_are_no_packages_are_told(world, handler):
    source = world.mlflow.register(world.mlflow.log("m-1", FITTING, requirements="mlflow\n-r more.txt\n./here.whl\n"))
    with pytest.raises(PermanentError, match=r"no package of a registry: -r more\.txt, \./here\.whl"):
        await handler.preview(world.context, None, inputs(world, source))


async def test_a_preview_tells_of_the_model_and_of_golden_answers_of_another(world, handler):
    source = world.mlflow.register(world.mlflow.log("m-1", FITTING))
    await handler.preview(world.context, None, inputs(world, source))
    assert world.told["info"] == ["models:/rents/1 is models:/rents/1, a sklearn model"] and not world.told["warn"]
    recorded = {"model": "models:/rents/0", "digest": "f" * 64}
    await handler.preview(world.context, None, inputs(world, source, recorded=recorded))
    assert "are of models:/rents/0" in world.told["warn"][0]


async def test_a_preview_before_mlflow_is_up_goes_on_and_an_update_does_not(world, handler):
    world.mlflow.away = True
    await handler.preview(world.context, None, inputs(world, "models:/rents/1"))
    assert "cannot be looked at before MLflow is up" in world.told["info"][0]
    assert handler.preview_outputs(None, inputs(world, "models:/rents/1")) == {}
    with pytest.raises(RetryableError):
        await made(world, handler, "models:/rents/1")


async def test_a_model_that_pins_other_packages_gets_them_and_the_preview_knows_their_name(world, handler, monkeypatch):
    monkeypatch.setattr(model_environments, "resolved", lambda requirements: ("scikit-learn==0.1",))
    monkeypatch.setattr(model_environments, "install", lambda packages, place: place.mkdir())
    source = world.mlflow.register(world.mlflow.log("m-1", FITTING, requirements="mlflow==0.1\nscikit-learn==0.1\n"))
    given = inputs(world, source)
    await handler.preview(world.context, None, given)
    (foreseen,) = handler.preview_outputs(None, given)["environments"]
    (environment,) = (await handler.create(world.context, given)).outputs.environments
    assert environment.model_dump(mode="json", by_alias=True) == foreseen
    assert environment.packages == ("scikit-learn==0.1",)
    assert "packages of its own: scikit-learn==0.1" in world.told["info"][1]


async def test_mlflow_itself_is_needed_only_where_it_answers(world, handler, monkeypatch):
    def resolved(requirements):
        raise PermanentError(f"asked for {requirements}")

    monkeypatch.setattr(model_environments, "resolved", resolved)
    source = world.mlflow.register(world.mlflow.log("m-1", FITTING, requirements="mlflow==0.1\n"))
    assert (await made(world, handler, source)).environments == ()
    interface = {**inputs(world, source).interface.model_dump(mode="json"), "loader": "pyfunc"}
    with pytest.raises(PermanentError, match="asked for"):
        await made(world, handler, source, interface=interface)


async def test_a_version_that_was_deleted_is_gone_and_deleting_it_here_leaves_it(world, handler):
    source = world.mlflow.register(world.mlflow.log("m-1", FITTING))
    outputs = await made(world, handler, source)
    await handler.delete(world.context, "rents", outputs)
    assert await handler.read(world.context, "rents", outputs) == outputs
    world.mlflow.versions.clear()
    assert await handler.read(world.context, "rents", outputs) is None


def test_an_address_with_a_number_says_early_which_version_it_is(handler):
    assert handler.early_outputs({"source": "models:/rents/3"}) == {"served_model_uri": "models:/rents/3", "version": 3}
    assert handler.early_outputs({"source": "models:/rents@champion"}) == {}
