"""Data sets of Ray Data as the parts of a snapshot, and a snapshot as one; on a Ray of this test's own."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from small_snapshots import kept, small

from heliostat.ml.datasets import Parts, Tables
from heliostat.spec.addresses import StoreAddress
from heliostat.systems import ray_data
from tests.ray_here import begin

pytestmark = pytest.mark.local_stack


@pytest.fixture(scope="module")
def data() -> Iterator[Any]:
    import ray
    import ray.data

    # Workers have the credentials that they are started with.
    environment = pytest.MonkeyPatch()
    environment.setenv("AWS_ACCESS_KEY_ID", "testing")
    environment.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    folder = tempfile.mkdtemp(prefix="hs-", dir="/tmp")  # sockets lie in it, whose paths end at 107 bytes
    try:
        begin(num_cpus=2, include_dashboard=False, object_store_memory=100 << 20, _temp_dir=folder)
        ray.data.DataContext.get_current().enable_progress_bars = False
        yield ray.data
    finally:
        ray.shutdown()
        environment.undo()
        shutil.rmtree(folder, ignore_errors=True)


def table(rows: int) -> pa.Table:
    numbers = range(rows)
    return pa.table(
        {"size": pa.array(numbers, pa.int64()), "name": [f"n{n % 7}" for n in numbers], "late": [n % 2 for n in numbers]}
    )


def test_rows_of_ray_data_keep_their_order_and_are_the_snapshot_of_the_same_rows_in_memory(data: Any) -> None:
    def late_first(batch: pa.Table) -> pa.Table:
        """The first block is the last to be done."""
        if batch["size"][0].as_py() == 0:
            time.sleep(1)
        return batch

    rows = [table(48).slice(first, 8) for first in range(0, 48, 8)]
    dataset = data.from_arrow(rows).map_batches(late_first, batch_format="pyarrow", batch_size=None)
    with small() as address:
        _, expected = kept(address, Tables(table(48), table(3), table(3), "late"))
        snapshot, manifest = kept(address, Parts(dataset, table(3), lambda: data.from_arrow(table(3)), "late"))
        assert manifest["digest"] == expected["digest"]
        assert snapshot.table("train")["size"].to_pylist() == list(range(48))
        assert not dataset.context.execution_options.preserve_order, "as it was"


def test_a_data_set_without_rows_is_an_empty_split(data: Any) -> None:
    empty = data.from_arrow(table(3)).map_batches(lambda batch: batch.slice(0, 0), batch_format="pyarrow")
    with small() as address, pytest.raises(Exception, match="the test split is empty"):
        kept(address, Parts(table(3), table(3), empty, "late"))


def test_parts_in_a_bucket_are_a_data_set_and_are_made_of_one(data: Any, s3_address: StoreAddress) -> None:
    # Google's are not tried so: pyarrow's client holds the lock of the very interpreter whose server it waits for.
    with small() as here:
        _, expected = kept(here, Tables(table(48), table(3), table(3), "late"))
        snapshot, manifest = kept(s3_address, Parts(data.from_arrow(table(48)), table(3), table(3), "late"))
        assert manifest["digest"] == expected["digest"]
        assert len(manifest["files"]["train"]) > 1
        assert snapshot.dataset("train", ["size"]).take_all() == [{"size": number} for number in range(48)]


def test_a_snapshot_is_a_data_set_of_its_rows_in_order(data: Any) -> None:
    with small() as address:
        snapshot, _ = kept(address, Tables(table(48), table(3), table(3), "late"))
        doubled = snapshot.dataset("train", ["size"]).map_batches(lambda batch: {"twice": np.asarray(batch["size"]) * 2})
        found = [value for block in ray_data.blocks(doubled) for value in block["twice"].to_pylist()]
        whole = pa.concat_tables(ray_data.blocks(snapshot.dataset("test")))
    assert found == list(range(0, 96, 2))
    assert whole == table(3)
