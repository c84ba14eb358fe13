"""Makes a wheel of a model and stores it. Run by the provider's ModelPackage as a Ray job.

First comes the ledger's entry, with the wheel's digest, then the wheel, then the page that names it. Killed between, the next
one finds the entry and goes on; two at once agree by the entry's number.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from heliostat.jobs.specification import progress, run
from heliostat.ml.contracts import Contract, load_entry_point
from heliostat.packaging import checking, sources, wheel
from heliostat.packaging.contents import Contents, PackageError
from heliostat.serving import model_cache
from heliostat.spec.jobs import PackageSpecification
from heliostat.spec.publications import Publication, PublicationKind, next_version, wheel_key
from heliostat.systems import package_pages, publications, step_lists
from heliostat.systems.errors import PermanentError
from heliostat.systems.file_digests import sha256_of
from heliostat.systems.objects import ObjectStore, open_store


def package(specification: PackageSpecification) -> None:
    """Build, check and publish."""
    with tempfile.TemporaryDirectory(prefix="heliostat-package-") as temporary:
        progress(f"fetching {specification.model_uri}")
        try:
            model = model_cache.fetch(specification.model_uri, specification.tracking_uri)
            store = open_store(specification.store)
            contents = _contents(specification, model, store)
            entry = publish(contents, store, Path(temporary), specification.origin)
        except ValueError as error:
            raise PermanentError(str(error)) from None
    open_store(specification.store).put(specification.result_key, entry.model_dump_json().encode())


def publish(contents: Contents, store: ObjectStore, folder: Path, origin: str = "") -> Publication:
    """The ledger's entry of the wheel, which is there and on its page; made where it is not there yet.

    Raises:
        PackageError: it cannot be made, or does not answer as the service does.
    """
    while True:
        there = publications.read(store, contents.distribution)
        found = next((each for each in reversed(there) if _is_it(each, contents)), None)
        if found is not None and (store.exists(_key(found)) or _stored_again(found, contents, store, folder)):
            break
        found = _built(contents, store, there, folder, origin)
        if found is not None:
            break
    package_pages.write(store, contents.distribution)
    return found


def _built(
    contents: Contents, store: ObjectStore, there: tuple[Publication, ...], folder: Path, origin: str
) -> Publication | None:
    """Make the next wheel; None where somebody else published meanwhile, and its version may be taken."""
    version = next_version(there, int(contents.model_uri.rpartition("/")[2]))
    progress(f"building {contents.distribution} {version}")
    built = _wheel(contents, version, folder)
    progress("asking the package what the service is asked")
    checking.require_same_answers(built, contents)
    entry = Publication(
        number=publications.next_number(there),
        kind=PublicationKind.BUILT,
        at=time.time(),
        application=contents.application,
        distribution=contents.distribution,
        version=version,
        file=built.name,
        sha256=sha256_of(built),
        model_uri=contents.model_uri,
        identity=contents.identity,
        digests=contents.digests,
        requires_python=contents.requires_python,
        place=store.uri(wheel_key(contents.distribution, built.name)),
        origin=origin,
    )
    written = publications.append(store, contents.distribution, lambda now: entry if now == there else None)
    if written is not None:
        store.put_file(_key(written), built)
    return written


def _stored_again(found: Publication, contents: Contents, store: ObjectStore, folder: Path) -> bool:
    """Store the wheel of an entry whose writer was killed, or that was removed: the same sources are the same bytes.

    False where another release of the tools makes other bytes of them: that is a wheel of its own.
    """
    progress(f"building {found.distribution} {found.version} again")
    built = _wheel(contents, found.version, folder)
    if sha256_of(built) != found.sha256:
        return False
    checking.require_same_answers(built, contents)
    store.put_file(_key(found), built)
    return True


def _contents(specification: PackageSpecification, model: Path, store: ObjectStore) -> Contents:
    contract = load_entry_point(specification.contract)
    if not isinstance(contract, Contract):
        found = type(contract).__name__
        raise PackageError(f"{specification.contract} is a {found}: it must be a heliostat.ml.contracts.Contract")
    return Contents(
        distribution=specification.distribution,
        application=specification.application,
        entry_point=specification.contract,
        contract=contract,
        root=Path.cwd(),
        model=model,
        model_uri=specification.model_uri,
        data_digest=specification.data_digest,
        steps=specification.postprocessing,
        lists={
            source.digest: step_lists.read(source, store)
            for step in specification.postprocessing
            for source in step.lists.values()
        },
    )


def _wheel(contents: Contents, version: str, folder: Path) -> Path:
    with tempfile.TemporaryDirectory(dir=folder) as tree:
        sources.write(Path(tree), contents, version)
        return wheel.build(Path(tree), Path(tempfile.mkdtemp(dir=folder)))


def _is_it(entry: Publication, contents: Contents) -> bool:
    return entry.kind is PublicationKind.BUILT and entry.identity == contents.identity


def _key(entry: Publication) -> str:
    return wheel_key(entry.distribution, entry.file)


if __name__ == "__main__":
    run(PackageSpecification, package)
