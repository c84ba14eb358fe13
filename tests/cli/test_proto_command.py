"""`heliostat proto`: the definition of a contract for gRPC, beside it."""

import importlib
import sys
import textwrap
import zipfile

import pytest

CONTRACT = """
from pydantic import BaseModel
from heliostat.ml.contracts import Contract

class Row(BaseModel):
    {fields}

class Answer(BaseModel):
    half: float

class Half: ...

CONTRACT = Contract("t", "d", Row, Answer, Half, Answer, ())
"""
OF = ("halves", "--contract", "of_halves.contract:CONTRACT")


@pytest.fixture
def contract(desk):
    """Writes a contract in a package that no other test has."""
    folder = desk.folder / "of_halves"
    folder.mkdir()
    desk.monkeypatch.setattr(sys, "dont_write_bytecode", True)
    desk.monkeypatch.setattr(sys, "path", [*sys.path])

    def write(fields):
        (folder / "contract.py").write_text(CONTRACT.format(fields=fields))
        for name in ("of_halves.contract", "of_halves"):
            sys.modules.pop(name, None)
        importlib.invalidate_caches()
        return folder / "contract.proto"

    return write


def test_a_definition_is_written_once_and_follows_its_contract_with_numbers_that_stay(desk, contract):
    path = contract("size: float")
    assert "Created of_halves/contract.proto" in desk.ok("proto", *OF)
    assert "  optional double size = 1;" in path.read_text()
    assert "is the contract's" in desk.ok("proto", *OF, "--check")
    contract("depth: int")
    ran = desk("proto", *OF, "--check")
    assert (ran.code, "`heliostat proto halves` writes it" in ran.err) == (1, True)
    assert "Changed of_halves/contract.proto" in desk.ok("proto", *OF)
    changed = """\
        message Row {
          reserved 1;
          reserved "size";
          optional int64 depth = 2;
        }
    """
    assert textwrap.dedent(changed) in path.read_text()


def test_what_is_no_contract_or_no_definition_is_told(desk, contract):
    ran = desk("proto", "nothing")
    assert (ran.code, "workloads.nothing.contract:CONTRACT cannot be imported" in ran.err) == (2, True)
    contract("size: float").write_text("what is this")
    ran = desk("proto", *OF)
    assert (ran.code, "line 1 is in no form" in ran.err) == (2, True)


FILE = """\
title: rents
description: The rent of a flat.
task: regression
ranges: open
reads: frame
request:
  area: {type: double}
  rooms: {type: long}
answer:
  rent: {type: double}
examples: [{area: 1.0, rooms: 2}]
recorded: {model: "models:/rents/1", digest: DIGEST}
golden: [{name: one, request: {area: 1.0, rooms: 2}, answer: {rent: 3.0}}]
""".replace("DIGEST", "a" * 64)


def test_a_contract_that_is_a_file_has_a_definition_and_a_client_with_calls_as_any_other(desk):
    desk.monkeypatch.setattr(sys, "path", [*sys.path])
    folder = desk.folder / "workloads" / "of_others"
    folder.mkdir(parents=True)
    (folder / "contract.yaml").write_text(FILE)
    assert "Created workloads/of_others/contract.proto" in desk.ok("proto", "of-others")
    assert "  optional double area = 1;" in (folder / "contract.proto").read_text()
    assert "is the contract's" in desk.ok("proto", "of-others", "--check")
    pytest.importorskip("datamodel_code_generator")
    desk.ok("client", "of-others")
    (wheel,) = (desk.folder / "dist").glob("*.whl")
    assert {"of_others_client/models.py", "of_others_client/grpc.py"} <= set(zipfile.ZipFile(wheel).namelist())
