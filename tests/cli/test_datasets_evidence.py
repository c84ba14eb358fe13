"""What holds a snapshot is found however it names it; where a record cannot be read, nothing is deleted."""

from __future__ import annotations

import time

import pytest
from test_datasets_commands import MONTH, Data

from heliostat.cli.datasets.catalogue import read
from heliostat.cli.datasets.lineage import traced
from heliostat.cli.datasets.retention import Rules, judged, prune
from heliostat.spec.addresses import StoreAddress


class States:
    """The states of a project's stacks."""

    def __init__(self, **inputs) -> None:
        self.inputs = inputs

    def names(self):
        return ["dev"]

    def resources(self, stack):
        return [{"type": "heliostat:data:Dataset", "inputs": self.inputs}]


class NoTrainings:
    """An MLflow that has none."""

    def versions_on_data(self):
        return []

    def runs_on_data(self):
        return []


class Evidence:
    """Snapshots, and who names them."""

    def __init__(self, address) -> None:
        self.data, self.states = Data(address), States()
        self.old = self.data.make(at=time.time() - 3 * MONTH)
        self.new = self.data.make(shift=1)

    def lineage(self):
        return traced(read(self.data.store), self.data.store, NoTrainings(), self.states)

    def reasons(self):
        """Why each snapshot stays two months from now; nothing of those that go."""
        known, found = read(self.data.store), self.lineage()
        verdicts = judged(known, found, Rules(MONTH), time.time() + 2 * MONTH)
        return {each.subject.digest: each.reason for each in verdicts if each.keep}


@pytest.fixture(params=["folder", "bucket"])
def evidence(request, tmp_path):
    bucket = request.param == "bucket"
    address = request.getfixturevalue("s3_address") if bucket else StoreAddress(uri=f"file://{tmp_path}/objects")
    return Evidence(address)


def test_a_snapshot_that_nothing_names_goes_with_all_its_files(evidence):
    assert evidence.reasons() == {evidence.new: "is the newest"}
    store = evidence.data.store
    prune(store, judged(read(store), evidence.lineage(), Rules(MONTH), time.time() + 2 * MONTH), lambda what: None)
    left = {info.key.split("/")[2] for info in store.list("datasets/flights/")}
    assert left == {evidence.new, "made"}
    assert [each.digest for each in read(store).pruned] == [evidence.old]


def test_a_source_that_names_a_snapshot_by_its_first_digits_holds_it(evidence):
    source = {"kind": "data-set", "name": "flights", "digest": evidence.old[:12]}
    evidence.states = States(ingestion={"source": source})
    assert evidence.reasons()[evidence.old] == "1 stack"
    evidence.states = States(ingestion={"source": {**source, "digest": "0" * 12}})
    assert evidence.old not in evidence.reasons()


@pytest.mark.parametrize("key", ["datasets/flights/made/{0:064d}.json", "evaluations/flights/{0:064d}.json"])
def test_where_a_record_cannot_be_read_nobody_knows_what_it_holds(evidence, key):
    assert evidence.lineage().unknown == ()
    evidence.data.store.put(key.format(7), b'{"cut')
    (told,) = evidence.lineage().unknown
    assert key.format(7) in told
