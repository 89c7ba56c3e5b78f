"""The server of `ecgjax serve`: two addresses, `/` with a form and `/check` that answers it with a report.

A page of another site must not reach it through the browser of its user: requests have to name this machine (DNS
rebinding turns names of others into its address), and forms have to come from its own page.
"""

import contextlib
import ipaddress
import socket
import sys
import threading
import traceback
from collections.abc import Callable, Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from ecgjax.api.check import check, evidence_of
from ecgjax.bundled import BUNDLED, workdir_of
from ecgjax.errors import InputError
from ecgjax.recordings.recording import Recording
from ecgjax.serve.home import SCRIPTS, home_page
from ecgjax.serve.upload import files_of, recording_of
from ecgjax.viewer.document import part, policy
from ecgjax.viewer.pages import check_page

RECEIVE_S = 60.0
"""Within this, a request has to have come in."""

MOST_CONNECTIONS = 16
_MB = 2**20
_CHUNK = 1 << 16

_HEADERS = {
    "Content-Type": "text/html; charset=utf-8",
    "Content-Security-Policy": policy([part(name) for name in SCRIPTS], "form-action 'self'", "frame-ancestors 'none'"),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # Without any referrer, browsers would leave out the origin of the form, too.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class RefusedError(Exception):
    """A request that gets no page: a status and a line that says why."""

    def __init__(self, status: HTTPStatus, line: str):
        super().__init__(line)
        self.status, self.line = status, line


class Server(ThreadingHTTPServer):
    """Answers requests by `report`, one at a time; the others wait.

    Attributes:
      report: a recording -> its page.
      most_bytes: of an upload.
    """

    daemon_threads = True

    def __init__(self, address: tuple[str, int], report: Callable[[Recording], str], most_bytes: int):
        if ":" in address[0]:
            self.address_family = socket.AF_INET6
        super().__init__(address, Handler)
        self.host, self.report, self.most_bytes = address[0], report, most_bytes
        self.computes = threading.Lock()
        self._free = threading.BoundedSemaphore(MOST_CONNECTIONS)

    def process_request(self, request: Any, client_address: Any) -> None:
        if self._free.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients go away; all else has been answered."""


class Handler(BaseHTTPRequestHandler):
    """One request."""

    server: Server
    server_version, sys_version = "ecgjax", ""
    timeout = RECEIVE_S

    def setup(self) -> None:
        super().setup()
        # The timeout alone starts anew with every byte.
        self._patience = threading.Timer(RECEIVE_S, self._hang_up)
        self._patience.daemon = True
        self._patience.start()

    def _hang_up(self) -> None:
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)

    def finish(self) -> None:
        self._patience.cancel()
        super().finish()

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing is kept, names of files neither."""

    def do_GET(self) -> None:
        self._answer(self._home)

    def do_POST(self) -> None:
        self._answer(self._check)

    def _answer(self, make: Callable[[], str]) -> None:
        status = HTTPStatus.OK
        try:
            self._check_host()
            page = make()
        except RefusedError as refusal:
            status, page = refusal.status, home_page(self.server.most_bytes, refusal.line)
        except InputError as error:
            status, page = HTTPStatus.BAD_REQUEST, home_page(self.server.most_bytes, f"{error}.")
        except OSError:
            raise
        except Exception:
            traceback.print_exc()
            status = HTTPStatus.INTERNAL_SERVER_ERROR
            page = home_page(self.server.most_bytes, "The report could not be made; the terminal says why.")
        data = page.encode()
        self.send_response(status)
        for name, value in _HEADERS.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _home(self) -> str:
        if self.path != "/":
            raise RefusedError(HTTPStatus.NOT_FOUND, "There is nothing at this address.")
        return home_page(self.server.most_bytes)

    def _check(self) -> str:
        if self.path != "/check":
            raise RefusedError(HTTPStatus.NOT_FOUND, "There is nothing at this address.")
        if self.headers.get("Origin") != f"http://{self.headers.get('Host')}":
            raise RefusedError(HTTPStatus.FORBIDDEN, "The form has to come from this page.")
        files = files_of(self.headers.get("Content-Type", ""), self._body())
        self._patience.cancel()
        recording = recording_of(files)
        with self.server.computes:
            return self.server.report(recording)

    def _check_host(self) -> None:
        name, _, port = self.headers.get("Host", "").rpartition(":")
        is_known = name in ("localhost", self.server.host, socket.gethostname()) or _is_address(name.strip("[]"))
        if not is_known or port != str(self.server.server_port):
            raise RefusedError(HTTPStatus.FORBIDDEN, "The request is meant for another host.")

    def _body(self) -> bytes:
        text = self.headers.get("Content-Length", "")
        if not text.isascii() or not text.isdigit():
            raise RefusedError(HTTPStatus.LENGTH_REQUIRED, "The size of what was sent is not stated.")
        size, most = int(text), self.server.most_bytes
        if size > most:
            raise RefusedError(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                f"These files have {size / _MB:.0f} MB, {most / _MB:g} MB are allowed.",
            )
        body = bytearray()
        while len(body) < size:
            data = self.rfile.read1(min(_CHUNK, size - len(body)))
            if not data:
                raise RefusedError(HTTPStatus.BAD_REQUEST, "What was sent is cut short.")
            body += data
        return bytes(body)


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def serve(host: str, port: int, max_mb: float, judging: Mapping[str, Any]) -> None:
    """Serves reports until interrupted; `judging` are the options of `ecgjax.check`.

    Raises:
      InputError: it cannot listen there.
    """
    if not 0 <= port <= 65535 or not max_mb > 0:
        raise InputError(f"port is {port} and max_mb {max_mb:g}", "give a port of 0 to 65535, and more than 0 MB")
    workdir = judging.get("workdir", BUNDLED)
    evidence_of(workdir_of(workdir, "reversal"))

    def report(recording: Recording) -> str:
        return check_page(check(recording, **judging), workdir, home="/")

    try:
        server = Server((host, port), report, round(max_mb * _MB))
    except OSError as error:
        raise InputError(f"cannot listen on {host}, port {port} ({error.strerror})", "give another --port") from None
    with server:
        shown = f"[{host}]" if ":" in host else host
        if not _is_loopback(host):
            print(f"warning: anyone who can reach {host} can use this page; there is no password", file=sys.stderr)
        print(f"http://{shown}:{server.server_port}/  (Ctrl-C ends it)", flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            server.serve_forever()
    print("stopped")


def _is_loopback(host: str) -> bool:
    return host == "localhost" or (_is_address(host) and ipaddress.ip_address(host).is_loopback)
