"""What Serve is asked for."""

from __future__ import annotations

from typing import Any

from test_store import wanted

from heliostat.controller.backends.serve_config import serve_application
from heliostat.rollout.model import Colour, DeployColour
from heliostat.spec.addresses import RayAddress
from heliostat.spec.controller import ControllerSettings
from heliostat.spec.resources import ControllerInputs, StoreAddress
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
