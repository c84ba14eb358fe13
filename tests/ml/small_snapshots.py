"""Snapshots in parts, so small that a few rows make several files; what tests of them share."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from heliostat.ml import datasets
from heliostat.ml.datasets import Parts, Snapshot, Tables
from heliostat.ml.snapshots import distributions, splits, value_counts, writer
from heliostat.spec.addresses import StoreAddress
from heliostat.systems.objects import open_store


@contextmanager
def small(**changes: int) -> Iterator[StoreAddress]:
    """A store, and files, row groups, blocks and memory so small that a few rows make several."""
    sizes = {"rows": 5, "file": 10, "size": 64 << 20, "block": 1 << 20, "memory": 100, **changes}
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as folder:
        patch.setattr(splits, "ROW_GROUP_ROWS", sizes["rows"])
        patch.setattr(writer, "FILE_ROWS", sizes["file"])
        patch.setattr(writer, "ROW_GROUP_BYTES", sizes["size"])
        patch.setattr(distributions, "BLOCK", sizes["block"])
        patch.setattr(value_counts, "MEMORY", sizes["memory"])
        patch.setenv("TMPDIR", folder)
        patch.setattr(tempfile, "tempdir", None)
        yield StoreAddress(uri=f"file://{folder}/objects")


def read_json(address: StoreAddress, manifest: dict[str, Any], name: str) -> Any:
    return json.loads(open_store(address).get(f"datasets/flights/{manifest['digest']}/{name}.json"))


def kept(address: StoreAddress, data: Parts | Tables) -> tuple[Snapshot, dict[str, Any]]:
    manifest = datasets.save(data, "flights", open_store(address))
    return Snapshot(f"datasets/flights/{manifest['digest']}", address), manifest
