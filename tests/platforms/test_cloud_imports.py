"""Who needs no cloud's SDK does not wait for it."""

from __future__ import annotations

import subprocess
import sys

CLOUDS = "('pulumi_aws', 'pulumi_gcp', 'pulumi_kubernetes', 'grafana_foundation_sdk')"


def test_the_program_of_a_local_stack_imports_no_clouds_sdk():
    code = (
        f"import sys, heliostat.program, heliostat.platforms.local; print([each for each in sys.modules if each in {CLOUDS}])"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"
