"""A headless Chromium driven over its DevTools protocol: just what the viewer's tests need."""

import base64
import io
import itertools
import json
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from websockets.sync.client import connect

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--remote-debugging-port=0",
)

BOX = ("left", "top", "width", "height")


def find_chromium() -> str | None:
    """Return the path of an installed Chromium, or None."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


class Chromium:
    """One browser with one page; use it as a context manager.

    `requests` collects the URLs that the page asked for, `errors` its uncaught exceptions and what it
    wrote to the console as errors.
    """

    def __init__(self, executable: str, width: int = 480, height: int = 400) -> None:
        self.profile = tempfile.TemporaryDirectory(prefix="chromium-", ignore_cleanup_errors=True)
        self.process = subprocess.Popen(
            [
                executable,
                *FLAGS,
                f"--user-data-dir={self.profile.name}",
                f"--window-size={width},{height}",
                "about:blank",
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=os.environ | {"TMPDIR": self.profile.name},  # so that nothing it leaves outlives the test
        )
        self.requests: list[str] = []
        self.errors: list[str] = []
        self._ids = itertools.count(1)
        self._socket = connect(self._page_socket(), max_size=None, open_timeout=30, compression=None)
        for domain in ("Page", "Runtime", "Network"):
            self.call(f"{domain}.enable")
        self.resize(width, height)

    def resize(self, width: int, height: int) -> None:
        """Make the window another size, in pixels."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.call("Emulation.setDeviceMetricsOverride", **size)

    def _page_socket(self) -> str:
        """Wait for the port file, then open a page and give its socket's address."""
        port_file = Path(self.profile.name) / "DevToolsActivePort"
        deadline = time.monotonic() + 60
        while not (port_file.exists() and len(port_file.read_text().splitlines()) == 2):
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("Chromium did not start")
            time.sleep(0.05)
        port, browser_path = port_file.read_text().splitlines()
        root = f"ws://127.0.0.1:{port}"
        with connect(root + browser_path, compression=None) as socket:
            socket.send(
                json.dumps({"id": 0, "method": "Target.createTarget", "params": {"url": "about:blank"}})
            )
            while True:
                answer = json.loads(socket.recv(timeout=30))
                if answer.get("id") == 0:
                    return f"{root}/devtools/page/{answer['result']['targetId']}"

    def __enter__(self) -> "Chromium":
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(10)
        self.profile.cleanup()

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Send one command and give its result."""
        number = next(self._ids)
        self._socket.send(json.dumps({"id": number, "method": method, "params": params}))
        while True:
            message = json.loads(self._socket.recv(timeout=60))
            self._note(message)
            if message.get("id") == number:
                if "error" in message:
                    raise RuntimeError(f"{method}: {message['error']['message']}")
                return message["result"]

    def _note(self, message: dict[str, Any]) -> None:
        if message.get("method") == "Network.requestWillBeSent":
            self.requests.append(message["params"]["request"]["url"])
        if message.get("method") == "Runtime.exceptionThrown":
            details = message["params"]["exceptionDetails"]
            self.errors.append(details.get("exception", {}).get("description", details["text"]))
        if message.get("method") == "Runtime.consoleAPICalled" and message["params"]["type"] == "error":
            self.errors.append(" ".join(str(said.get("value")) for said in message["params"]["args"]))

    def open(self, url: str) -> None:
        """Go to a page; it may still be loading when this returns."""
        self.requests.clear()
        self.errors.clear()
        self.call("Page.navigate", url=url)

    def choose_file(self, selector: str, path: Path) -> None:
        """Give a file to a field for files, as dropping it there does."""
        root = self.call("DOM.getDocument")["root"]["nodeId"]
        node = self.call("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self.call("DOM.setFileInputFiles", nodeId=node, files=[str(path)])

    def download_to(self, folder: Path) -> None:
        """Keep what pages download in a folder from now on."""
        self.call("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(folder))

    def press(self, text: str) -> None:
        """Click the button that says this, once it is there and can be clicked."""
        button = (
            f"[...document.querySelectorAll('button')].find(b => b.innerText.trim() === {json.dumps(text)})"
        )
        self.wait_for(f"(b => b && !b.disabled)({button})")
        self.evaluate(f"{button}.click()")

    def text(self) -> str:
        """Return what is to be read on the page."""
        return self.evaluate("document.body.innerText")

    def evaluate(self, expression: str) -> Any:
        """Return the value of a JavaScript expression (promises are awaited)."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(f"{expression}: {answer['exceptionDetails']['text']}")
        return answer["result"].get("value")

    def wait_for(self, expression: str, seconds: float = 60) -> None:
        """Wait until a JavaScript expression is true."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self.evaluate(f"Boolean({expression})"):
                return
            time.sleep(0.1)
        raise TimeoutError(f"not true after {seconds} s: {expression}; errors: {self.errors}")

    def screenshot(self) -> np.ndarray:
        """Return the page as (H, W, 3) uint8."""
        data = base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"])
        return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))

    def click(self, selector: str) -> None:
        """Press the left button in the middle of the first element of a CSS selector."""
        box = f"document.querySelector({json.dumps(selector)}).getBoundingClientRect()"
        left, top, width, height = (self.evaluate(f"{box}.{side}") for side in BOX)
        place = (left + width / 2, top + height / 2)
        self.drag(place, place, steps=1)

    def drag(self, start: tuple[float, float], end: tuple[float, float], steps: int = 8) -> None:
        """Press the left button at `start`, move to `end`, release; page coordinates in pixels."""

        def mouse(kind: str, x: float, y: float, buttons: int) -> None:
            self.call(
                "Input.dispatchMouseEvent",
                type=kind,
                x=x,
                y=y,
                button="left",
                buttons=buttons,
                clickCount=1,
            )

        mouse("mousePressed", *start, 1)
        for step in range(1, steps + 1):
            mouse(
                "mouseMoved",
                start[0] + (end[0] - start[0]) * step / steps,
                start[1] + (end[1] - start[1]) * step / steps,
                1,
            )
        mouse("mouseReleased", *end, 0)
