"""Code packages: the source files of an entry point as one zip in the object store, named by the digest of what is in it.

A package is what runs: Ray unpacks it as a job's or a replica's working directory, whatever the checkout has become since.
"""

from __future__ import annotations

import io
import re
import shutil
import sys
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from heliostat.spec.code import code_digest
from heliostat.spec.training_resources import Code
from heliostat.systems.errors import PermanentError
from heliostat.systems.objects import ObjectStore
from heliostat.systems.private_folder import node_folder

NO_TIME = (1980, 1, 1, 0, 0, 0)
"""Zip has no earlier one; the same for every file, so that the same files make the same bytes."""

TOP = "package"
"""Ray takes the only folder at the top of a zip that it fetches for the package itself, so there must be one."""

_PLACE: Final = re.compile(r"/(code|environments)/([^/]+\.zip)$")


def upload(code: Code, store: ObjectStore) -> str:
    """Store the package of `code` where it is not there yet, and return its URI.

    Raises:
        PermanentError: the files in the checkout are no longer what `code` says.
    """
    key = f"code/{code.digest}.zip"
    if not store.exists(key):
        store.put(key, _pack(code))
    return store.uri(key)


def fetch(uri: str, store: ObjectStore) -> Path:
    """The folder on this node that a package of code, or a model's environment, is unpacked in; it stays there.

    Raises:
        PermanentError, RetryableError: it cannot be had.
    """
    if (found := _PLACE.search(uri)) is None:
        raise PermanentError(f"{uri} is no package of code and no model's environment: these are code/ and environments/")
    kind, name = found.groups()
    target = node_folder() / kind / name.removesuffix(".zip")
    if not target.is_dir():
        content = store.get(f"{kind}/{name}")
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=".partial-", dir=target.parent))
        try:
            with zipfile.ZipFile(io.BytesIO(content)) as archive:
                archive.extractall(partial)
            try:
                (partial / TOP).rename(target)
            except OSError:
                if not target.is_dir():  # another one was faster, else
                    raise
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    return target


def runtime_env(
    uri: str, variables: dict[str, str] | None = None, library_uri: str | None = None, environment_uri: str | None = None
) -> dict[str, Any]:
    """Ray's runtime environment that runs in the package at `uri`, on the library at `library_uri`, else the installed one,
    and with the packages at `environment_uri` before those that are installed."""
    modules = [each for each in (library_uri, environment_uri) if each]
    return {"working_dir": uri, **({"py_modules": modules} if modules else {}), "env_vars": variables or {}}


def job_env(uri: str, variables: Mapping[str, str] | None = None, environment_uri: str | None = None) -> dict[str, Any]:
    """The same of a job that is a program of ours, with further environment variables."""
    # On this machine `python` is to be this one; elsewhere the folder is not there, and `python` is what the image has.
    path = f"{Path(sys.executable).parent}:${{PATH}}"
    own = {"RAY_DEDUP_LOGS": "0", "MLFLOW_DISABLE_TELEMETRY": "true", "PATH": path}
    return runtime_env(uri, {**own, **(variables or {})}, environment_uri=environment_uri)


def _pack(code: Code) -> bytes:
    root = Path(code.root)
    missing = [name for name in code.files if not (root / name).is_file()]
    if missing:
        names = ", ".join(missing)
        raise PermanentError(f"{names} of the code is no longer in {root}: run it again on the checkout as it is now")
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in sorted(code.files):
            entry = zipfile.ZipInfo(f"{TOP}/{name}", NO_TIME)
            entry.external_attr = 0o100644 << 16
            archive.writestr(entry, (root / name).read_bytes(), zipfile.ZIP_DEFLATED)
    if (found := code_digest(root, code.files)) != code.digest:
        raise PermanentError(
            f"the code in {root} changed while this ran (it was {code.digest[:12]}, it is {found[:12]}): run it again"
        )
    return buffer.getvalue()
