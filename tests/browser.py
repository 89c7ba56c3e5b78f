"""A headless Chromium that tests click through, spoken to over pipes in the DevTools protocol.

Whatever a page writes to the console as an error, throws, or asks the network for is kept, for tests to fail on.
"""

import base64
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
TIMEOUT_S = 20.0
_FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage"),
    *("--hide-scrollbars", "--force-color-profile=srgb", "--remote-debugging-pipe"),
)

_WITH_PIPES = (
    *(sys.executable, "-S", "-c"),
    "import os, sys; reads, writes = (os.dup(os.dup(os.dup(int(n)))) for n in sys.argv[1:3]);"
    "os.dup2(reads, 3); os.dup2(writes, 4); os.execv(sys.argv[3], sys.argv[3:])",
)
"""Starts a program that reads descriptor 3 and writes to 4, as Chromium does; three copies lie beyond both."""


def find() -> str | None:
    """The path of a Chromium, if one is installed."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


@contextlib.contextmanager
def started(executable: str) -> Iterator["Browser"]:
    """A browser with one empty tab."""
    to_browser, ours_out = os.pipe()
    ours_in, from_browser = os.pipe()
    with tempfile.TemporaryDirectory(prefix="ecgjax-browser-", ignore_cleanup_errors=True) as profile:
        descriptors = (str(to_browser), str(from_browser))
        process = subprocess.Popen(
            [*_WITH_PIPES, *descriptors, executable, *_FLAGS, f"--user-data-dir={profile}", "about:blank"],
            pass_fds=(to_browser, from_browser),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            env={**os.environ, "HOME": profile},
        )
        os.close(to_browser)
        os.close(from_browser)
        try:
            with os.fdopen(ours_in, "rb", buffering=0) as reads, os.fdopen(ours_out, "wb", buffering=0) as writes:
                yield Browser(reads, writes)
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


class Browser:
    """One tab and what happened in it."""

    def __init__(self, reads: Any, writes: Any):
        self._reads, self._writes = reads, writes
        self._left, self._last_id, self._session = b"", 0, None
        self.errors: list[str] = []
        self.requests: list[str] = []
        self._loads = 0
        targets = self.call("Target.getTargets")["targetInfos"]
        tab = next(target["targetId"] for target in targets if target["type"] == "page")
        self._session = self.call("Target.attachToTarget", targetId=tab, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network", "DOM"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Raises RuntimeError where the browser says that it did not work."""
        self._last_id += 1
        message = {"id": self._last_id, "method": method, "params": parameters}
        if self._session is not None:
            message["sessionId"] = self._session
        self._writes.write(json.dumps(message).encode() + b"\0")
        deadline = time.monotonic() + TIMEOUT_S
        while True:
            answer = self._next(deadline, method)
            if answer.get("id") == self._last_id:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']['message']}")
                return answer["result"]

    def _next(self, deadline: float, waiting_for: str) -> dict[str, Any]:
        while b"\0" not in self._left:
            if time.monotonic() > deadline:
                raise TimeoutError(f"no answer to {waiting_for} within {TIMEOUT_S:g} s")
            data = os.read(self._reads.fileno(), 1 << 16)
            if not data:
                raise RuntimeError("the browser has ended")
            self._left += data
        text, self._left = self._left.split(b"\0", 1)
        message = json.loads(text)
        self._note(message.get("method", ""), message.get("params", {}))
        return message

    def _note(self, method: str, about: dict[str, Any]) -> None:
        if method == "Runtime.exceptionThrown":
            details = about["exceptionDetails"]
            self.errors.append(details.get("exception", {}).get("description", details["text"]))
        elif method == "Runtime.consoleAPICalled" and about["type"] in ("error", "warning", "assert"):
            self.errors.append(" ".join(str(part.get("value")) for part in about["args"]))
        elif method == "Log.entryAdded" and about["entry"]["level"] in ("error", "warning"):
            self.errors.append(f"{about['entry']['text']} {about['entry'].get('url', '')}")
        elif method == "Network.requestWillBeSent":
            url = about["request"]["url"]
            if not url.startswith("data:"):
                self.requests.append(f"{about['request']['method']} {url}")
        elif method == "Page.loadEventFired":
            self._loads += 1

    def open(self, url: str, width: int = 1200, height: int = 900, is_dark: bool = False, scale: float = 1) -> None:
        """Loads a page anew and forgets what happened before."""
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=scale, mobile=False
        )
        theme = "dark" if is_dark else "light"
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": theme}])
        self.errors.clear()
        self.requests.clear()
        loads = self._loads
        self.call("Page.navigate", url=url)
        deadline = time.monotonic() + TIMEOUT_S
        while self._loads == loads:
            self._next(deadline, f"loading {url}")

    def evaluate(self, expression: str) -> Any:
        """The value of an expression in the page, awaited where it is a promise."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(answer["exceptionDetails"].get("exception", {}).get("description", expression))
        return answer["result"].get("value")

    def wait_until(self, expression: str) -> None:
        """Until an expression in the page is true; pages may change meanwhile."""
        deadline = time.monotonic() + TIMEOUT_S
        while time.monotonic() < deadline:
            with contextlib.suppress(RuntimeError):
                if self.evaluate(expression):
                    return
            time.sleep(0.02)
        raise TimeoutError(f"{expression} is not so after {TIMEOUT_S:g} s; errors: {self.errors}")

    def box(self, selector: str) -> dict[str, float]:
        """Where an element is in the window, scrolled to."""
        return self.evaluate(
            f"(() => {{ const e = document.querySelector({json.dumps(selector)});"
            "e.scrollIntoView({block: 'center'});"
            "const {x, y, width, height} = e.getBoundingClientRect(); return {x, y, width, height}; })()"
        )

    def mouse(self, kind: str, x: float, y: float, **more: Any) -> None:
        self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, **more)

    def drag(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        """With the mouse, points in the window."""
        self.mouse("mousePressed", *start, button="left", buttons=1, clickCount=1)
        self.mouse("mouseMoved", *end, button="left", buttons=1)
        self.mouse("mouseReleased", *end, button="left", clickCount=1)

    def key(self, key: str) -> None:
        text = {"text": key} if len(key) == 1 else {}
        self.call("Input.dispatchKeyEvent", type="keyDown", key=key, **text)
        self.call("Input.dispatchKeyEvent", type="keyUp", key=key)

    def choose_files(self, selector: str, *paths: Path) -> None:
        """As if a person had chosen them in a file input."""
        root = self.call("DOM.getDocument")["root"]["nodeId"]
        node = self.call("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self.call("DOM.setFileInputFiles", nodeId=node, files=[str(path) for path in paths])

    def screenshot(self, path: Path, whole: bool = True) -> None:
        """A PNG of the page."""
        data = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)["data"]
        path.write_bytes(base64.b64decode(data))
