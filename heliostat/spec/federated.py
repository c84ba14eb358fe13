"""Federated training: sites that keep their rows, how many have to answer, and what of their updates may be seen."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Annotated, Self

from pydantic import Field, model_validator

from heliostat.spec.base import Digest, Model, Name, is_none

MOST_SITES = 128
SITES_TAG = "heliostat.sites"
"""On a run: the sites of the last round, each with its rows and their digest."""
_SECURE_SITES = 3


class Site(Model):
    """One that takes part with rows of its own."""

    token_sha256: Digest
    """SHA-256 of the site's token, as `heliostat site token` tells it. The token itself never leaves the site."""


class DifferentialPrivacy(Model):
    """Differential privacy of each site's rows as a whole: updates are clipped, and their sum gets Gaussian noise."""

    clip: Annotated[float, Field(gt=0)]
    """L2 norm that a site's update is cut to; each site counts alike, whatever its rows."""
    noise_multiplier: Annotated[float, Field(gt=0)]
    """Standard deviation of the noise on the sum of the updates, as a multiple of `clip`."""
    delta: Annotated[float, Field(gt=0, lt=1)] = 1e-5
    """The δ that the told ε holds for; well below one divided by the number of sites."""


class DeliveredPackage(Model):
    """A wheel of the model, as sites are told of it."""

    distribution: str
    """What it is installed by."""
    file: str
    version: str
    sha256: Digest


class CoordinatorListener(Model):
    """Where the coordinator listens for the sites: on the machine that the cluster runs jobs' drivers on."""

    host: str = "127.0.0.1"
    """The address it listens on; by default only what is on the same machine reaches it."""
    port: Annotated[int, Field(ge=1024, le=65535)]
    """Its port, which stays the same over all trainings, and is no other federation's."""
    certificate: Annotated[str, Field(pattern=r"^/")] | None = Field(default=None, exclude_if=is_none)
    """The certificate's file on that machine, for HTTPS; with `key`. Needed on any address but loopback."""
    key: Annotated[str, Field(pattern=r"^/")] | None = Field(default=None, exclude_if=is_none)
    """The private key's file on that machine."""

    @model_validator(mode="after")
    def _keeps_tokens_secret(self) -> Self:
        if (self.certificate is None) != (self.key is None):
            raise ValueError("`certificate` and `key` belong together: give both, or neither")
        if self.certificate is None and not _is_loopback(self.host):
            raise ValueError(
                f"{self.host} is reached over a network, where tokens would go in clear: give `certificate` and `key`, or "
                "listen on 127.0.0.1 behind a proxy that ends TLS"
            )
        return self


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class FederatedRules(Model):
    """How a federation trains; it decides the model that comes out."""

    rounds: Annotated[int, Field(ge=1, le=100_000)] = 10
    """The most that there are."""
    tolerance: Annotated[float, Field(gt=0)] | None = Field(default=None, exclude_if=is_none)
    """It ends before where no parameter moves by more than this in a round; by default all rounds are made."""
    min_sites: Annotated[int, Field(ge=1)] = 2
    """How many have to answer in a round; with fewer it waits."""
    max_norm: Annotated[float, Field(gt=0)] = 1e9
    """L2 norm of an update above which it is refused."""
    privacy: DifferentialPrivacy | None = Field(default=None, exclude_if=is_none)
    """Clipping and noise; by default neither."""
    secure_aggregation: bool = False
    """Whether updates are masked, so that the coordinator sees no more than their sum. It needs at least 3 sites."""


class Federation(FederatedRules):
    """Training over sites that keep their rows, in the place of one on the cluster."""

    sites: Annotated[dict[Name, Site], Field(min_length=1, max_length=MOST_SITES)]
    """Who may take part, by name."""
    coordinator: CoordinatorListener
    """Where the sites connect to."""
    round_seconds: Annotated[float, Field(gt=0)] = 60.0
    """How long a site may take for a step of a round; then the round goes on without it, where enough others answered."""
    timeout_seconds: Annotated[float, Field(gt=0)] = 86_400.0
    """How long all of it may take, waiting for sites included; then it is stopped and has failed."""
    data_version: Annotated[str, Field(max_length=100)] = ""
    """Names the state of the sites' rows. A training takes what lies there when it begins; another name has it train again."""
    delivery_seconds: Annotated[float, Field(gt=0)] = 60.0
    """How long sites are waited for with a new package of the model, where the workload has a `package`."""

    @model_validator(mode="after")
    def _can_be_done(self) -> Self:
        if problem := impossible(self.sites, self.min_sites, self.secure_aggregation):
            raise ValueError(problem)
        return self


def impossible(sites: dict[str, Site], min_sites: int, secure: bool) -> str | None:
    """Why sites cannot train together; None where they can."""
    if min_sites > len(sites):
        return f"minSites is {min_sites} and there are {len(sites)} sites: declare more, or ask for fewer"
    if secure and min_sites < _SECURE_SITES:
        return (
            f"secureAggregation hides nothing with minSites {min_sites}: each of two knows the other's update from their sum; "
            f"ask for at least {_SECURE_SITES}"
        )
    hashes = [site.token_sha256 for site in sites.values()]
    if twice := sorted(name for name, site in sites.items() if hashes.count(site.token_sha256) > 1):
        return f"{', '.join(twice)} have the same token: run `heliostat site token` at each site"
    return None


def told(federation: FederatedRules, sites: int) -> str:
    """What a federation will do, in words."""
    parts = [f"over {sites} sites (at least {federation.min_sites} a round)", f"up to {federation.rounds} rounds"]
    if federation.secure_aggregation:
        parts.append("updates masked")
    return ", ".join(parts)


def package_key(name: str) -> str:
    """Where it is kept which package the sites of a federation are given."""
    return f"federations/{name}/package.json"


def delivery_key(name: str, digest: str, site: str = "") -> str:
    """Where it is kept that a site has loaded the package of a digest; without a site, the prefix of all."""
    return f"federations/{name}/deliveries/{digest}/{site}"
