#!/usr/bin/env bash
# obstore 0.12.1, a store of Google Cloud Storage: where a create-only put (`mode="create"`) was stored and its answer was lost
# (here a 503 behind the write), obstore asks again by itself, the server refuses the second request with 412 as it should, and
# the put raises AlreadyExistsError: whoever takes that for "somebody else was first" has lost an object that is their own.
# It bites in ledgers, locks and leader elections that stand on conditional writes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-compile obstore==0.12.1 ||
  { echo "not tried: the packages were not installed"; exit 2; }
cat >"$folder/check.py" <<'PYTHON'
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import obstore
from obstore.exceptions import AlreadyExistsError
from obstore.store import GCSStore

stored, asked = {}, []


class Bucket(BaseHTTPRequestHandler):
    """Stores what is put at a name that is free; the answer to the first put is lost on the way."""

    def do_PUT(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        create_only = self.headers.get("x-goog-if-generation-match") == "0"
        asked.append(create_only)
        if create_only and self.path in stored:
            self.answer(412)
            return
        stored[self.path] = body
        self.answer(503 if len(asked) == 1 else 200)

    def answer(self, status):
        self.send_response(status)
        self.send_header("ETag", '"1"')
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Bucket)
threading.Thread(target=server.serve_forever, daemon=True).start()
url = f"http://127.0.0.1:{server.server_port}"
store = GCSStore(
    "bucket",
    config={"service_account_key": '{"gcs_base_url": "%s", "disable_oauth": true, "client_email": "", "private_key": "", "private_key_id": ""}' % url},
    client_options={"allow_http": True},
)
try:
    obstore.put(store, "first", b"mine", mode="create")
except AlreadyExistsError:
    seen = "AlreadyExistsError"
except Exception as error:
    sys.exit(f"not tried: {type(error).__name__}: {error}")
else:
    seen = "no error"
mine = list(stored.values()) == [b"mine"]
print("obstore", obstore.__version__)
print("one writer, one name that is free; the write is stored and answered with 503")
print("expected: no error, or one that says that the outcome is not known")
print(f"seen: {seen} after {len(asked)} requests, all create-only: {all(asked)}; what is stored is this writer's own: {mine}")
if (seen, len(asked), all(asked), mine) != ("AlreadyExistsError", 2, True, True):
    sys.exit("changed: a create-only put whose answer was lost no longer ends as if somebody else had been first")
PYTHON
"$folder/venv/bin/python" "$folder/check.py"
