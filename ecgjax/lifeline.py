"""A connection between the first process and every other one, by which all notice that one has died or failed.

Without it the others would wait in a collective for the one that is gone. The kernel closes the connections of a killed
process at once, and TCP's keepalive those of a host that has vanished. A message is one line of JSON:

    process -> first   {"process": 2, "count": 4}   at the start, from each
    first -> process   {"port": 40001}              all are there: where JAX's coordination service will listen
    both ways          {"process": 2, "status": s}  it has ended: 0 for a signal, null where it died
    both ways          {"process": 2, "done": true} it has nothing left to do
"""

import atexit
import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
import time
import traceback
from io import BufferedRWPair
from typing import Any, NoReturn

from ecgjax import cli
from ecgjax.errors import InputError

LOST = 4
"""Exit status of a process that ends because another one has died or failed."""

START_TIMEOUT_S = 300.0
"""For all processes to come."""

_HELLO_TIMEOUT_S = 10.0
GRACE_S = 5.0
"""For a process to end by itself when another one does, since most errors are the same in all."""

_DESCRIPTORS = "/proc/self/fd"
_KEEPALIVE = {"TCP_KEEPIDLE": 10, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 3}  # Linux's names: dead after 25 s


class Lifeline:
    """This process's end; process 0 holds one connection to each of the others, which hold one to it."""

    def __init__(self, host: str, port: int, count: int, index: int):
        """Waits until all `count` processes are there.

        Raises:
          InputError: some do not come, two have the same index, or process 0 cannot be reached at `host` and `port`.
        """
        self._count, self._index = count, index
        self._ended: set[int] = set()
        self._is_ending = threading.Event()
        self._telling = threading.RLock()  # A signal may come while the main thread tells something.
        self._listeners: list[threading.Thread] = []
        self._holder: subprocess.Popen | None = None
        if index == 0:
            self._peers = _gather(port, count)
            self.service_port = _free_port()
            self._tell({"port": self.service_port})
        else:
            first, self.service_port = _join(host, port, count, index)
            self._peers = {0: first}
        for process, peer in self._peers.items():
            thread = threading.Thread(target=self._listen, args=(process, peer), daemon=True)
            self._listeners.append(thread)
            thread.start()
        cli.before_failure(self._fail)
        atexit.register(self._finish)

    def hold_connections(self) -> None:
        """Keeps those of JAX's clients to process 0, which this is, open for some seconds after it was killed.

        The clients abort, with pages of C++, as soon as these close, and would not come to say what has happened.
        """
        held = [int(name) for name in os.listdir(_DESCRIPTORS) if _is_connection(int(name), self.service_port)]
        # It reads the end of its input when this process is gone.
        self._holder = subprocess.Popen(
            ["sh", "-c", f"read _; sleep {2 * GRACE_S:g}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=held,
            start_new_session=True,
        )

    def tell_stopped(self) -> None:
        """Lets the others end, since a signal ends this process wherever it is."""
        self._is_ending.set()
        self._tell({"process": self._index, "status": 0})
        # What is left open on the way out may wait for the others.
        timer = threading.Timer(2 * GRACE_S, os._exit, [0])
        timer.daemon = True
        timer.start()

    def _tell(self, message: dict[str, Any]) -> None:
        with self._telling:
            for peer in self._peers.values():
                # Where it is gone, its listener says so.
                with contextlib.suppress(OSError):
                    _write(peer, message)

    def _listen(self, process: int, peer: BufferedRWPair) -> None:
        with contextlib.suppress(OSError):
            for line in peer:
                self._hear(json.loads(line))
        if process not in self._ended:
            self._hear({"process": process, "status": None})

    def _hear(self, message: dict[str, Any]) -> None:
        process = message["process"]
        if self._index == 0:
            self._tell(message)
        self._ended.add(process)
        if "done" in message or process == self._index:
            return
        status = message["status"]
        if status is not None and self._is_ending.wait(GRACE_S):
            return
        if self._is_ending.is_set():
            return
        self._is_ending.set()
        how = "has died" if status is None else "was stopped" if status == 0 else f"has ended with status {status}"
        begin = ("\n" if sys.stderr.isatty() else "") + ("" if status == 0 else "error: ")
        said = f"process {process} of {self._count} {how}, and so process {self._index} ends"
        os.write(2, f"{begin}{said}; the same command resumes from the last checkpoint\n".encode())
        self._exit(0 if status == 0 else LOST)

    def _exit(self, status: int) -> NoReturn:
        """Ends this process wherever its threads are; process 0, which holds JAX's coordination service, last."""
        until = time.monotonic() + 2 * GRACE_S
        for thread in self._listeners if self._index == 0 else ():
            if thread is not threading.current_thread():
                thread.join(max(until - time.monotonic(), 0.0))
        os._exit(status)

    def _fail(self, error: BaseException) -> None:
        """Takes the others along when `error` ends this process."""
        if not isinstance(error, SystemExit):
            # Collectives fail when another process dies, which is then what should be told.
            time.sleep(GRACE_S)
            traceback.print_exception(error)
        status = error.code if isinstance(error, SystemExit) and isinstance(error.code, int) else 1
        self._is_ending.set()
        self._tell({"process": self._index, "status": status})
        sys.stdout.flush()
        sys.stderr.flush()
        self._exit(status)

    def _finish(self) -> None:
        """Before JAX waits for all processes to have come to their end."""
        if self._is_ending.is_set():
            sys.stdout.flush()
            self._exit(0)
        self._tell({"process": self._index, "done": True})
        if self._holder is not None:
            self._holder.kill()
            self._holder.wait()


def _write(peer: BufferedRWPair, message: dict[str, Any]) -> None:
    peer.write(json.dumps(message).encode() + b"\n")
    peer.flush()


def _gather(port: int, count: int) -> dict[int, BufferedRWPair]:
    """Connections to processes 1 to `count` - 1, which come to `port`."""
    peers: dict[int, BufferedRWPair] = {}
    until = time.monotonic() + START_TIMEOUT_S
    try:
        server = _server(port, count)
    except OSError as error:
        raise InputError(f"process 0 cannot listen on port {port}: {error.strerror}", "give another port") from error
    with server, contextlib.ExitStack() as opened:
        while len(peers) < count - 1:
            server.settimeout(max(until - time.monotonic(), 0.1))
            try:
                connection, _ = server.accept()
            except TimeoutError:
                missing = [str(process) for process in range(1, count) if process not in peers]
                raise InputError(
                    f"process {', '.join(missing)} of {count} has not come within {START_TIMEOUT_S:g} s",
                    "see what it says, and whether it reaches this host",
                ) from None
            peer = _opened(connection, _HELLO_TIMEOUT_S, opened)
            try:
                said = json.loads(peer.readline())
                process, its_count = said["process"], said["count"]
            except (OSError, ValueError, TypeError, KeyError):
                continue  # Not one of ours.
            if process in peers or not 0 < process < count or its_count != count:
                raise InputError(
                    f"a process came as number {process} of {its_count} to {count} that are expected",
                    "give every process a number of its own and the same count",
                )
            connection.settimeout(None)
            peers[process] = peer
        opened.pop_all()
    return peers


def _server(port: int, backlog: int) -> socket.socket:
    if socket.has_dualstack_ipv6():
        # Hosts may know IPv6 and still have no address of it.
        with contextlib.suppress(OSError):
            return socket.create_server(("", port), family=socket.AF_INET6, backlog=backlog, dualstack_ipv6=True)
    return socket.create_server(("", port), backlog=backlog)


def _join(host: str, port: int, count: int, index: int) -> tuple[BufferedRWPair, int]:
    """A connection to process 0, which may still have to start, and the port it names once all are there."""
    until = time.monotonic() + START_TIMEOUT_S
    while True:
        try:
            connection = socket.create_connection((host, port), timeout=START_TIMEOUT_S)
            break
        except OSError as error:
            if time.monotonic() > until:
                raise InputError(
                    f"process 0 is not reached at {host}:{port} ({error})", "see whether it runs there"
                ) from error
            time.sleep(0.2)
    with contextlib.ExitStack() as opened:
        # The others may come as late as this one did.
        peer = _opened(connection, 2 * START_TIMEOUT_S, opened)
        line = b""
        with contextlib.suppress(OSError):
            _write(peer, {"process": index, "count": count})
            line = peer.readline()
        if not line:
            raise InputError(
                f"process 0 at {host}:{port} has not taken in process {index} of {count}", "see what it says"
            )
        connection.settimeout(None)
        opened.pop_all()
    return peer, json.loads(line)["port"]


def _opened(connection: socket.socket, timeout_s: float, opened: contextlib.ExitStack) -> BufferedRWPair:
    """The file of a connection that stays alive; both are closed with `opened`."""
    opened.enter_context(connection)
    connection.settimeout(timeout_s)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _KEEPALIVE.items():
        if hasattr(socket, name):
            connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
    return opened.enter_context(connection.makefile("rwb"))


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("", 0))
        return free.getsockname()[1]


def _is_connection(descriptor: int, port: int) -> bool:
    """Whether it is a connected socket at `port` of this host."""
    try:
        with socket.socket(fileno=os.dup(descriptor)) as found:
            found.getpeername()
            return found.getsockname()[1] == port
    except (OSError, IndexError):
        return False
