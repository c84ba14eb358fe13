"""Where a platform's parts answer and how to be let in, in words that mean the same on every machine.

An address stands in states, in stacks' outputs and in other stacks' inputs, so it never holds a secret: it says where whoever
uses it finds one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, ClassVar, Final, Literal, NamedTuple, Self
from urllib.parse import urlsplit

from pydantic import Discriminator, Field, Tag, model_validator

from heliostat.spec.base import Model

HttpUrl = Annotated[str, Field(pattern=r"^https?://[^\s/?#@]+(/[^\s?#]*)?$")]
"""`http://host:port`, with a path where it is served below one; never with a name and a password in it."""


class TokenFile(Model):
    """A bearer token in a file of the machine where it is used."""

    kind: Literal["file"] = "file"
    path: Annotated[str, Field(pattern=r"^/")]
    """Absolute path."""


Variable = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
"""The name of an environment variable."""


class TokenVariable(Model):
    """A bearer token in an environment variable of the process that uses it."""

    kind: Literal["environment"] = "environment"
    variable: Variable
    """The variable that the token is in."""


class BasicVariables(Model):
    """A user's name and password, for HTTP's basic authentication, in environment variables of the process that uses them."""

    kind: Literal["basic"] = "basic"
    username_variable: Variable
    """The variable that the name is in."""
    password_variable: Variable
    """The variable that the password is in."""


class KubernetesCluster(Model):
    """A Kubernetes cluster, found as kubectl finds it by whoever uses it."""

    context: Annotated[str, Field(min_length=1)] | None = None
    """Of the kubeconfig; by default its current one."""
    kubeconfig: Annotated[str, Field(pattern=r"^(~/|/)")] | None = None
    """Path. By default what KUBECONFIG names, or ~/.kube/config, or the service account of the pod."""


class EksCluster(Model):
    """A cluster of AWS's, found and opened with the AWS credentials of whoever uses it."""

    kind: Literal["eks"] = "eks"
    region: Annotated[str, Field(pattern=r"^[a-z]{2}(-[a-z]+)+-[0-9]$")]
    """As `eu-central-1`."""
    name: Annotated[str, Field(pattern=r"^[0-9A-Za-z][A-Za-z0-9_-]{0,99}$")]
    """The cluster's name there."""


class GkeCluster(Model):
    """A cluster of Google's, found and opened with the Google credentials of whoever uses it."""

    kind: Literal["gke"] = "gke"
    project: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{4,28}[a-z0-9]$")]
    """The project's id."""
    location: Annotated[str, Field(pattern=r"^[a-z]+-[a-z]+[0-9]+(-[a-z])?$")]
    """A region or a zone, as `europe-west4`."""
    name: Annotated[str, Field(pattern=r"^[a-z]([a-z0-9-]{0,38}[a-z0-9])?$")]
    """The cluster's name there."""


CloudCluster = Annotated[EksCluster | GkeCluster, Field(discriminator="kind")]
"""A cluster that its cloud knows by name, whatever kubeconfig there is."""

ClusterAddress = KubernetesCluster | EksCluster | GkeCluster
"""How a Kubernetes cluster is found by whoever uses it."""


class InCluster(KubernetesCluster):
    """Something in a Kubernetes cluster: one of a kubeconfig, or one of a cloud's."""

    cluster: CloudCluster | None = None
    """One that its cloud knows; `context` and `kubeconfig` say which one otherwise."""

    @model_validator(mode="after")
    def _is_in_one(self) -> Self:
        if self.cluster is not None and (self.context or self.kubeconfig):
            raise ValueError("`cluster` and `context` or `kubeconfig` exclude each other: each says which cluster it is")
        return self

    @property
    def where(self) -> ClusterAddress:
        """The cluster."""
        return self.cluster or KubernetesCluster(context=self.context, kubeconfig=self.kubeconfig)


Namespace = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")]


class KubernetesSecret(InCluster):
    """A bearer token in a secret of a Kubernetes cluster."""

    kind: Literal["kubernetes"] = "kubernetes"
    namespace: Namespace
    """Where the secret is."""
    name: Annotated[str, Field(max_length=253, pattern=r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$")]
    """Its name."""
    key: Annotated[str, Field(max_length=253, pattern=r"^[A-Za-z0-9._-]+$")]
    """The entry of its data that the token is in."""


class RayClusterAddress(InCluster):
    """A Ray cluster that KubeRay looks after."""

    namespace: Namespace
    """Where it is."""
    name: Annotated[str, Field(max_length=63, pattern=r"^[a-z]([a-z0-9-]*[a-z0-9])?$")]
    """Of the RayCluster."""


class KubernetesProxy(InCluster):
    """The way through a Kubernetes cluster's API server, to a URL that names a service of the cluster."""

    kind: Literal["kubernetes"] = "kubernetes"


Credential = Annotated[TokenFile | TokenVariable | BasicVariables | KubernetesSecret, Field(discriminator="kind")]
"""Where a secret is found."""


def _kind_of_token(given: Any) -> str:
    """The kind of a credential; a variable's need not be named, as it was the only one."""
    found = given.get("kind", "environment") if isinstance(given, Mapping) else getattr(given, "kind", "environment")
    return found if isinstance(found, str) else ""


SharedToken = Annotated[
    Annotated[TokenVariable, Tag("environment")] | Annotated[KubernetesSecret, Tag("kubernetes")],
    Discriminator(_kind_of_token),
]
"""Where a token is found that several machines have."""


def variables_of(credential: TokenFile | TokenVariable | BasicVariables | KubernetesSecret | None) -> tuple[str, ...]:
    """The environment variables that a credential is in."""
    match credential:
        case TokenVariable():
            return (credential.variable,)
        case BasicVariables():
            return (credential.username_variable, credential.password_variable)
        case _:
            return ()


class Service(NamedTuple):
    """A service inside a Kubernetes cluster."""

    namespace: str
    name: str
    scheme: str
    port: int


_HOST_OF_SERVICE: Final = re.compile(
    r"([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)\.([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)(\.svc(\..+)?)?"
)


def service_of(url: str) -> Service:
    """The service that a URL names, as inside its cluster.

    Raises:
        ValueError: it names none.
    """
    parts = urlsplit(url)
    found = _HOST_OF_SERVICE.fullmatch(parts.hostname or "")
    if found is None:
        raise ValueError(
            f"{url} names no service of a Kubernetes cluster: through a proxy it is http://NAME.NAMESPACE.svc:PORT"
        )
    return Service(found[3], found[1], parts.scheme, parts.port or (443 if parts.scheme == "https" else 80))


def no_service(url: str) -> Iterator[str]:
    """What is wrong with a URL that is to name a service, if anything."""
    try:
        service_of(url)
    except ValueError as error:
        yield str(error)


class Access(Model):
    """How a URL is reached from outside of its cluster, and how to be let in."""

    credential: Credential | None = None
    """None where nothing is asked for, or whoever asks finds it otherwise."""
    proxy: KubernetesProxy | None = None
    """None where the URL is reached as it is."""

    proxied_header: ClassVar[str] = ""
    """What carries a token past an API server, which keeps `Authorization` to itself; empty where the API reads no other."""

    @model_validator(mode="after")
    def _gets_through(self) -> Self:
        if self.proxy is not None and (wrong := list(self._stopped())):
            raise ValueError("; ".join(wrong))
        return self

    def _stopped(self) -> Iterator[str]:
        """What does not get through the proxy."""
        if self.credential is not None and not self.proxied_header:
            yield "no credential gets through an API server: it keeps Authorization, and this API reads no other header"
        elif isinstance(self.credential, BasicVariables):
            yield "no name and password get through an API server: it keeps Authorization, and another header has a token"


class HttpAddress(Access):
    """An HTTP API and how to be let in."""

    url: HttpUrl
    """Where it answers; behind a proxy as it is called inside of the cluster, `http://NAME.NAMESPACE.svc:PORT`."""

    @model_validator(mode="before")
    @classmethod
    def _as_written_before(cls, given: Any) -> Any:
        """Reads the path of a token's file, which is all that an address of 0.1 says."""
        if not isinstance(given, Mapping):
            return given
        values = dict(given)
        paths = [values.pop(key) for key in ("tokenFile", "token_file") if key in values]
        found = next((path for path in paths if path), None)
        return values | {"credential": {"kind": "file", "path": found}} if isinstance(found, str) else values

    def _stopped(self) -> Iterator[str]:
        yield from super()._stopped()
        yield from no_service(self.url)


class RayAddress(HttpAddress):
    """A Ray cluster's REST APIs: dashboard, jobs, Serve."""

    proxied_header: ClassVar[str] = "X-Ray-Authorization"


class ControllerAddress(HttpAddress):
    """A controller's API."""

    proxied_header: ClassVar[str] = "X-Heliostat-Authorization"


class StoreAddress(Model):
    """Where objects lie; whoever has this can open the store."""

    uri: Annotated[str, Field(pattern=r"^(file:///|s3://|gs://).+")]
    """`file:///absolute/path`, `s3://bucket/prefix` or `gs://bucket/prefix`."""
    endpoint: str | None = None
    """URL of a bucket's server, where that is another than AWS's or Google's."""
    region: str | None = None
