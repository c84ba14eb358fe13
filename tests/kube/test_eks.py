"""The way to a cluster of EKS, by AWS's own calls on moto's server."""

import base64
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import boto3
import httpx
import pytest
from moto.eks.models import eks_backends

from heliostat.spec.addresses import EksCluster
from heliostat.systems import eks
from heliostat.systems.errors import NoAccessError, PermanentError, RetryableError

PEM = "-----BEGIN CERTIFICATE-----"
AUTHORITY = {"data": base64.b64encode(PEM.encode()).decode()}
CLUSTER = EksCluster(region="eu-central-1", name="heliostat-dev")


@pytest.fixture
def aws(s3_endpoint: str, s3_credentials: None, monkeypatch: pytest.MonkeyPatch) -> str:
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_endpoint)
    return s3_endpoint


@pytest.fixture
def cluster(aws: str) -> Iterator[dict[str, Any]]:
    client = boto3.client("eks", region_name=CLUSTER.region)
    network = {"subnetIds": ["subnet-1", "subnet-2"]}
    made = client.create_cluster(name=CLUSTER.name, roleArn="arn:aws:iam::123456789012:role/eks", resourcesVpcConfig=network)
    # Moto's has text of no meaning here.
    eks_backends[made["cluster"]["arn"].split(":")[4]][CLUSTER.region].clusters[CLUSTER.name].certificate_authority = AUTHORITY
    yield made["cluster"]
    client.delete_cluster(name=CLUSTER.name)


def test_a_cluster_is_found_with_its_certificate_and_a_token_of_a_quarter_of_an_hour(cluster):
    found = eks.access(CLUSTER)
    assert found.server == cluster["endpoint"]
    assert found.ca_pem == PEM
    assert 0 < found.expires - time.time() < 15 * 60


def test_the_cluster_learns_from_the_token_who_asks_and_that_it_is_meant(cluster, aws):
    kind, _, text = eks.access(CLUSTER).token.partition(".")
    assert kind == "k8s-aws-v1"
    assert "=" not in text
    url = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode()
    signed = parse_qs(urlsplit(url).query)
    assert signed["X-Amz-SignedHeaders"] == ["host;x-k8s-aws-id"]
    assert signed["X-Amz-Expires"] == ["60"]
    assert "/eu-central-1/sts/" in signed["X-Amz-Credential"][0]
    # Which service a request is for, moto reads of this header alone.
    service = {"Authorization": f"AWS4-HMAC-SHA256 Credential={signed['X-Amz-Credential'][0]}, Signature="}
    answer = httpx.get(url, headers={"x-k8s-aws-id": CLUSTER.name, **service})
    assert answer.status_code == 200
    assert "GetCallerIdentityResult" in answer.text


def test_a_cluster_that_is_not_there_is_named_with_its_region(aws):
    with pytest.raises(PermanentError, match="there is no EKS cluster nowhere in eu-central-1"):
        eks.access(EksCluster(region="eu-central-1", name="nowhere"))


def test_without_credentials_it_says_how_to_have_some(aws, monkeypatch, tmp_path):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(NoAccessError, match="set AWS_PROFILE, or AWS_ACCESS_KEY_ID"):
        eks.access(CLUSTER)


READY = {"endpoint": "https://eks.example", "certificateAuthority": AUTHORITY}


@pytest.mark.parametrize(
    ("described", "error"),
    [
        ({"status": "CREATING"}, RetryableError),
        ({**READY, "status": "CREATING"}, RetryableError),
        ({"status": "ACTIVE"}, RetryableError),
        ({**READY, "status": "DELETING"}, PermanentError),
        ({**READY, "status": "FAILED"}, PermanentError),
        ({**READY, "status": "ACTIVE", "certificateAuthority": {"data": "!"}}, PermanentError),
    ],
)
def test_a_cluster_without_an_api_server_is_waited_for_only_while_it_comes(described, error):
    with pytest.raises(error, match="heliostat-dev"):
        eks.api_of(CLUSTER, described)


@pytest.mark.parametrize("status", ["ACTIVE", "UPDATING"])
def test_a_cluster_that_is_being_updated_answers_all_the_while(status):
    assert eks.api_of(CLUSTER, {**READY, "status": status}) == ("https://eks.example", PEM)


@pytest.mark.parametrize(
    ("status", "code", "error", "text"),
    [
        (403, "AccessDeniedException", PermanentError, "eks:DescribeCluster"),
        (403, "ExpiredTokenException", PermanentError, "log in again"),
        (403, "UnrecognizedClientException", PermanentError, "log in again"),
        (429, "ThrottlingException", RetryableError, "429"),
        (503, "ServiceUnavailableException", RetryableError, "503"),
        (400, "InvalidParameterException", PermanentError, "no such thing"),
    ],
)
def test_what_aws_refuses_is_told_apart(status, code, error, text):
    answer = {"Error": {"Code": code, "Message": "no such thing"}, "ResponseMetadata": {"HTTPStatusCode": status}}
    told = eks.refusal(CLUSTER, answer)
    assert isinstance(told, error)
    assert text in str(told)
