"""Where a signature's types lead: a model to its section, an alias to where it is described."""

from __future__ import annotations

from typing import Any

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util.nodes import make_refnode


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the extension."""
    app.connect("missing-reference", _resolve)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _resolve(app: Sphinx, env: BuildEnvironment, node: pending_xref, text: Any) -> nodes.reference | None:
    if node.get("refdomain") != "py":
        return None
    name = node["reftarget"].rpartition(".")[2]
    page, anchor = _described(env, name) or ("", "")
    return make_refnode(app.builder, node["refdoc"], page, anchor, text) if page else None


def _described(env: BuildEnvironment, name: str) -> tuple[str, str] | None:
    """The page and the anchor of a thing by its last name, where only one is called so."""
    if section := env.domains.standard_domain.anonlabels.get(f"model-{name.lower()}"):
        return section
    objects = env.domains.python_domain.objects
    found = [(thing.docname, thing.node_id) for full, thing in objects.items() if full.rpartition(".")[2] == name]
    return found[0] if len(found) == 1 else None
