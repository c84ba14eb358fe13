#!/usr/bin/env bash
# Pulumi's Python SDK 3.272.0: at the end of a program it waits for the first of all outputs that are outstanding, and begins
# anew with all the others each time one is there. Outputs that end one after the other (an `apply` with an async function) are
# handed to asyncio.wait N + (N - 1) + ... times in sum: the work grows with the square of their number.
# It bites programs with thousands of such outputs. What only waits for a registration is not concerned: registrations
# are awaited before, each once.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-compile \
  pulumi==3.272.0 ||
  { echo "not tried: the packages were not installed"; exit 2; }
cat >"$folder/check.py" <<'PYTHON'
import asyncio
import importlib.metadata
import sys

import pulumi


class Mocks(pulumi.runtime.Mocks):
    def new_resource(self, args):
        return f"{args.name}-id", dict(args.inputs)

    def call(self, args):
        return {}


class Thing(pulumi.CustomResource):
    size: pulumi.Output[int]

    def __init__(self, name):
        super().__init__("example:index:Thing", name, {"size": 1})


handed = []
wait = asyncio.wait


async def counted(futures, **options):
    futures = list(futures)
    handed.append(len(futures))
    return await wait(futures, **options)


def tried(count, late):
    """How often asyncio.wait is called, and with how many futures in sum; `late`: each output has its turn after another."""
    handed.clear()

    @pulumi.runtime.test
    def program():
        turns = [asyncio.Event() for _ in range(count + 1)]
        turns[0].set()

        async def in_turn(number):
            await turns[number].wait()
            await asyncio.sleep(0.001)
            turns[number + 1].set()

        for number in range(count):
            size = Thing(f"thing-{number}").size
            if late:
                size.apply(lambda _, number=number: in_turn(number))

    program()
    return len(handed), sum(handed)


pulumi.runtime.set_mocks(Mocks())
asyncio.wait = counted
small, large = 100, 200
print("pulumi", importlib.metadata.version("pulumi"))
print("expected: twice the outputs, twice the futures that are waited for")
plain = [tried(count, late=False) for count in (small, large)]
late = [tried(count, late=True) for count in (small, large)]
for count, (calls, futures) in zip((small, large), plain):
    print(f"seen: {count} resources and nothing else (control): asyncio.wait called {calls} times, {futures} futures in sum")
for count, (calls, futures) in zip((small, large), late):
    print(f"seen: {count} outputs that end one after the other: asyncio.wait called {calls} times, {futures} futures in sum")
if not (late[1][1] > 3 * late[0][1] and late[1][1] > large * large / 4 and plain[1][1] < large):
    sys.exit("changed: the futures that are waited for no longer grow with the square of the outputs")
PYTHON
"$folder/venv/bin/python" "$folder/check.py"
