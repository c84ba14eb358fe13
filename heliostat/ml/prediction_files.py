"""From a spool file of the prediction log to Parquet in the object store.

`predictions/<application>/date=YYYY-MM-DD/<spool file's name>.parquet`, one row a prediction: `request_id`, `row` (in the
request), `time` (UTC), `version`, `latency_ms` (of the request), `input_<field>` and `prediction_<field>`. Storing the same
spool file again writes the same objects.
"""

from __future__ import annotations

import io
import tempfile
from pathlib import Path
from typing import Any, Final

from heliostat.spec.resources import StoreAddress
from heliostat.systems.objects import open_store

_LONGEST_LINE: Final = 64 << 20


def store(spool: Path, application: str, address: StoreAddress) -> int:
    """Store a spool file that nobody writes any more, then delete it; the number of predictions in it."""
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    table = read(spool)
    if table is not None:
        objects = open_store(address)
        days = pc.strftime(table["time"], "%Y-%m-%d")
        for day in sorted(days.unique().to_pylist()):
            part = table.filter(pc.equal(days, day))
            with tempfile.NamedTemporaryFile(suffix=".parquet") as file:
                pq.write_table(part, file.name, compression="zstd")
                objects.put_file(f"predictions/{application}/date={day}/{spool.stem}.parquet", Path(file.name))
    spool.unlink(missing_ok=True)
    return 0 if table is None else table.num_rows


def read(spool: Path) -> Any:
    """The predictions in a spool file as an Arrow table; None where there are none. A torn last line is left out."""
    import pyarrow.json as json

    content = spool.read_bytes()
    content = content[: content.rfind(b"\n") + 1]
    if not content:
        return None
    options = json.ReadOptions(block_size=min(len(content) + 1, _LONGEST_LINE))
    return _flat(json.read_json(io.BytesIO(content), read_options=options))


def _flat(requests: Any) -> Any:
    """One row a prediction out of one row a request."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    requests = requests.combine_chunks()
    inputs, predictions = requests["inputs"].combine_chunks(), requests["predictions"].combine_chunks()
    parents = pc.list_parent_indices(inputs)
    numbers = parents.to_numpy()
    first = np.concatenate(([0], np.cumsum(pc.list_value_length(inputs).to_numpy())[:-1]))
    micros = (requests["time"].to_numpy() * 1e6).astype("int64")
    columns = {
        "request_id": requests["request_id"].take(parents).cast(pa.string()),
        "row": pa.array(np.arange(len(numbers)) - first[numbers], pa.int32()),
        "time": pa.array(micros[numbers], pa.timestamp("us", "UTC")),
        "version": requests["version"].take(parents).cast(pa.string()),
        "latency_ms": requests["latency_ms"].take(parents).cast(pa.float64()),
    }
    for prefix, lists in (("input", inputs), ("prediction", predictions)):
        struct = pc.list_flatten(lists)
        for field in struct.type:
            columns[f"{prefix}_{field.name}"] = pc.struct_field(struct, field.name)
    return pa.table(columns)
