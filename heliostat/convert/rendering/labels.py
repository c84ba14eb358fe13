"""The name of what a model tells. Pure."""

from __future__ import annotations

import ast


def label_name(node: ast.expr) -> str:
    """`df["late"]` as `late`; what is computed by the variable that it is in."""
    while True:
        if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant) and isinstance(node.slice.value, str):
            return node.slice.value
        if isinstance(node, ast.Attribute) and node.attr not in ("values", "iloc", "loc"):
            return node.attr
        if isinstance(node, ast.Call | ast.Attribute | ast.Subscript):
            node = node.func if isinstance(node, ast.Call) else node.value
        else:
            return node.id if isinstance(node, ast.Name) else "label"
