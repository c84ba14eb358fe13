#!/usr/bin/env bash
# tritonclient 2.73.0, HTTP, an input set with `binary_data=False` so that the request is JSON: it is sent without a Content-Type,
# and NaN and infinity stand in it as bare words, which JSON does not have. Servers that go by a body's type do not take it for
# JSON, and strict parsers refuse the words.
# It bites whoever serves the Open Inference Protocol without Triton. The first can be mended by a header of one's own.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-compile \
  'tritonclient[http]==2.73.0' numpy==2.4.6 ||
  { echo "not tried: the packages were not installed"; exit 2; }
cat >"$folder/check.py" <<'PYTHON'
import importlib.metadata
import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import numpy
import tritonclient.http as http

ANSWER = {"model_name": "model", "outputs": [{"name": "y", "datatype": "FP32", "shape": [1], "data": [1.0]}]}
came = []


class Server(BaseHTTPRequestHandler):
    def do_POST(self):
        came.append((self.headers.get("Content-Type"), self.rfile.read(int(self.headers["Content-Length"])).decode()))
        body = json.dumps(ANSWER).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def strictly(text):
    """Whether it is JSON as the standard has it."""

    def refuse(word):
        raise ValueError(word)

    try:
        json.loads(text, parse_constant=refuse)
    except ValueError as error:
        return f"no: {error}"
    return "yes"


server = HTTPServer(("127.0.0.1", 0), Server)
threading.Thread(target=server.serve_forever, daemon=True).start()
client = http.InferenceServerClient(f"127.0.0.1:{server.server_port}")
output = http.InferRequestedOutput("y", binary_data=False)
for values, headers in (([1, 2, 3], None), ([1, numpy.nan, numpy.inf], {"Content-Type": "application/json"})):
    rows = http.InferInput("x", [3], "FP32")
    rows.set_data_from_numpy(numpy.array(values, dtype=numpy.float32), binary_data=False)
    client.infer("model", [rows], outputs=[output], headers=headers)
client.close()
server.shutdown()
print("tritonclient", importlib.metadata.version("tritonclient"), "numpy", numpy.__version__)
print("expected: Content-Type: application/json, and JSON (or an error where a value cannot be written in it)")
for kind, text in came:
    print(f"seen: Content-Type {kind}, JSON: {strictly(text)}: {text[:100]}")
if came[0][0] is not None or strictly(came[0][1]) != "yes" or came[1][0] != "application/json":
    sys.exit("changed: a request in JSON no longer leaves without its type")
if strictly(came[1][1]) != "no: NaN":
    sys.exit("changed: NaN is no longer written as a bare word")
PYTHON
"$folder/venv/bin/python" "$folder/check.py"
