#!/usr/bin/env bash
# pyiceberg 0.12.0: `table.maintenance.expire_snapshots()` takes snapshots out of the table's metadata and leaves all of their
# files where they are: data, manifests and manifest lists. Nothing else of its `maintenance` removes files, and no snapshot
# names them any more. In Iceberg's Java library (and Spark's procedure) expiring deletes what nothing refers to any longer.
# It bites storage that is paid for, and data that was to be gone: rows of an expired snapshot can still be read from their file.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-compile \
  'pyiceberg[sql-sqlite,pyarrow]==0.12.0' pyarrow==26.0.1 ||
  { echo "not tried: the packages were not installed"; exit 2; }
cat >"$folder/check.py" <<'PYTHON'
import collections
import pathlib
import sys
import tempfile
import warnings

import pyarrow
import pyarrow.parquet
import pyiceberg
from pyiceberg.catalog.sql import SqlCatalog

warnings.filterwarnings("ignore")


def kinds(folder):
    return dict(sorted(collections.Counter(each.suffix for each in folder.rglob("*") if each.is_file()).items()))


with tempfile.TemporaryDirectory() as store:
    catalog = SqlCatalog("local", uri=f"sqlite:///{store}/catalog.db", warehouse=f"file://{store}/warehouse")
    catalog.create_namespace("rides")
    table = catalog.create_table("rides.taken", schema=pyarrow.schema([("rider", pyarrow.int64())]))
    for rider in (1, 2, 3):
        table.overwrite(pyarrow.table({"rider": [rider] * 5}))
    folder = pathlib.Path(store, "warehouse")
    before, snapshots = kinds(folder), [each.snapshot_id for each in table.snapshots()]
    table.maintenance.expire_snapshots().by_ids(snapshots[:-1]).commit()
    table.refresh()
    after, kept = kinds(folder), len(table.snapshots())
    of_table = sorted(set(table.scan().to_arrow()["rider"].to_pylist()))
    of_files = sorted({value for each in folder.rglob("*.parquet") for value in pyarrow.parquet.read_table(each)["rider"].to_pylist()})
    offered = [name for name in dir(table.maintenance) if not name.startswith("_") and name != "tbl"]
print("pyiceberg", pyiceberg.__version__, "pyarrow", pyarrow.__version__)
print("three overwrites, then all snapshots but the last are expired")
print("expected: the files that no snapshot names any more are deleted, or something that deletes them")
print(f"seen: {len(snapshots)} snapshots, then {kept}; files before {before}, after {after}")
print(f"seen: riders in the table {of_table}, in the files {of_files}; maintenance offers {offered}")
if kept != 1 or of_table != [3]:
    sys.exit("changed: the snapshots were not expired as described")
if after[".parquet"] != before[".parquet"] or after[".avro"] != before[".avro"] or of_files != [1, 2, 3] or offered != ["expire_snapshots"]:
    sys.exit("changed: files of expired snapshots no longer stay, or something else removes them")
PYTHON
"$folder/venv/bin/python" "$folder/check.py"
