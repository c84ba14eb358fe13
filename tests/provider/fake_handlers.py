"""Resources without a world behind them, for tests of what all resources have in common."""

from __future__ import annotations

import asyncio

from heliostat.provider.resource import Created, Handler, PartialError, PermanentError, RetryableError
from heliostat.spec.base import Model
from heliostat.systems.errors import NoAccessError


class FakeInputs(Model):
    name: str
    size: int = 1
    place: str = "here"
    password: str | None = None
    root: str = "/"
    fail: str | None = None


class FakeOutputs(FakeInputs):
    url: str


class FakeHandler(Handler[FakeInputs, FakeOutputs]):
    token = "heliostat:index:Fake"
    inputs = FakeInputs
    outputs = FakeOutputs
    replace_on = frozenset({"place"})
    delete_before_replace = True
    preview_placeholders = {"place": "somewhere"}

    def insignificant_inputs(self, old, new):
        return frozenset({"root"})

    def preview_outputs(self, old, new):
        return {"url": old.url} if old else {}

    async def preview(self, context, old, new):
        context.info(f"would {'update' if old else 'create'} {new.name} {new.place}")
        if new.fail == "closed":
            raise NoAccessError(f"no key for {new.password}")
        if new.fail == "refused":
            raise PermanentError("the key is refused")

    async def create(self, context, inputs):
        context.progress("working")
        await asyncio.to_thread(context.progress, "still working")
        await asyncio.to_thread(context.progress, "still working")
        outputs = FakeOutputs(**inputs.model_dump(), url=f"http://{inputs.password}@{inputs.place}")
        match inputs.fail:
            case "closed":
                raise NoAccessError("no key")
            case "permanent":
                raise PermanentError(f"{inputs.name} with {inputs.password} is too much; take less")
            case "retryable":
                raise RetryableError("not yet")
            case "unexpected":
                raise KeyError("oh")
            case "partial":
                raise PartialError("only half", inputs.name, outputs)
            case "hang":
                await asyncio.Event().wait()
            case "wait":
                await context.cancelled.wait()
                raise RetryableError("cancelled")
        return Created(inputs.name, outputs)

    async def read(self, context, identifier, outputs):
        if outputs.fail == "closed":
            raise NoAccessError("no key")
        return None if outputs.name == "gone" else outputs.model_copy(update={"size": 7})

    async def update(self, context, identifier, old, new):
        return FakeOutputs(**new.model_dump(), url=old.url)

    async def delete(self, context, identifier, outputs):
        context.info("deleted")
