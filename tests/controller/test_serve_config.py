"""What Serve is asked for."""

from __future__ import annotations

from typing import Any

import pytest
from test_store import wanted

from heliostat.controller.backends.ray_serve import identity_in
from heliostat.controller.backends.serve_config import serve_application
from heliostat.rollout.model import Colour, DeployColour, identity
from heliostat.spec.addresses import RayAddress, StoreAddress, TokenFile, TokenVariable
from heliostat.spec.controller import ControllerSettings
from heliostat.spec.logged_models import ModelEnvironment
from heliostat.spec.personal import PersonalKey, Privacy
from heliostat.spec.platform_resources import ControllerInputs
from heliostat.spec.rollouts import Runtime, ServingArguments, Version
from heliostat.systems.ray_serve import ServeApplication, ServeStatus

SETTINGS = ControllerSettings(
    inputs=ControllerInputs(
        directory="/data",
        ray=RayAddress(url="http://127.0.0.1:1"),
        store=StoreAddress(uri="file:///objects"),
        tracking_uri="http://mlflow",
    ),
    api_port=8001,
    public_port=8002,
    serve_port=8003,
    runtime_directory="/run",
)


def deploy(replicas: int = 2, at_a_time: int = 8) -> DeployColour:
    return DeployColour(Colour.BLUE, wanted().model_copy(update={"max_ongoing_requests": at_a_time}), replicas)


def found(config: dict[str, Any]) -> ServeApplication:
    return ServeApplication(
        name="flights-blue", status=ServeStatus.RUNNING, error="", config=config, deployments={}, replicas=(), leftover=0
    )


def test_a_new_application_is_told_its_settings_in_the_two_ways_that_serve_has() -> None:
    config = serve_application("flights", deploy(), SETTINGS, None)
    assert (config["args"]["replicas"], config["args"]["maxOngoingRequests"]) == (2, 8)
    [deployment] = config["deployments"]
    assert deployment == {
        "name": "model",
        "num_replicas": 2,
        "max_ongoing_requests": 8,
        "user_config": {"maxOngoingRequests": 8},
    }


def test_what_changes_in_place_leaves_the_arguments_as_they_were() -> None:
    before = serve_application("flights", deploy(), SETTINGS, None)
    after = serve_application("flights", deploy(3, 16), SETTINGS, found(before))
    assert after["args"] == before["args"]
    [deployment] = after["deployments"]
    assert (deployment["num_replicas"], deployment["user_config"]) == (3, {"maxOngoingRequests": 16})
    assert serve_application("flights", deploy(), SETTINGS, found(before)) == before


def test_replicas_from_before_there_were_settings_in_place_are_not_handed_any() -> None:
    before = serve_application("flights", deploy(), SETTINGS, None)
    del before["deployments"][0]["user_config"]
    [deployment] = serve_application("flights", deploy(3, 16), SETTINGS, found(before))["deployments"]
    assert deployment == {"name": "model", "num_replicas": 3, "max_ongoing_requests": 16}


RUNTIME = Runtime(library="0.1.0", library_digest="a" * 64, library_uri="file:///objects/library/a.zip")


def of(version: Version) -> DeployColour:
    return DeployColour(Colour.BLUE, wanted().model_copy(update={"version": version}), 2)


def test_a_version_runs_on_the_library_that_it_was_declared_with() -> None:
    version = wanted().version.model_copy(update={"runtime": RUNTIME})
    config = serve_application("flights", of(version), SETTINGS, None)
    assert config["runtime_env"]["py_modules"] == ["file:///objects/library/a.zip"]
    assert ServingArguments.model_validate(config["args"]).version == version


def test_a_version_from_before_that_was_recorded_runs_on_what_is_installed() -> None:
    written = {key: value for key, value in wanted().version.model_dump(mode="json").items() if key != "runtime"}
    version = Version.model_validate(written)
    assert version.runtime is None
    assert "py_modules" not in serve_application("flights", of(version), SETTINGS, None)["runtime_env"]


def test_a_library_that_knows_no_newer_setting_is_told_of_none_that_is_as_ever() -> None:
    """What is at its default is left out, and read as before."""
    version = wanted().version
    arguments = serve_application("flights", of(version), SETTINGS, None)["args"]
    assert {"corsOrigins", "dataDigest", "runtime"}.isdisjoint(arguments["version"])
    assert "gpusPerReplica" not in arguments
    assert ServingArguments.model_validate(arguments).version == version
    assert identity_in(arguments) == identity(wanted())


def test_what_is_deployed_keeps_the_library_that_it_began_with() -> None:
    before = serve_application("flights", of(wanted().version.model_copy(update={"runtime": RUNTIME})), SETTINGS, None)
    newer = RUNTIME.model_copy(update={"library_uri": "file:///objects/library/b.zip"})
    again = of(wanted().version.model_copy(update={"runtime": newer}))
    assert serve_application("flights", again, SETTINGS, found(before))["runtime_env"] == before["runtime_env"]


def test_a_model_s_own_packages_come_after_the_library_and_before_what_is_installed() -> None:
    own = ModelEnvironment(digest="e" * 64, uri="file:///objects/environments/e.zip", packages=("scikit-learn==1.8.0",))
    version = wanted().version.model_copy(update={"runtime": RUNTIME, "environment": own})
    config = serve_application("flights", of(version), SETTINGS, None)
    assert config["runtime_env"]["py_modules"] == ["file:///objects/library/a.zip", "file:///objects/environments/e.zip"]
    assert ServingArguments.model_validate(config["args"]).version == version
    assert "environment" not in serve_application("flights", of(wanted().version), SETTINGS, None)["args"]["version"]


@pytest.mark.parametrize("secret", [TokenFile(path="/run/key"), TokenVariable(variable="KEY")])
def test_what_may_be_of_several_kinds_arrives_with_its_kind(secret: TokenFile | TokenVariable) -> None:
    keys = (PersonalKey(id="k1", secret=secret),)
    version = deploy().desired.version.model_copy(update={"privacy": Privacy(keys=keys)})
    arguments = serve_application("flights", of(version), SETTINGS, None)["args"]
    assert ServingArguments.model_validate(arguments).version == version


def test_no_kind_is_said_of_what_is_as_ever() -> None:
    assert "kind" not in str(serve_application("flights", deploy(), SETTINGS, None)["args"]["version"].get("privacy", ""))
