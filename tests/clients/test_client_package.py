"""A client package of a contract: built without a network, and used by a program that has nothing of this library."""

from __future__ import annotations

import asyncio
import os
import sys
import textwrap
import zipfile
from collections.abc import AsyncIterator
from email.parser import Parser
from pathlib import Path

import pytest
from pictures import PICTURES
from real_replica import RealReplica
from serving_fakes import contract
from traffic_plane import free_port, serving

from heliostat.clients.building import build
from heliostat.clients.sources import ClientPackage
from heliostat.serving.grpc.definition import define
from heliostat.systems import processes
from heliostat.systems.haproxy_config import Plane, Route

for _needed in ("hatchling", "datamodel_code_generator"):
    pytest.importorskip(_needed, reason="the extra `client` is not installed")

HALVES = ClientPackage("flights", contract(), 2, "1.2.3", define(contract(), "flights"))


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(HALVES, tmp_path_factory.mktemp("dist"))


@pytest.fixture
async def plane(tmp_path: Path) -> AsyncIterator[Plane]:
    made = await RealReplica("1-b").start()
    found = Plane("127.0.0.1", free_port(), tmp_path, processes.runtime_directory(tmp_path), 1, 64, 10.0)
    async with serving(found, Route("flights", 0, (made.endpoint,))):
        yield found
    made.kill()


async def run(wheel: Path, plane: Plane, program: str) -> str:
    """What a program says that has the wheel and what it requires, in a process of its own."""
    start = f"""
        import sys
        URL, TARGET = "http://127.0.0.1:{plane.public_port}/flights", "127.0.0.1:{plane.public_port}"
    """
    end = "assert not {'heliostat', 'ray', 'mlflow', 'numpy'} & set(sys.modules), sorted(sys.modules)"
    text = "\n".join(map(textwrap.dedent, (start, program, end)))
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | {"PYTHONPATH": str(wheel)}
    ran = await asyncio.create_subprocess_exec(
        sys.executable, "-P", "-c", text, env=environment, cwd=wheel.parent,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, error = await ran.communicate()
    assert ran.returncode == 0, error.decode()
    return out.decode()


def test_the_wheel_asks_for_httpx_and_pydantic_and_is_the_same_each_time(wheel: Path, tmp_path: Path) -> None:
    assert wheel.name == "flights_client-1.2.3-py3-none-any.whl"
    assert build(HALVES, tmp_path).read_bytes() == wheel.read_bytes()
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        told = Parser().parsestr(archive.read("flights_client-1.2.3.dist-info/METADATA").decode())
    assert "flights_client/py.typed" in names
    plain = [each.split(">")[0].split("<")[0] for each in told.get_all("Requires-Dist", []) if "extra" not in each]
    assert sorted(plain) == ["httpx", "pydantic"]


async def test_a_program_asks_over_http_and_hears_what_does_not_fit(wheel: Path, plane: Plane) -> None:
    program = """
        import asyncio, datetime
        from flights_client import Ask, AsyncClient, Client, RejectedError, Told
        row = Ask(kind="a", size=0.3, when=datetime.datetime(2013, 7, 9))
        with Client(URL) as client:
            answer = client.predict(row)
            assert isinstance(answer, Told)
            print(answer.score.hex(), [each.score for each in client.predict_many([row] * 5)])
            try:
                client.predict(Ask.model_construct(kind="z", size=1.0, when=row.when))
            except RejectedError as error:
                print(error.status, error.problems[0]["loc"])
        async def main():
            async with AsyncClient(URL) as client:
                print((await client.predict(row)).score)
        asyncio.run(main())
    """
    expected = f"{(0.15).hex()} [0.15, 0.15, 0.15, 0.15, 0.15]\n422 ['body', 'kind']\n0.15\n"
    assert await run(wheel, plane, program) == expected


async def test_a_program_asks_over_grpc(wheel: Path, plane: Plane) -> None:
    program = """
        import datetime
        from flights_client import Ask, RejectedError
        from flights_client.grpc import CallClient
        row = Ask(kind="a", size=0.3, when=datetime.datetime(2013, 7, 9))
        with CallClient(TARGET) as client:
            print(client.predict(row).score.hex(), [each.score for each in client.predict_many([row] * 3)])
            try:
                client.predict(Ask.model_construct(kind="z", size=1.0, when=row.when))
            except RejectedError as error:
                print(error.status, "body.kind" in str(error))
    """
    assert await run(wheel, plane, program) == f"{(0.15).hex()} [0.15, 0.15, 0.15]\n422 True\n"


def test_every_kind_of_field_has_a_type_and_a_form(tmp_path: Path) -> None:
    made = build(ClientPackage("pictures-x", PICTURES, 10, "", define(PICTURES, "pictures-x")), tmp_path)
    assert made.name.startswith("pictures_x_client-1.0.0+")
    with zipfile.ZipFile(made) as archive:
        models = archive.read("pictures_x_client/models.py").decode()
        grpc = archive.read("pictures_x_client/grpc.py").decode()
    compile(models, "models.py", "exec")
    compile(grpc, "grpc.py", "exec")
    assert "how_many" in models
    assert "'image': ['image', 'tensor', 'FP32']" in grpc


def test_what_says_nothing_of_grpc_has_no_client_over_it(tmp_path: Path) -> None:
    with zipfile.ZipFile(build(ClientPackage("halves", contract(), 10), tmp_path)) as archive:
        assert not [name for name in archive.namelist() if name.endswith(("grpc.py", "calls.py", "messages.py"))]
