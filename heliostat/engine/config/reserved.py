"""What the namespace `pulumi` of a stack's configuration says to the engine; pure."""

from __future__ import annotations

import json
from collections.abc import Mapping

from heliostat.engine.errors import EngineError
from heliostat.engine.state.snapshot import Secret

DENIED = "pulumi:disable-default-providers"
REFUSED = {
    "pulumi:autonaming": "the embedded engine leaves names to the providers: remove it, or use the official CLI for this stack"
}


def denied_packages(config: Mapping[str, str | Secret]) -> frozenset[str]:
    """The packages that get no default provider; `*` stands for all but `pulumi`. Raises EngineError for what is no list."""
    for key, reason in REFUSED.items():
        if key in config:
            raise EngineError(f"the configuration has {key}: {reason}")
    said = config.get(DENIED) or "[]"
    text = said.value if isinstance(said, Secret) else said
    try:
        names = json.loads(text)
    except ValueError:
        names = None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise EngineError(f'{DENIED} is {text!r}: it has to be a list of packages, such as ["aws"] or ["*"]')
    return frozenset(name.strip() for name in names)
