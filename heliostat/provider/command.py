"""The plugin as the command `pulumi-resource-heliostat`, which engines look for by this name."""

from __future__ import annotations

import gc
import sys


def main() -> None:
    """Serve until the engine ends, whose address is the argument."""
    # Modules live until the end: looking through them again and again takes a tenth of their import.
    gc.set_threshold(50_000, 20, 20)
    from heliostat.provider.plugin import main as serve

    serve(sys.argv[1:])
