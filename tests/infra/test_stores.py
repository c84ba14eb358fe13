"""Where a platform's store lies."""

from pathlib import Path

import pytest

from heliostat.platforms.stores import address_of
from heliostat.spec.addresses import StoreAddress
from heliostat.spec.platforms.stores import DirectoryStore, GcsStore, S3Store


@pytest.mark.parametrize(
    ("declared", "address"),
    [
        (DirectoryStore(), StoreAddress(uri="file:///data/dev/objects")),
        (DirectoryStore(path="/srv/objects"), StoreAddress(uri="file:///srv/objects")),
        (S3Store(bucket="bucket-1"), StoreAddress(uri="s3://bucket-1")),
        (
            S3Store(bucket="bucket-1", prefix="p/q", endpoint="http://127.0.0.1:9", region="eu-west-1"),
            StoreAddress(uri="s3://bucket-1/p/q", endpoint="http://127.0.0.1:9", region="eu-west-1"),
        ),
        (GcsStore(bucket="bucket_1"), StoreAddress(uri="gs://bucket_1")),
        (
            GcsStore(bucket="bucket-1", prefix="p/q", endpoint="http://127.0.0.1:9", region="EU"),
            StoreAddress(uri="gs://bucket-1/p/q", endpoint="http://127.0.0.1:9", region="EU"),
        ),
    ],
)
def test_a_store_lies_where_the_config_says_or_beside_the_stacks_other_data(declared, address):
    assert address_of(declared, Path("/data/dev")) == address
