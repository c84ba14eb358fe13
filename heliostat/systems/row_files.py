"""Files with rows, in folders and buckets of others: which there are, and what tells that one changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from heliostat.spec.addresses import StoreAddress
from heliostat.spec.ingestion import FilesSource
from heliostat.systems.errors import PermanentError
from heliostat.systems.objects import ObjectInfo, ObjectStore, arrow_location

if TYPE_CHECKING:
    import pyarrow.parquet as pq


def store_address(source: FilesSource, own: StoreAddress) -> StoreAddress:
    """Where the files are; in the platform's own bucket on the same server."""
    top = own.uri.split("/")[:3]
    is_own = top[0] != "file:" and source.uri.split("/")[:3] == top
    endpoint, region = (own.endpoint, own.region) if is_own and source.endpoint is None else (source.endpoint, source.region)
    return StoreAddress(uri=source.uri.rstrip("/"), endpoint=endpoint, region=region)


def listed(source: FilesSource, store: ObjectStore) -> list[ObjectInfo]:
    """The files, in the order of their names."""
    return [info for info in store.list() if info.key.endswith(source.endings) and info.size]


def tag_of(info: ObjectInfo) -> str:
    """What tells that a file changed: its tag, or where a store has none when it was written. A bucket's clock has whole
    seconds, and an object that is put again as it was is the same."""
    return f"{info.size} {info.tag or f'{info.modified.timestamp():.6f}'}"


def footer(address: StoreAddress, key: str) -> pq.FileMetaData:
    """The end of a Parquet file, which says what is in it; the rest is not read.

    Raises:
        PermanentError: it cannot be read, or is of no such file.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    path, filesystem = arrow_location(address, key)
    try:
        return pq.read_metadata(path, filesystem=filesystem)
    except (pa.ArrowException, OSError) as error:
        raise PermanentError(f"the footer of {address.uri}/{key} cannot be read: {error}") from None
