"""What the platforms of all kinds share."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field

Port = Annotated[int, Field(ge=1024, le=65535)]

Host = Annotated[str, Field(pattern=r"^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$")]
"""A name or an IPv4 address."""


class OnDestroy(StrEnum):
    """What happens to stored data when its resource is destroyed. The ledger, which says what served when, is always kept."""

    KEEP = "keep"
    DELETE = "delete"
