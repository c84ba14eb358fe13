# ruff: noqa: ASYNC110 - nothing tells when another process listens
import asyncio
import shutil
import socket
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

from heliostat.systems import ports, processes
from heliostat.systems.errors import PermanentError

LISTEN = """
import socket, sys, time
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
print("listens", flush=True)
time.sleep(600)
"""


@pytest.fixture(autouse=True)
def runtime(tmp_path, monkeypatch):
    monkeypatch.setenv("HELIOSTAT_RUNTIME_DIR", str(tmp_path / "run"))


@contextmanager
def listening(port=0):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", port))
        taken.listen()
        yield taken.getsockname()[1]


def test_a_port_is_the_same_again(tmp_path):
    assert ports.claim(tmp_path / "a", "x") == ports.claim(tmp_path / "a", "x") == ports.known(tmp_path / "a", "x")


def test_a_port_is_the_same_after_a_reboot_emptied_the_runtime_folder(tmp_path):
    first = ports.claim(tmp_path / "a", "x")
    shutil.rmtree(tmp_path / "run")
    assert ports.claim(tmp_path / "a", "x") == first


def test_blocks_of_two_stacks_never_overlap(tmp_path, monkeypatch):
    monkeypatch.setattr(ports, "END", ports.FIRST + 400)
    monkeypatch.setattr(ports, "_free", lambda port: True)
    taken = set()
    for stack in range(4):
        first = ports.claim(tmp_path / str(stack), "x", count=100)
        block = set(range(first, first + 100))
        assert not block & taken
        taken |= block
    with pytest.raises(PermanentError, match="no 100 free ports"):
        ports.claim(tmp_path / "one too many", "x", count=100)


def test_a_stack_that_was_removed_gives_its_ports_back(tmp_path, monkeypatch):
    monkeypatch.setattr(ports, "END", ports.FIRST + 1)
    monkeypatch.setattr(ports, "_free", lambda port: True)
    first = ports.claim(tmp_path / "a", "x")
    ports.release(tmp_path / "a")
    assert ports.claim(tmp_path / "b", "x") == first
    shutil.rmtree(tmp_path / "b")
    assert ports.claim(tmp_path / "c", "x") == first


def test_a_port_that_another_program_took_is_left_to_it(tmp_path):
    first = ports.claim(tmp_path / "a", "x")
    with listening(first):
        assert ports.claim(tmp_path / "a", "x") != first


def test_a_fixed_port_in_use_names_who_holds_it(tmp_path):
    with listening() as port, pytest.raises(PermanentError, match=rf"port {port}.* is in use by .*\(process \d+\)"):
        ports.claim(tmp_path / "a", "x", fixed=port)


def test_a_fixed_port_that_is_free_is_taken(tmp_path):
    with listening() as port:
        pass
    assert ports.claim(tmp_path / "a", "x", fixed=port) == port


async def _listens(port: int) -> None:
    while ports.holder(port) is None:
        await asyncio.sleep(0.02)


async def test_a_service_keeps_the_port_it_listens_at(tmp_path):
    port = ports.claim(tmp_path / "a", "x")
    processes.start(processes.Service(tmp_path / "a", "x", (sys.executable, "-c", LISTEN, str(port))))
    try:
        await _listens(port)
        assert ports.claim(tmp_path / "a", "x") == port
        assert ports.claim(tmp_path / "a", "x", fixed=port) == port
        with pytest.raises(PermanentError, match="in use by python"):
            ports.claim(tmp_path / "b", "x", fixed=port)
    finally:
        await processes.stop(tmp_path / "a", "x", grace_seconds=0)


def test_nobody_holds_a_free_port(tmp_path):
    with listening() as port:
        assert ports.holder(port)
    assert ports.holder(port) is None


def test_a_damaged_memory_of_ports_is_begun_anew(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "ports.json").write_text("{")
    assert ports.claim(Path(tmp_path / "a"), "x") >= ports.FIRST


def test_a_port_whose_old_connections_still_wait_for_their_end_is_kept(tmp_path: Path) -> None:
    port = ports.claim(tmp_path, "replica")
    with socket.socket() as server:  # as Serve's replicas listen: without SO_REUSEADDR
        server.bind(("127.0.0.1", port))
        server.listen()
        with socket.create_connection(("127.0.0.1", port)) as client:
            accepted, _ = server.accept()
            accepted.close()  # first, so that its side waits
            client.recv(1)
    assert ports.claim(tmp_path, "replica") == port
