"""What it takes to reach a Kubernetes cluster that a cloud describes."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class ClusterAccess:
    """An API server, and who asks it."""

    server: str
    """Its URL."""
    ca_pem: str
    """The certificate of its authority, PEM."""
    token: str = field(repr=False)
    """A bearer token."""
    expires: float | None
    """When the token is of no use any more, in seconds since 1970; None where nobody says."""
