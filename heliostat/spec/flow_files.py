"""What a flow's file is called. Apart from what reads it, as that loads all that a workload
may declare.
"""

from __future__ import annotations

from typing import Final

FILES: Final = ("flow.yaml", "flow.json")
"""It lies beside the modules that it names."""
