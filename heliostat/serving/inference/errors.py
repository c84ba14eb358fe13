"""Errors as the Open Inference Protocol tells them."""

from __future__ import annotations

from typing import Any


def error_text(detail: Any) -> str:
    """What an application says instead of an answer, in one line."""
    if isinstance(detail, str):
        return detail
    return "; ".join(f"{'.'.join(map(str, each.get('loc', ())))}: {each.get('msg')}" for each in detail)
