#!/usr/bin/env bash
# Pulumi's Python SDK 3.272.0: with each resource it sends the whole Python stack, every frame with the absolute path of its
# file, not only the program's own; it reads the stack anew each time (traceback.extract_stack).
# It bites programs that declare resources deep in helpers: each call in between adds a frame to each request, the stack is
# most of a small resource's request, and the paths of the machine that runs the program go to the engine.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-compile \
  pulumi==3.272.0 ||
  { echo "not tried: the packages were not installed"; exit 2; }
cat >"$folder/check.py" <<'PYTHON'
import importlib.metadata
import sys
import traceback

import pulumi
from pulumi.runtime.mocks import MockMonitor

COUNT = 5


class Mocks(pulumi.runtime.Mocks):
    def new_resource(self, args):
        return f"{args.name}-id", dict(args.inputs)

    def call(self, args):
        return {}


class Monitor(MockMonitor):
    """Keeps the requests of the program's own resources."""

    requests = []

    def RegisterResource(self, request):
        if request.type == "example:index:Thing":
            self.requests.append(request)
        return super().RegisterResource(request)


class Thing(pulumi.CustomResource):
    def __init__(self, name):
        super().__init__("example:index:Thing", name, {"size": 1})


def deeper(calls, declare):
    return deeper(calls - 1, declare) if calls else declare()


extracted = []
extract_stack = traceback.extract_stack


def counted(*arguments, **options):
    found = extract_stack(*arguments, **options)
    extracted.append(len(found))
    return found


def tried(calls):
    """Frames of each request, those of other files, the stack's share of the bytes, and the stacks that were read."""
    Monitor.requests, extracted[:] = [], []

    @pulumi.runtime.test
    def program():
        traceback.extract_stack = counted
        try:
            deeper(calls, lambda: [Thing(f"thing-{calls}-{number}") for number in range(COUNT)])
        finally:
            traceback.extract_stack = extract_stack

    program()
    frames = [[frame.pc.uri for frame in request.stackTrace.frames] for request in Monitor.requests]
    [length] = {len(one) for one in frames}
    foreign = sum(not uri.endswith("/check.py") for uri in frames[0])
    share = sum(one.stackTrace.ByteSize() for one in Monitor.requests) / sum(one.ByteSize() for one in Monitor.requests)
    absolute = all(uri.startswith("file:///") for one in frames for uri in one)
    return length, foreign, share, len(extracted), absolute


pulumi.runtime.set_mocks(Mocks(), monitor=Monitor(Mocks()))
print("pulumi", importlib.metadata.version("pulumi"), "Python", sys.version.split()[0])
print("expected: a request says where its resource is declared; how deep that is does not change its size")
flat, deep = tried(0), tried(50)
for calls, (length, foreign, share, stacks, absolute) in ((0, flat), (50, deep)):
    print(
        f"seen: {COUNT} resources, {calls} calls deep: {length} frames in each request ({foreign} of other files, "
        f"absolute paths: {absolute}), {share:.0%} of its bytes, {stacks} stacks read"
    )
described = deep[0] == flat[0] + 50 and flat[1] > 0 and deep[2] > 0.5 and (flat[3], deep[3]) == (COUNT, COUNT) and deep[4]
if not described:
    sys.exit("changed: a request no longer has every frame of the stack")
PYTHON
"$folder/venv/bin/python" "$folder/check.py"
