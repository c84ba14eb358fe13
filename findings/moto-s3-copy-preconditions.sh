#!/usr/bin/env bash
# moto 5.2.5, S3: PutObject and DeleteObject honour their preconditions (If-None-Match: *, If-Match), CopyObject passes over both:
# it answers 200 and writes over the object that was to be kept. S3 itself answers 412.
# It bites tests of locks, ledgers and moves that are made of a conditional copy: the losing writer wins.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-compile \
  'moto[s3,server]==5.2.5' boto3==1.44.5 ||
  { echo "not tried: the packages were not installed"; exit 2; }
cat >"$folder/check.py" <<'PYTHON'
import importlib.metadata
import logging
import sys

import boto3
from botocore.exceptions import ClientError
from moto.server import ThreadedMotoServer

logging.getLogger("werkzeug").setLevel(logging.ERROR)
server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
try:
    client = boto3.client(
        "s3",
        endpoint_url="http://{}:{}".format(*server.get_host_and_port()),
        aws_access_key_id="key",
        aws_secret_access_key="secret",
        region_name="us-east-1",
    )
    client.create_bucket(Bucket="ledger")
    other = client.put_object(Bucket="ledger", Key="other", Body=b"second")["ETag"]

    def status(call, **arguments):
        """What is answered, and what then stands under the key at which an object of somebody else's was."""
        client.put_object(Bucket="ledger", Key="head", Body=b"first")
        try:
            answer = call(Bucket="ledger", Key="head", **arguments)["ResponseMetadata"]["HTTPStatusCode"]
        except ClientError as error:
            answer = error.response["ResponseMetadata"]["HTTPStatusCode"]
        kept = [each["Key"] for each in client.list_objects_v2(Bucket="ledger")["Contents"]]
        return answer, client.get_object(Bucket="ledger", Key="head")["Body"].read() if "head" in kept else None

    copied = {"CopySource": {"Bucket": "ledger", "Key": "other"}}
    seen = {
        "PutObject, If-None-Match: *": status(client.put_object, Body=b"second", IfNoneMatch="*"),
        "PutObject, If-Match of another object": status(client.put_object, Body=b"second", IfMatch=other),
        "DeleteObject, If-Match of another object": status(client.delete_object, IfMatch=other),
        "CopyObject, If-None-Match: *": status(client.copy_object, IfNoneMatch="*", **copied),
        "CopyObject, If-Match of another object": status(client.copy_object, IfMatch=other, **copied),
    }
finally:
    server.stop()
print(*(f"{name} {importlib.metadata.version(name)}" for name in ("moto", "boto3")))
print("expected: 412 for each, and the object as it was (first)")
for what, (answer, body) in seen.items():
    print(f"seen: {what}: {answer}, {body}")
copies = {what: each for what, each in seen.items() if what.startswith("Copy")}
others = [each for what, each in seen.items() if what not in copies]
if set(others) != {(412, b"first")}:
    sys.exit("changed: a put or a delete with a precondition is not answered as described")
if set(copies.values()) != {(200, b"second")}:
    sys.exit("changed: CopyObject no longer passes over its preconditions")
PYTHON
"$folder/venv/bin/python" "$folder/check.py"
