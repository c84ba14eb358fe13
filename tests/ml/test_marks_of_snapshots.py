"""Two who change a snapshot's manifest at once: what says that a person's rows were deleted from it stays."""

from __future__ import annotations

import json
from pathlib import Path

from heliostat.ml.snapshots import told
from heliostat.systems.objects import Directory

KEY = f"datasets/flights/{'a' * 64}/manifest.json"


def test_marks_are_kept_beside_what_a_deletion_said_since_the_manifest_was_read(tmp_path: Path) -> None:
    store = Directory(tmp_path)
    stale = {"name": "flights", "digest": "a" * 64, "columns": {"email": "string", "size": "double"}}
    store.put(KEY, told.content_of({**stale, "erased": {"erasure": "e"}, "personal": ["size"]}))
    found = told.without_personal_values(store, stale, {"email"})
    assert found == json.loads(store.get(KEY))
    assert found["erased"] == {"erasure": "e"} and found["personal"] == ["size", "email"]
    assert told.without_personal_values(store, found, {"email"}) == found
