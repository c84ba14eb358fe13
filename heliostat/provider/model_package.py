"""ModelPackage: a wheel of a model version, made by a job on the cluster and published from here.

The job writes the wheel, its entry in the ledger of packages and the index of the object store. Another index is reached with
a credential that only this process has, so the upload is made here.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from pydantic import ValidationError

from heliostat.provider import inspecting, postprocessing, ray_work
from heliostat.provider.resource import Context, Created, Failure, Handler
from heliostat.spec.addresses import variables_of
from heliostat.spec.code import others_of
from heliostat.spec.jobs import PackageSpecification
from heliostat.spec.model_resources import ModelPackageInputs, ModelPackageOutputs
from heliostat.spec.platforms.base import OnDestroy
from heliostat.spec.publications import ROOT_INDEX, Publication, PublicationKind, wheel_key
from heliostat.spec.training_resources import Code
from heliostat.systems import library_packages, package_index, package_pages, publications
from heliostat.systems.git import origin_of
from heliostat.systems.objects import ObjectMissingError, open_store

_NEXT = "models:/candidate/next"
"""Stands in a preview for a version that is not registered yet."""
_NEVER = frozenset({"ray", "mlflow", "pulumi"})


class ModelPackageHandler(Handler[ModelPackageInputs, ModelPackageOutputs]):
    """The same model, code and library are the same wheel: it is made once and adopted from then on."""

    token = "heliostat:index:ModelPackage"  # noqa: S105 - a type, no secret
    inputs = ModelPackageInputs
    outputs = ModelPackageOutputs
    gone = "its wheel is not in the object store any more; the next `up` makes it anew, of the same bytes where it can"
    replace_on = frozenset({"name", "distribution"})
    preview_placeholders: ClassVar[Mapping[str, Any]] = {"model_uri": _NEXT, "data_digest": ""}

    def insignificant_inputs(self, old: ModelPackageInputs, new: ModelPackageInputs) -> frozenset[str]:
        """Where the checkout lies, and where a wheel that is there was made, mean nothing."""
        return frozenset({"ray", "tracking_uri"} | ({"code"} if old.code.digest == new.code.digest else set()))

    async def mistakes(self, given: Mapping[str, Any]) -> list[Failure]:
        """That the entry point is no contract, or that what it imports belongs into no package."""
        return await inspecting.of_contract(given) or await asyncio.to_thread(_heavy, given)

    async def resolved_inputs(self, given: Mapping[str, Any]) -> tuple[Mapping[str, Any], list[Failure]]:
        """With the digests of the lists that its post-processing reads."""
        return await postprocessing.with_digests(given)

    async def preview(self, context: Context, old: ModelPackageOutputs | None, new: ModelPackageInputs) -> None:
        """Say what is packed and where it goes, and what is missing for that."""
        if new.model_uri == _NEXT:
            context.info(f"will pack the next version of {new.name} as {new.distribution}")
        elif await asyncio.to_thread(_made, new) is None:
            context.info(f"will pack {new.model_uri} as {new.distribution}")
        unset = [name for name in variables_of(new.index.credential) if not os.environ.get(name)] if new.index else []
        if new.index and unset:
            context.warn(f"{', '.join(unset)} is not set here: `up` needs it to publish to {new.index.url}")

    async def create(self, context: Context, inputs: ModelPackageInputs) -> Created[ModelPackageOutputs]:
        """Make the wheel, or adopt it, and publish it where it is not yet."""
        outputs = await _published(context, inputs)
        return Created(f"{inputs.distribution}-{outputs.version}", outputs)

    async def read(self, context: Context, identifier: str, outputs: ModelPackageOutputs) -> ModelPackageOutputs | None:
        """Gone where the wheel is."""
        key = wheel_key(outputs.distribution, outputs.file)
        return outputs if await asyncio.to_thread(open_store(outputs.store).exists, key) else None

    async def update(
        self, context: Context, identifier: str, old: ModelPackageOutputs, new: ModelPackageInputs
    ) -> ModelPackageOutputs:
        """Another wheel; the ones before stay, for whoever installed them may do so again."""
        return await _published(context, new)

    async def delete(self, context: Context, identifier: str, outputs: ModelPackageOutputs) -> None:
        """Remove the wheels from the object store only where that was asked for; the ledger and other indexes keep them."""
        if outputs.on_destroy is not OnDestroy.DELETE:
            context.info(f"the wheels of {outputs.distribution} are kept (onDestroy: keep)")
            return
        context.progress("deleting the wheels")
        removed = await asyncio.to_thread(_remove, outputs)
        if elsewhere := sorted({each.place for each in removed if each.kind is PublicationKind.UPLOADED}):
            context.info(f"what was published to {', '.join(elsewhere)} stays there")


def _heavy(given: Mapping[str, Any]) -> list[Failure]:
    code = Code.model_validate(given["code"])
    root = Path(code.root)
    if not root.is_dir():
        return []
    return [
        Failure("contract", f"{file} imports {', '.join(found)}, which no package has: move what needs it out of that module")
        for file in code.files
        if (root / file).is_file() and (found := sorted(others_of(root, [file]) & _NEVER))
    ]


def _identity(inputs: ModelPackageInputs) -> str:
    parts = {name: getattr(inputs, name) for name in ("name", "distribution", "contract", "model_uri", "data_digest")}
    steps = {"postprocessing": [step.label for step in inputs.postprocessing]} if inputs.postprocessing else {}
    return ray_work.digest_of({**parts, **steps, "code": inputs.code.digest, "library": library_packages.here()})


def _result_key(inputs: ModelPackageInputs) -> str:
    return f"packages/made/{inputs.distribution}/{_identity(inputs)}.json"


def _made(inputs: ModelPackageInputs) -> Publication | None:
    """The ledger's entry of the wheel of these inputs, where that is still there."""
    store = open_store(inputs.store)
    try:
        entry = Publication.model_validate_json(store.get(_result_key(inputs)))
    except (ObjectMissingError, ValidationError):
        return None
    return entry if store.exists(wheel_key(entry.distribution, entry.file)) else None


async def _published(context: Context, inputs: ModelPackageInputs) -> ModelPackageOutputs:
    entry = await asyncio.to_thread(_made, inputs)
    if entry is None:
        await postprocessing.keep(inputs.postprocessing, inputs.code, inputs.store)
        await ray_work.run(await asyncio.to_thread(_work, inputs), context)
        entry = await asyncio.to_thread(_made, inputs)
    if entry is None:
        raise RuntimeError(f"the job that packs {inputs.name} succeeded and left no wheel")
    if inputs.index is not None:
        context.progress(f"publishing {entry.file} to {inputs.index.url}")
        await asyncio.to_thread(_upload, inputs, entry)
    store = open_store(inputs.store)
    return ModelPackageOutputs(
        **{name: getattr(inputs, name) for name in ModelPackageInputs.model_fields},
        version=entry.version,
        file=entry.file,
        sha256=entry.sha256,
        uri=store.uri(wheel_key(entry.distribution, entry.file)),
        index_uri=store.uri(ROOT_INDEX).removesuffix("/index.html"),
        schema_digest=entry.digests.row,
    )


def _upload(inputs: ModelPackageInputs, entry: Publication) -> None:
    """Send the wheel to the other index and write that down; nothing where it was sent before."""
    store, index = open_store(inputs.store), inputs.index
    if index is None or _is_uploaded(publications.read(store, entry.distribution), entry, index.url):
        return
    with tempfile.TemporaryDirectory(prefix="heliostat-package-") as folder:
        wheel = Path(folder, entry.file)
        store.get_file(wheel_key(entry.distribution, entry.file), wheel)
        package_index.publish(wheel, index)

    def uploaded(there: tuple[Publication, ...]) -> Publication | None:
        if _is_uploaded(there, entry, index.url):
            return None
        sent = {"kind": PublicationKind.UPLOADED, "place": index.url, "at": time.time()}
        return entry.model_copy(update={**sent, "number": publications.next_number(there)})

    publications.append(store, entry.distribution, uploaded)


def _is_uploaded(there: tuple[Publication, ...], entry: Publication, url: str) -> bool:
    sent = (each for each in there if each.kind is PublicationKind.UPLOADED and each.place == url)
    return any(each.sha256 == entry.sha256 for each in sent)


def _remove(outputs: ModelPackageOutputs) -> tuple[Publication, ...]:
    """Take the application's wheels out of the object store; the entries of all that there ever were."""
    store = open_store(outputs.store)
    there = [each for each in publications.read(store, outputs.distribution) if each.application == outputs.name]
    for entry in there:
        key = wheel_key(entry.distribution, entry.file)
        if entry.kind is PublicationKind.BUILT and store.exists(key):
            store.delete(key)
            _note_removed(outputs, entry)
    package_pages.write(store, outputs.distribution)
    return tuple(there)


def _note_removed(outputs: ModelPackageOutputs, entry: Publication) -> None:
    def removed(there: tuple[Publication, ...]) -> Publication:
        said = {"kind": PublicationKind.REMOVED, "at": time.time(), "number": publications.next_number(there)}
        return entry.model_copy(update=said)

    publications.append(open_store(outputs.store), outputs.distribution, removed)


def _work(inputs: ModelPackageInputs) -> ray_work.Work:
    origin = origin_of(Path(inputs.code.root), os.environ)
    specification = PackageSpecification(
        application=inputs.name,
        distribution=inputs.distribution,
        contract=inputs.contract,
        model_uri=inputs.model_uri,
        data_digest=inputs.data_digest,
        postprocessing=inputs.postprocessing,
        origin=f"{origin.commit}{'+' if origin.dirty else ''}" if origin.commit else "",
        store=inputs.store,
        tracking_uri=inputs.tracking_uri,
        result_key=_result_key(inputs),
    )
    return ray_work.Work(
        what=f"the package of {inputs.name}",
        module="heliostat.jobs.package",
        base=f"package-{inputs.distribution}-{_identity(inputs)[:12]}",
        specification=lambda submission_id: specification,
        code=inputs.code,
        store=inputs.store,
        ray=inputs.ray,
    )
