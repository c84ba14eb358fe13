"""Where a platform's object store lies; apart from the components, for readers that have no Pulumi program."""

from __future__ import annotations

from pathlib import Path

from heliostat.spec.addresses import StoreAddress
from heliostat.spec.platforms.aws import AwsPlatform
from heliostat.spec.platforms.declared import Platform
from heliostat.spec.platforms.gcp import GcpPlatform
from heliostat.spec.platforms.stores import DirectoryStore, GcsStore, Store


def address_of(store: Store, directory: Path) -> StoreAddress:
    """The address of a declared store; `directory` is the stack's data folder."""
    if isinstance(store, DirectoryStore):
        return StoreAddress(uri=Path(store.path or directory / "objects").as_uri())
    scheme = "gs" if isinstance(store, GcsStore) else "s3"
    uri = f"{scheme}://{store.bucket}/{store.prefix}".rstrip("/")
    return StoreAddress(uri=uri, endpoint=store.endpoint, region=store.region)


def store_of(platform: Platform, directory: Path) -> StoreAddress:
    """The address of the store of a declared platform, also of one that makes its bucket itself."""
    match platform:
        case AwsPlatform():
            return StoreAddress(uri=f"s3://{platform.bucket}", region=platform.region)
        case GcpPlatform():
            return StoreAddress(uri=f"gs://{platform.bucket}")
        case _:
            return address_of(platform.store, directory)
