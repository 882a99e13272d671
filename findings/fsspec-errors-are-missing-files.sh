#!/usr/bin/env bash
# fsspec 2026.9.0 over HTTP (aiohttp): a server's error 500 or 403 is reported as FileNotFoundError.
#
# fsspec.open(url).read() of a picture or tile on a web server that is overloaded (500, 503) or asks for a key (403) raises
# FileNotFoundError(url), the same as for a 404. Who leaves missing files out for good, and tries again what may pass, loses
# pictures; the status stands in __cause__ alone.
#
# Seen: 403, 404, 500, 503: FileNotFoundError, __cause__ ClientResponseError with the status.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet fsspec==2026.9.0 aiohttp==3.14.3
cd "$folder"
"$folder/venv/bin/python" - <<'PY'
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import fsspec


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(int(self.path.strip("/")))
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_HEAD = do_GET

    def log_message(self, *args):
        pass


server = HTTPServer(("127.0.0.1", 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
for status in (403, 404, 500, 503):
    try:
        with fsspec.open(f"http://127.0.0.1:{server.server_port}/{status}", "rb") as file:
            file.read()
        told = "no error"
    except FileNotFoundError as error:
        told = f"FileNotFoundError, cause {type(error.__cause__).__name__} {getattr(error.__cause__, 'status', None)}"
    print(f"{status}: {told}")
    assert told == f"FileNotFoundError, cause ClientResponseError {status}"
server.shutdown()
PY
