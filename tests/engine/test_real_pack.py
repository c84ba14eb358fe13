"""This repository's own pack under the embedded engine, with the SDK of policies in an environment that is made for it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from engine_harness import Lab

from heliostat.engine.events import PackLoaded, PolicyViolation
from heliostat.engine.protocol import packenvs
from heliostat.engine.protocol.packs import PolicyPack

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = """
class Thing(pulumi.ComponentResource):
    def __init__(self, kind, name, opts=None, **inputs):
        super().__init__(kind, name, inputs, opts)


later = Lab("later").made.apply(lambda made: "roles/editor")
Thing("aws:s3/bucket:Bucket", "open", acl="public-read", tags={"owner": "ml", "environment": "dev", "cost-centre": "1"})
Thing("aws:rds/instance:Instance", "db", storageEncrypted=True, opts=Options(protect=True))
Thing("gcp:projects/iAMMember:IAMMember", "member", role=later, member="user:x")
Thing("heliostat:index:Application", "flights", replicas=1, strategy={"kind": "rolling"})
"""


@pytest.mark.long
async def test_the_repository_s_pack_judges_a_preview_and_what_only_the_update_knows(lab: Lab) -> None:
    folder = lab.folder / "rules"
    shutil.copytree(ROOT / "policies", folder, ignore=shutil.ignore_patterns("venv", "__pycache__"))
    config = lab.folder / "config.json"
    config.write_text(json.dumps({"encrypted": "disabled", "protected": "advisory", "backed-up": {"days": 3}}))
    packs = (PolicyPack(folder, config),)
    assert not (await lab.preview(PROGRAM, policy_packs=packs)).succeeded
    assert (folder / "venv" / packenvs.MADE_FROM).exists()
    assert "making the virtual environment" in lab.said("info")
    told = {(one.policy, one.urn.rpartition("::")[2], one.level) for one in lab.events if isinstance(one, PolicyViolation)}
    assert told == {
        ("no-public-bucket", "open", "mandatory"),
        ("protected", "open", "advisory"),
        ("bucket-access-blocked", "open", "mandatory"),
        ("buckets-encrypted", "open", "mandatory"),
        ("buckets-versioned", "open", "mandatory"),
        ("backed-up", "db", "mandatory"),
        ("tagged", "db", "mandatory"),
        ("price-known", "lab-dev", "advisory"),
        ("two-replicas", "flights", "mandatory"),
        ("analysed", "flights", "advisory"),
    }
    assert [one.policies for one in lab.events if isinstance(one, PackLoaded)] == [22]
    assert not any("can't run policy" in one.message for one in lab.events if isinstance(one, PolicyViolation))

    alone = "\n".join(line for line in PROGRAM.splitlines() if not line.startswith(('Thing("aws', 'Thing("helio')))
    assert (await lab.preview(alone, policy_packs=packs)).succeeded
    assert not (await lab.up(alone, policy_packs=packs)).succeeded
    (one,) = [one for one in lab.events if isinstance(one, PolicyViolation)]
    assert (one.policy, one.level) == ("no-iam-wildcard", "mandatory")
    assert "making the virtual environment" not in lab.said("info")
