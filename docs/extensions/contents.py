"""The site's table of contents. It stands below the README on the site alone: a forge would show the directive as text."""

from __future__ import annotations

from sphinx.application import Sphinx

_CONTENTS = """
```{toctree}
:hidden:
:caption: Guide

docs/own-repository
docs/convert
docs/architecture
docs/platforms
docs/platforms/kubernetes
docs/platforms/aws
docs/platforms/gcp
docs/operating
docs/serving
docs/models-of-others
docs/data
docs/training
docs/rollouts
docs/postprocessing
docs/prediction-log
docs/monitoring
docs/governance
docs/review
docs/patterns/on-demand
docs/patterns/dependency
docs/patterns/precompute
docs/patterns/hybrid
docs/policies
docs/gitops
docs/ci-clouds
docs/engine
```

```{toctree}
:hidden:
:caption: Reference

docs/reference/config
docs/reference/commands
docs/reference/resources
docs/reference/workloads
docs/reference/contract
docs/reference/testing
```

```{toctree}
:hidden:
:caption: Project

CHANGELOG
CONTRIBUTING
docs/adr/README
findings/README
```
"""
_DECISIONS = """
```{toctree}
:hidden:
:glob:

0*
```
"""
_BELOW = {"README": _CONTENTS, "docs/adr/README": _DECISIONS}


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the extension."""
    app.connect("source-read", _append)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _append(_: Sphinx, page: str, source: list[str]) -> None:
    source[0] += _BELOW.get(page, "")
