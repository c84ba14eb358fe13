#!/usr/bin/env bash
# uvicorn 0.54.0, with httptools and with h11: the head of an answer is sent as soon as the application has begun it, by
# itself, before there is any body (ASGI lets a server wait for the body's first part).
# It bites where an application fails between the two: its client has 200 and no body, where a server that waited could have
# answered 500; and what counts failures by status counts it as good.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-compile \
  uvicorn==0.54.0 httptools==0.9.0 h11==0.16.0 ||
  { echo "not tried: the packages were not installed"; exit 2; }
cat >"$folder/check.py" <<'PYTHON'
import asyncio
import importlib.metadata
import socket
import sys
import threading
import time

import uvicorn

released = threading.Event()


async def application(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    if scope["path"] == "/fails":
        raise RuntimeError("between head and body")
    while not released.is_set():
        await asyncio.sleep(0.01)
    await send({"type": "http.response.body", "body": b"ok"})


def tried(protocol):
    """What arrives before there is a body, and all that arrives where the application fails before there is one."""
    released.clear()
    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))
        door.listen()
        settings = uvicorn.Config(application, http=protocol, loop="asyncio", lifespan="off", log_level="critical")
        server = uvicorn.Server(settings)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [door]}, daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.02)
        first = asked(door.getsockname(), "/waits", whole=False)
        released.set()
        failed = asked(door.getsockname(), "/fails", whole=True)
        server.should_exit = True
        thread.join()
    return first, failed


def asked(address, path, whole):
    with socket.create_connection(address, timeout=5) as client:
        client.sendall(f"GET {path} HTTP/1.1\r\nHost: api\r\nConnection: close\r\n\r\n".encode())
        try:
            said = client.recv(65536)
            while whole and (more := client.recv(65536)):
                said += more
        except TimeoutError:
            return "nothing"
    head, _, body = said.partition(b"\r\n\r\n")
    return f"{int(head.split()[1])} with {len(body)} bytes of body"


print(*(f"{name} {importlib.metadata.version(name)}" for name in ("uvicorn", "httptools", "h11")))
print("expected: nothing arrives before there is a body; 500 where the application fails before")
found = {protocol: tried(protocol) for protocol in ("httptools", "h11")}
for protocol, (first, failed) in found.items():
    print(f"seen: {protocol}: before there is a body: {first}; where the application fails before: {failed}")
if any(answers != ("200 with 0 bytes of body",) * 2 for answers in found.values()):
    sys.exit("changed: the head of an answer is no longer sent before its body")
PYTHON
"$folder/venv/bin/python" "$folder/check.py"
