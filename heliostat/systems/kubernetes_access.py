"""What a cloud says of a cluster's API to whoever may use it."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class ClusterAccess:
    """An API server, and a bearer token for it."""

    server: str
    """Its URL."""
    ca_pem: str
    """The certificate of the authority that vouches for it."""
    token: str = field(repr=False)
    expires: float | None
    """When the token is of no use any more, in seconds since the epoch; None where nobody says."""
