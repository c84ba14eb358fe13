"""Google's buckets for what is not ours: MLflow and Ray find them by a URI alone, and pyarrow by a file system."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from heliostat.systems.storage.google_cloud import EXTRA, is_googles

if TYPE_CHECKING:
    from pyarrow.fs import GcsFileSystem

    from heliostat.spec.addresses import StoreAddress


def client_variables(endpoint: str | None) -> dict[str, str]:
    """The variables that tell google-cloud-storage, which MLflow and Ray use, of a server at `endpoint`."""
    if not endpoint:
        return {}
    # The first is for a server of Google's; by the second, no credentials are looked for.
    return {"API_ENDPOINT_OVERRIDE" if is_googles(endpoint) else "STORAGE_EMULATOR_HOST": endpoint.rstrip("/")}


def missing_clients() -> str | None:
    """What this machine, with MLflow and Ray on it, lacks to reach a bucket of Google's; None where all is there."""
    names = {"obstore": "obstore", "google-cloud-storage": "google.cloud.storage", "smart-open": "smart_open"}
    missing = [name for name, module in names.items() if not _is_there(module)]
    if not missing:
        return None
    told = f"takes {', '.join(names)}, and {' and '.join(missing)} is missing"
    return f"a store at gs:// with MLflow and Ray on this machine {told}: {EXTRA}"


def google_filesystem(address: StoreAddress) -> GcsFileSystem:
    """pyarrow's file system of a `gs://` store."""
    from pyarrow.fs import GcsFileSystem

    if not address.endpoint:
        return GcsFileSystem()
    parts = urlsplit(address.endpoint)
    return GcsFileSystem(scheme=parts.scheme, endpoint_override=parts.netloc, anonymous=not is_googles(address.endpoint))


def _is_there(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # of a package above it
        return False
