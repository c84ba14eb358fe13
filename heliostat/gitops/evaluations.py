"""Reads what trainings and evaluations left in a store; what is not to be had holds up nobody who only tells of it."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

from heliostat.gitops.comparison import Side, SideAddresses
from heliostat.spec.addresses import StoreAddress
from heliostat.systems.errors import PermanentError, RetryableError
from heliostat.systems.objects import open_store


def document_at(uri: str, store: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """The JSON at an address in a store, as a platform exports that; None where it is not there, or not to be read here."""
    address = StoreAddress.model_validate(store) if store else None
    if not uri or address is None or not uri.startswith(f"{address.uri}/"):
        return None
    try:
        found = json.loads(open_store(address).get(uri.removeprefix(f"{address.uri}/")))
    except (PermanentError, RetryableError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def side_of(addresses: SideAddresses, store: Mapping[str, Any] | None) -> Side:
    """A side of a comparison, with its evaluation and its schema."""
    report, schema = (document_at(uri, store) or {} for uri in (addresses.report_uri, addresses.schema_uri))
    types = {name: _type(entry) for name, entry in (schema.get("columns") or {}).items()}
    return dataclasses.replace(addresses.side, report=report, schema=types)


def _type(entry: Mapping[str, Any]) -> str:
    return f"{entry['type']}{'' if entry.get('required', True) else ', may be missing'}"
