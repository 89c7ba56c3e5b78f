"""The server answers its own page only, bounds what it takes, and keeps nothing; the page works in a browser."""

import http.client
import re
import signal
import socket
import threading
import time

import pytest
from test_upload import form

from ecgjax.errors import InputError
from ecgjax.serve import server as server_module
from ecgjax.serve.server import Server, serve

MOST_BYTES = 1 << 20


def report(recording):
    return f"<!doctype html><title>done</title><h1>{recording.name}</h1><p>{len(recording.signal_mv)} samples</p>"


@pytest.fixture(scope="module")
def running():
    with Server(("127.0.0.1", 0), report, MOST_BYTES) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def ask(server, method="GET", path="/", body=None, **headers):
    """Status, text and headers; the headers that a browser sends unless others are given, None for leaving one out."""
    own = f"127.0.0.1:{server.server_port}"
    usual = {"Host": own} | (
        {"Origin": f"http://{own}", "Content-Type": "multipart/form-data; boundary=xyz"} if body else {}
    )
    if body is not None:
        usual["Content-Length"] = str(len(body))
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=10)
    connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
    for name, value in (usual | {name.replace("_", "-"): value for name, value in headers.items()}).items():
        if value is not None:
            connection.putheader(name, value)
    connection.endheaders()
    if body and "Content_Length" not in headers:
        connection.send(body)
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return answer.status, text, answer.headers


def test_pages_are_guarded(running):
    status, text, headers = ask(running)
    assert status == 200
    assert "Is this ECG recorded right?" in text
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
    assert headers["Content-Security-Policy"].startswith("default-src 'none'; script-src 'sha256-")
    assert (headers["X-Content-Type-Options"], headers["Cache-Control"]) == ("nosniff", "no-store")
    assert "Python" not in headers["Server"]


RECORD = form([("a.hea", b"a 1 100 4\na.dat 16 200 16 0 0 0 0 I\n"), ("a.dat", b"\1\0\2\0\3\0\4\0")])


def test_files_become_a_report(running):
    status, text, _ = ask(running, "POST", "/check", RECORD)
    assert (status, "<h1>a</h1><p>4 samples" in text) == (200, True)
    status, text, _ = ask(running, "POST", "/check", RECORD, Host=f"localhost:{running.server_port}",
                          Origin=f"http://localhost:{running.server_port}")  # fmt: skip
    assert status == 200


@pytest.mark.parametrize(
    ("changes", "status", "said"),
    [
        ({"Host": "evil.example:80"}, 403, "another host"),
        ({"Host": "127.0.0.1:1"}, 403, "another host"),
        ({"Host": None}, 403, "another host"),
        ({"Origin": "http://evil.example"}, 403, "from this page"),
        ({"Origin": "null"}, 403, "from this page"),
        ({"Origin": None}, 403, "from this page"),
        ({"Content_Length": None}, 411, "not stated"),
        ({"Content_Length": "-5"}, 411, "not stated"),
        ({"Content_Length": str(10 * MOST_BYTES)}, 413, "10 MB, 1 MB are allowed"),
        ({"path": "/other"}, 404, "nothing at this address"),
        ({"Content_Type": "text/plain"}, 400, "no form with files"),
        ({"body": form([("x.bin", b"no signal")])}, 400, r"^x\.bin: "),
        ({"body": form([("<b>.csv", b"a")])}, 400, "_b_.csv"),
    ],
)
def test_other_requests_get_one_line(running, changes, status, said):
    given = {"method": "POST", "path": "/check", "body": RECORD} | changes
    answer, text, _ = ask(running, **given)
    line = re.search(r'role="alert">(.*?)</p>', text)[1]
    assert (answer, bool(re.search(said, line)), "\n" in line) == (status, True, False), line


def test_too_large_a_body_is_refused_before_it_is_read(running):
    began_s = time.monotonic()
    assert ask(running, "POST", "/check", RECORD, Content_Length=str(10**12))[0] == 413
    assert time.monotonic() - began_s < 5


def test_other_methods_and_addresses(running):
    assert ask(running, "GET", "/../etc/passwd")[0] == 404
    assert ask(running, "PUT")[0] == 501


def test_slow_clients_are_dropped(running, monkeypatch):
    monkeypatch.setattr(server_module, "RECEIVE_S", 0.2)
    with socket.create_connection(("127.0.0.1", running.server_port)) as slow:
        slow.settimeout(10)
        slow.sendall(b"GET / HT")
        assert slow.recv(100) == b""
    assert ask(running)[0] == 200


def test_a_defect_does_not_end_the_server(running, monkeypatch, capfd):
    def broken(recording):
        raise RuntimeError("a defect")

    monkeypatch.setattr(running, "report", broken)
    status, text, _ = ask(running, "POST", "/check", RECORD)
    assert (status, "the terminal says why" in text, "a defect" in text) == (500, True, False)
    assert "RuntimeError: a defect" in capfd.readouterr().err
    monkeypatch.undo()
    assert ask(running)[0] == 200


def test_serving_tells_its_address_and_ends_at_ctrl_c(monkeypatch, capsys):
    monkeypatch.setattr(server_module, "workdir_of", lambda *_: None)
    monkeypatch.setattr(server_module, "evidence_of", lambda _: None)
    # Where the tests run in the background of a shell, it has set the signal to be ignored.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        for host, warns in (("127.0.0.1", False), ("0.0.0.0", True)):
            threading.Timer(0.3, lambda: signal.raise_signal(signal.SIGINT)).start()
            serve(host, 0, 1.0, {})
            said = capsys.readouterr()
            assert re.fullmatch(rf"http://{re.escape(host)}:\d+/  \(Ctrl-C ends it\)\nstopped\n", said.out)
            assert said.err.startswith("warning: anyone who can reach 0.0.0.0") == warns
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize(
    ("port", "max_mb", "said"), [(70000, 1.0, "port is 70000"), (0, 0.0, "max_mb 0"), (None, 1.0, "cannot listen")]
)
def test_bad_options(running, monkeypatch, port, max_mb, said):
    monkeypatch.setattr(server_module, "workdir_of", lambda *_: None)
    monkeypatch.setattr(server_module, "evidence_of", lambda _: None)
    with pytest.raises(InputError, match=said):
        serve("127.0.0.1", running.server_port if port is None else port, max_mb, {})


def test_a_person_chooses_and_drops_files(running, chromium, sample_data, tmp_path):
    address = f"http://127.0.0.1:{running.server_port}/"
    chromium.open(address)
    folder = sample_data / "ptb-xl" / "records100" / "00000"
    chromium.choose_files("input[type=file]", *sorted(folder.glob("00001_lr.*")))
    chromium.wait_until("document.title === 'done'")
    assert chromium.evaluate("document.body.textContent") == "00001_lr1000 samples"
    assert chromium.requests == [f"GET {address}", f"POST {address}check"]

    chromium.open(address)
    drop = (
        "(() => {{ const data = new DataTransfer(); data.items.add(new File([{content}], 'note.txt'));"
        "const event = new DragEvent('drop', {{dataTransfer: data, bubbles: true}});"
        "document.querySelector('.drop').dispatchEvent(event); }})()"
    )
    chromium.evaluate(drop.format(content="new Uint8Array(2 ** 21)"))
    assert (
        chromium.evaluate("document.querySelector('.error').textContent") == "These files have 2 MB, 1 MB are allowed."
    )
    assert chromium.requests == [f"GET {address}"]
    assert chromium.errors == []
    chromium.evaluate(drop.format(content="'hello'"))
    chromium.wait_until("document.querySelector('.error').textContent.startsWith('note.txt')")
    assert chromium.evaluate("document.documentElement.scrollWidth <= innerWidth")
