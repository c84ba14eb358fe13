"""A controller of an earlier release: an update that brings it to this one previews, any other is told what to do."""

from __future__ import annotations

import pytest
from application_rollouts import HANDLER, inputs, no_switches, told
from fake_controller import controller

from heliostat.provider import planned_releases
from heliostat.provider.controller import ControllerHandler
from heliostat.spec.addresses import ControllerAddress, RayAddress, StoreAddress
from heliostat.spec.platform_resources import ControllerInputs, ControllerOutputs
from heliostat.systems.controller_api import OtherReleaseError

__all__ = ["controller", "no_switches", "told"]


@pytest.fixture(autouse=True)
def nothing_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planned_releases, "_brought", set())


@pytest.fixture
def earlier(controller):
    """A controller that knows no version's library."""
    controller.unknown = "body.desired.version.runtime"
    return controller


async def previewed(told, address: ControllerAddress, before: str, after: str) -> None:
    """The preview of a controller whose code is of these digests."""
    values = {
        "directory": "/data/controller", "ray": RayAddress(url="http://127.0.0.1:1"),
        "store": StoreAddress(uri="file:///objects"), "tracking_uri": "http://127.0.0.1:1",
    }  # fmt: skip
    old = ControllerOutputs(**values, code=before * 64, address=address, public_url="http://public")
    await ControllerHandler().preview(told.context, old, ControllerInputs(**values, code=after * 64))
    told.warnings.clear()  # nothing answers where this one would look


async def test_an_update_that_brings_the_controller_to_this_release_has_a_preview(earlier, tmp_path, told):
    await previewed(told, earlier.address, "a", "b")
    await HANDLER.preview(told.context, None, inputs(earlier, tmp_path))
    assert told.warnings == ["what this does cannot be said before the controller, of another release, is brought to this one"]
    assert earlier.declared == []


async def test_an_update_that_leaves_the_controller_as_it_is_fails_in_the_preview_with_the_fix(earlier, tmp_path, told):
    await previewed(told, earlier.address, "a", "b")
    await previewed(told, earlier.address, "b", "b")
    with pytest.raises(OtherReleaseError, match="run `heliostat up` of the stack that has it with this release first"):
        await HANDLER.preview(told.context, None, inputs(earlier, tmp_path))


async def test_a_controller_of_another_stack_fails_the_preview_with_the_fix(earlier, tmp_path, told):
    with pytest.raises(OtherReleaseError, match=f"{earlier.address.url} is of another release"):
        await HANDLER.preview(told.context, None, inputs(earlier, tmp_path))


async def test_a_controller_of_this_release_says_what_an_update_does_also_where_it_is_restarted(controller, tmp_path, told):
    await previewed(told, controller.address, "a", "b")
    controller.plan = controller.plan.model_copy(update={"lines": ("starts 2 replicas",)})
    await HANDLER.preview(told.context, None, inputs(controller, tmp_path))
    assert (told.warnings, told.info) == ([], ["starts 2 replicas"])
