#!/usr/bin/env bash
# pulumi-aws 7.51.1 with pulumi 3.272.0: the typed policy document takes `action` as a string or a list of strings by its own type,
# and a list raises AssertionError while the resource is serialized. The string, and the same document as a plain dict, pass.
# It bites whoever writes IAM policies with more than one action in the typed classes: the program ends with a bare assertion.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-compile pulumi==3.272.0 pulumi-aws==7.51.1 ||
  { echo "not tried: the packages were not installed"; exit 2; }
cat >"$folder/check.py" <<'PYTHON'
import importlib.metadata
import sys
import typing

import pulumi
import pulumi_aws as aws


class Mocks(pulumi.runtime.Mocks):
    def new_resource(self, args):
        return "id", {"name": "p"}

    def call(self, args):
        return {}


pulumi.runtime.set_mocks(Mocks())


def tried(action):
    """How declaring a policy whose one statement has this action ends."""

    def program():
        statement = aws.iam.PolicyStatementArgs(effect=aws.iam.PolicyStatementEffect.ALLOW, action=action, resource="*")
        document = aws.iam.PolicyDocumentArgs(version=aws.iam.PolicyDocumentVersion.POLICY_DOCUMENT_VERSION_2012_10_17, statement=[statement])
        return aws.iam.Policy("p", policy=document)

    try:
        made = pulumi.runtime.test(lambda: program().urn)
        made()
    except AssertionError as error:
        return f"AssertionError: {str(error)[:60]}"
    except Exception as error:
        return f"{type(error).__name__}: {str(error)[:60]}"
    return "declared"


hint = typing.get_type_hints(aws.iam.PolicyStatementArgs.__init__, localns={"Output": pulumi.Output, "T": typing.TypeVar("T"), **vars(aws.iam)}).get("action")
one, two = tried("s3:GetObject"), tried(["s3:GetObject", "s3:PutObject"])
print("pulumi", importlib.metadata.version("pulumi"), "pulumi-aws", importlib.metadata.version("pulumi-aws"))
print("the type of `action`:", str(hint)[:160])
print("expected: both are declared")
print("seen: a string:", one)
print("seen: a list:", two)
if one != "declared" or not two.startswith("AssertionError"):
    sys.exit("changed: a list of actions in the typed policy document no longer raises an AssertionError")
PYTHON
"$folder/venv/bin/python" "$folder/check.py"
