"""The way to an EKS cluster's API: what AWS says of the cluster, and a token that says who asks.

The token is a request to AWS's STS that the caller signed and did not send: the cluster sends it, and so learns who signed it.
Credentials are found as all of AWS's clients find them.
"""

from __future__ import annotations

import base64
import binascii
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from heliostat.spec.addresses import EksCluster
from heliostat.systems.errors import NoAccessError, PermanentError, RetryableError
from heliostat.systems.kubernetes_access import ClusterAccess

if TYPE_CHECKING:
    from boto3.session import Session

_TOKEN_SECONDS: Final = 14 * 60
"""EKS takes a token for a quarter of an hour after it was signed."""
_SIGNED_SECONDS: Final = 60
"""What EKS wants to read in the request; it counts for nothing else."""
_COMING: Final = ("CREATING", "PENDING")
_GOING: Final = ("DELETING", "FAILED")
_UNKNOWN_CALLERS: Final = (
    "ExpiredToken",
    "ExpiredTokenException",
    "InvalidClientTokenId",
    "InvalidSignatureException",
    "SignatureDoesNotMatch",
    "UnrecognizedClientException",
)
_LATER: Final = ("Throttling", "ThrottlingException", "RequestTimeout", "RequestTimeoutException")


def access(cluster: EksCluster) -> ClusterAccess:
    """Find a cluster's API server, and make a token for it that lives for a quarter of an hour. This blocks.

    Raises:
        NoAccessError: there are no credentials.
        PermanentError: the cluster is not there or not to be seen.
        RetryableError: AWS does not answer, or the cluster is not ready.
    """
    import boto3
    from botocore.config import Config

    with _errors(cluster):
        session = boto3.session.Session(region_name=cluster.region)
        config = Config(connect_timeout=10, read_timeout=30, retries={"max_attempts": 5, "mode": "standard"})
        described = session.client("eks", config=config).describe_cluster(name=cluster.name)["cluster"]
        server, authority = api_of(cluster, described)
        signed = time.time()
        return ClusterAccess(server, authority, _token(session, cluster), signed + _TOKEN_SECONDS)


def api_of(cluster: EksCluster, described: Mapping[str, Any]) -> tuple[str, str]:
    """The URL of a cluster's API server and its authority's certificate, PEM, as AWS describes both.

    Raises:
        PermanentError: the cluster is going, or failed.
        RetryableError: it is not there yet.
    """
    status = described.get("status", "PENDING")
    if status in _GOING:
        raise PermanentError(f"{_named(cluster)} is {status}: make it again, or correct the address")
    endpoint, authority = described.get("endpoint"), described.get("certificateAuthority", {}).get("data")
    if status in _COMING or not endpoint or not authority:
        raise RetryableError(f"{_named(cluster)} has no API server yet: it is {status}")
    try:
        return str(endpoint), base64.b64decode(authority, validate=True).decode("ascii")
    except (binascii.Error, UnicodeDecodeError):
        raise PermanentError(f"the certificate of {_named(cluster)} is not what AWS's interface says") from None


def _token(session: Session, cluster: EksCluster) -> str:
    """Sign the request that says who asks."""
    from botocore.exceptions import NoCredentialsError
    from botocore.signers import RequestSigner

    client = session.client("sts")
    credentials = session.get_credentials()
    if credentials is None:
        raise NoCredentialsError
    service = client.meta.service_model.service_id
    signer = RequestSigner(service, cluster.region, "sts", "v4", credentials, client.meta.events)
    request = {
        "method": "GET",
        "url": f"{client.meta.endpoint_url.rstrip('/')}/?Action=GetCallerIdentity&Version=2011-06-15",
        "body": {},
        "headers": {"x-k8s-aws-id": cluster.name},
        "context": {},
    }
    url = signer.generate_presigned_url(request, "GetCallerIdentity", expires_in=_SIGNED_SECONDS, region_name=cluster.region)
    return "k8s-aws-v1." + base64.urlsafe_b64encode(url.encode()).decode().rstrip("=")


def _named(cluster: EksCluster) -> str:
    return f"the EKS cluster {cluster.name} in {cluster.region}"


@contextmanager
def _errors(cluster: EksCluster) -> Iterator[None]:
    """Whatever AWS says no with, as one of our errors."""
    from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, ProfileNotFound

    try:
        yield
    except ClientError as error:
        raise refusal(cluster, error.response) from None
    except (NoCredentialsError, ProfileNotFound) as error:
        fix = "set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        raise NoAccessError(f"{_named(cluster)} cannot be reached: {str(error).rstrip('.')}; {fix}") from None
    except BotoCoreError as error:
        raise RetryableError(f"{_named(cluster)} cannot be reached: {error}") from None


def refusal(cluster: EksCluster, response: Mapping[str, Any]) -> PermanentError | RetryableError:
    """The error that an answer of AWS's is, other than what was asked for."""
    code = str(response.get("Error", {}).get("Code", ""))
    told = str(response.get("Error", {}).get("Message", ""))
    status = response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    if code == "ResourceNotFoundException":
        return PermanentError(
            f"there is no EKS cluster {cluster.name} in {cluster.region}, in the account of these credentials: make it, use "
            "another account's, or correct the address"
        )
    if code in _UNKNOWN_CALLERS:
        return PermanentError(f"AWS does not take these credentials ({code}): log in again")
    if code.startswith("AccessDenied"):
        return PermanentError(f"{_named(cluster)} is not to be seen: {told}; let this user do eks:DescribeCluster")
    if status >= 500 or status == 429 or code in _LATER:
        return RetryableError(f"{_named(cluster)} cannot be looked up: AWS answered {status} {code}")
    return PermanentError(f"{_named(cluster)} cannot be looked up: AWS answered {status} {code}: {told}")
