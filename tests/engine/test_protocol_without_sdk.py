"""The protocol's messages without the SDK: a command and a plugin do not import what they do not use."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize("module", ["heliostat.cli.operate", "heliostat.provider.plugin"])
def test_what_only_speaks_the_protocol_does_not_import_the_whole_sdk(module: str) -> None:
    looked = f"import sys, {module}; print([name for name in ('pulumi', 'pulumi.runtime') if name in sys.modules])"
    told = subprocess.run([sys.executable, "-c", looked], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "[]"


def test_a_message_is_of_one_class_under_both_names() -> None:
    from pulumi.runtime.proto import resource_pb2 as of_the_sdk

    from heliostat.pulumi_proto import resource_pb2

    assert resource_pb2.RegisterResourceRequest is of_the_sdk.RegisterResourceRequest
