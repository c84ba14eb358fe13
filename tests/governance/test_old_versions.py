"""A deletion in a bucket that keeps versions: the old ones go too, with what was removed, or the proof says which are left."""

from __future__ import annotations

import json

import pytest
from erasure_worlds import OTHER, ErasureWorld
from personal_fakes import EMAIL

from heliostat.systems.errors import PermanentError
from heliostat.systems.objects import open_store
from heliostat.systems.storage.s3 import S3

MIXED, ALONE, BESIDE = (f"reviews/loans/items/{name}.jsonl" for name in ("mixed", "alone", "mixed.jsonl-other"))


@pytest.fixture
def world(tmp_path, s3_address):
    found = ErasureWorld(tmp_path)
    found.address, found.store = s3_address, open_store(s3_address)
    client, bucket = found.store.client, found.store.bucket
    client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    theirs, others = (json.dumps({"inputs": {"email": found.keys.hashed(each)}}).encode() + b"\n" for each in (EMAIL, OTHER))
    for key, content in ((MIXED, theirs + others), (ALONE, theirs), (BESIDE, others), (BESIDE, others + others)):
        found.store.put(key, content)
    return found


def kept(world, key):
    """What all versions of an object hold, and how many marks of deletions it has."""
    store = world.store
    found = store.client.list_object_versions(Bucket=store.bucket, Prefix=store.prefix + key)
    held = [
        store.client.get_object(Bucket=store.bucket, Key=each["Key"], VersionId=each["VersionId"])["Body"].read()
        for each in found.get("Versions", ())
    ]
    return held, len(found.get("DeleteMarkers", ()))


def test_old_versions_of_what_was_changed_go_and_no_others(world):
    person = world.keys.hashed(EMAIL).encode()
    assert sum(person in each for key in (MIXED, ALONE) for each in kept(world, key)[0]) == 2
    proof = world.erase()
    assert kept(world, ALONE) == ([], 0)
    held, _ = kept(world, MIXED)
    assert world.store.get(MIXED) in held and not any(person in each for each in held)
    assert len(kept(world, BESIDE)[0]) == 2, "of an object that nothing was removed from they stay"
    assert proof.versions == 2
    assert not [note for note in proof.notes if "old versions" in note]


def test_without_the_right_the_proof_says_what_is_left_and_the_next_deletion_removes_it(world, monkeypatch):
    def refused(self, place):
        raise PermanentError("the store answered 403 AccessDenied")

    with monkeypatch.context() as patch:
        patch.setattr(S3, "delete_old_versions", refused)
        proof = world.erase()
    (note,) = (note for note in proof.notes if "old versions" in note)
    assert MIXED in note and ALONE in note and "AccessDenied" in note and "s3:DeleteObjectVersion" in note
    assert proof.versions == 0 and len(kept(world, ALONE)[0]) == 1
    again = world.erase()
    assert (again.rows, again.versions) == (0, 2)
    assert kept(world, ALONE) == ([], 0)


def test_a_bucket_that_keeps_none_has_none(world):
    client, bucket = world.store.client, world.store.bucket
    client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Suspended"})
    world.store.put("a", b"1")
    assert world.store.delete_old_versions("a") == 0
    assert world.store.get("a") == b"1"
