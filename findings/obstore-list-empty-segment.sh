#!/usr/bin/env bash
# obstore 0.12.1 on S3: a bucket that holds one object whose key has two slashes in a row, which S3 allows and other programs
# write, cannot be listed: not the objects beside it either, and not by a prefix above it. It is an error of the whole listing.
# It bites where buckets are shared: whoever joins a folder and a name with one slash too many ends everybody's listings.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-compile \
  obstore==0.12.1 'moto[s3,server]==5.2.5' boto3==1.44.5 ||
  { echo "not tried: the packages were not installed"; exit 2; }
cat >"$folder/check.py" <<'PYTHON'
import importlib.metadata
import logging
import sys

import boto3
import obstore
from moto.server import ThreadedMotoServer
from obstore.exceptions import InvalidPathError
from obstore.store import S3Store

KEYS = ("models/one", "models/two")
ODD = "models//three"


def by_boto3(client, prefix):
    return sorted(each["Key"] for each in client.list_objects_v2(Bucket="shared", Prefix=prefix)["Contents"])


def by_obstore(store, prefix):
    try:
        return sorted(each["path"] for part in obstore.list(store, prefix=prefix) for each in part)
    except InvalidPathError:
        return "InvalidPathError"


logging.getLogger("werkzeug").setLevel(logging.ERROR)
server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
try:
    endpoint = "http://{}:{}".format(*server.get_host_and_port())
    known = {"aws_access_key_id": "key", "aws_secret_access_key": "secret", "region_name": "us-east-1"}
    client = boto3.client("s3", endpoint_url=endpoint, **known)
    client.create_bucket(Bucket="shared")
    for key in KEYS:
        client.put_object(Bucket="shared", Key=key, Body=b"1")
    store = S3Store(
        "shared",
        endpoint=endpoint,
        access_key_id="key",
        secret_access_key="secret",
        region="us-east-1",
        client_options={"allow_http": True},
    )
    before = by_obstore(store, "models")
    client.put_object(Bucket="shared", Key=ODD, Body=b"1")
    after, all_of_it, others = by_obstore(store, "models"), by_obstore(store, None), by_boto3(client, "models/")
finally:
    server.stop()
print(*(f"{name} {importlib.metadata.version(name)}" for name in ("obstore", "moto", "boto3")))
print(f"expected: {others}, as boto3 lists them")
print(f"seen: before the third {before}; with it {after}, and of the whole bucket {all_of_it}")
if (before, after, all_of_it) != (sorted(KEYS), "InvalidPathError", "InvalidPathError"):
    sys.exit("changed: an object with an empty part in its key no longer ends the listing of all")
PYTHON
"$folder/venv/bin/python" "$folder/check.py"
