"""What is started before the operation that needs it."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import psutil
from engine_harness import PROVIDER, Lab

from heliostat.engine.protocol import launching
from heliostat.engine.protocol.launching import Ahead, Host


def _host(folder: Path, **variables: str) -> Host:
    return Host.start({}, folder, folder, {**os.environ, **variables})


async def test_a_program_runs_in_the_host_that_was_started_for_it_and_the_next_in_one_of_its_own(lab: Lab) -> None:
    lab.config = {"lab:size": "3"}
    lab.ahead = Ahead(_host(lab.folder, MARKED="yes"))
    program = "import os\npulumi.export('found', [os.environ.get('MARKED'), pulumi.Config('lab').get('size')])"
    for found in (["yes", "3"], [None, "3"]):
        assert (await lab.up(program)).succeeded, lab.said("error")
        assert lab.resources()["lab-dev"].outputs == {"found": found}


async def test_a_plugin_that_was_started_before_serves_the_operation(lab: Lab) -> None:
    command, environment = launching.command_of("lab", PROVIDER, {**os.environ, "LAB_LOG": str(lab.log)})
    started = launching.start([*command, "127.0.0.1:9"], lab.folder, environment)
    lab.ahead = Ahead(plugins={"lab": started})
    assert (await lab.up("Lab('a', v=1)")).succeeded, lab.said("error")
    assert (lab.ahead.plugins, started.wait(10)) == ({}, -15)


def test_what_nobody_took_ends(tmp_path: Path) -> None:
    plugin = launching.start([sys.executable, "-c", "import time; time.sleep(60)"], tmp_path, os.environ)
    host = _host(tmp_path)
    Ahead(host, {"some": plugin}).close()
    assert not psutil.pid_exists(host.process.pid)
    assert not psutil.pid_exists(plugin.pid)


def test_a_host_whose_engine_ends_before_it_says_anything_ends_silently(tmp_path: Path) -> None:
    host = _host(tmp_path)
    host.pipe.close()
    assert host.process.communicate(timeout=60) == (b"", b"")
    assert host.process.returncode == 0
