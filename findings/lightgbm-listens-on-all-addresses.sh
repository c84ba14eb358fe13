#!/usr/bin/env bash
# LightGBM 4.7.0: a worker of a distributed training listens on all addresses (0.0.0.0), also where `machines` names the
# loopback address for each worker; no parameter says where to listen, `local_listen_port` is the port alone.
# It bites where trainings on one machine are meant to be reachable from nowhere else: only a firewall or a network namespace
# keeps the port from the network while the workers meet. Linux (it reads /proc/net/tcp).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-compile \
  lightgbm==4.7.0 numpy==2.4.6 ||
  { echo "not tried: the packages were not installed"; exit 2; }
cat >"$folder/check.py" <<'PYTHON'
import os
import socket
import subprocess
import sys
import time

import lightgbm
import numpy

WORKER = """
import sys
import lightgbm, numpy
rank, ports = int(sys.argv[1]), [int(port) for port in sys.argv[2:]]
generator = numpy.random.default_rng(0)
features = generator.random((200, 3))
labels = (features[:, 0] > 0.5).astype(float)
parameters = {
    "objective": "binary", "num_leaves": 4, "num_threads": 1, "verbosity": -1, "tree_learner": "data",
    "pre_partition": True, "num_machines": 2, "local_listen_port": ports[rank], "time_out": 2,
    "machines": ",".join(f"127.0.0.1:{port}" for port in ports),
}
trained = lightgbm.train(parameters, lightgbm.Dataset(features[rank::2], labels[rank::2]), 3)
sys.exit(0 if trained.num_trees() == 3 else 1)
"""


def free_ports(count):
    held = [socket.socket() for _ in range(count)]
    for one in held:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in held]
    for one in held:
        one.close()
    return ports


def listening_at(port):
    """The IPv4 addresses at which something listens on the port."""
    with open("/proc/net/tcp") as table:
        rows = [line.split() for line in table.readlines()[1:]]
    ends = [row[1].split(":") for row in rows if row[3] == "0A"]
    order = -1 if sys.byteorder == "little" else 1
    return [socket.inet_ntoa(bytes.fromhex(address)[::order]) for address, number in ends if int(number, 16) == port]


ports = free_ports(2)


def started(rank):
    arguments = [sys.executable, "-c", WORKER, str(rank), *map(str, ports)]
    return subprocess.Popen(arguments, stdout=subprocess.DEVNULL)


workers = [started(0)]
found, until = [], time.monotonic() + 60
while not found and time.monotonic() < until and workers[0].poll() is None:
    time.sleep(0.02)
    found = listening_at(ports[0])
workers.append(started(1))
try:
    ended = [worker.wait(timeout=120) for worker in workers]
finally:
    for worker in workers:
        worker.kill()
print("lightgbm", lightgbm.__version__, "numpy", numpy.__version__)
print("machines: 127.0.0.1 for both workers")
print("expected: a worker listens on 127.0.0.1")
print(f"seen: it listens on {', '.join(found) or 'nothing'}; both workers trained: {ended == [0, 0]}")
if ended != [0, 0]:
    sys.exit("not tried: the two workers did not train")
if found != ["0.0.0.0"]:
    sys.exit("changed: a worker no longer listens on all IPv4 addresses")
PYTHON
"$folder/venv/bin/python" "$folder/check.py"
