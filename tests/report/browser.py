"""A real Chromium, driven by its own driver over the WebDriver protocol: the standard library will do."""

from __future__ import annotations

import base64
import json
import os
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_KEPT_LOGS = {"browser": "ALL", "performance": "ALL"}


class Browser:
    """One browser window."""

    def __init__(self, session: str) -> None:
        self._session = session

    def _call(self, path: str, **parameters: Any) -> Any:
        return _post(f"{self._session}/{path}", parameters)

    def open(self, page: Path) -> None:
        self._call("url", url=page.resolve().as_uri())

    def run(self, script: str, *arguments: Any) -> Any:
        """Run a function body in the page and return its result."""
        return self._call("execute/sync", script=script, args=list(arguments))

    def run_until_called_back(self, script: str, *arguments: Any) -> Any:
        """Run a function body whose last argument is a function to call with the result."""
        return self._call("execute/async", script=script, args=list(arguments))

    def resize(self, width: int, height: int) -> None:
        """Give the page this size in CSS pixels."""
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.devtools("Emulation.setDeviceMetricsOverride", **metrics)

    def prefer(self, scheme: str) -> None:
        """Ask for the page's ``light`` or ``dark`` colours."""
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.devtools("Emulation.setEmulatedMedia", features=features)

    def devtools(self, command: str, **parameters: Any) -> Any:
        return self._call("goog/cdp/execute", cmd=command, params=parameters)

    def console(self) -> list[str]:
        """Return what the page logged since the last call, errors and refusals included."""
        return [entry["message"] for entry in self._call("se/log", type="browser")]

    def requests(self) -> list[str]:
        """Return the addresses asked for since the last call."""
        log = self._call("se/log", type="performance")
        events = [json.loads(entry["message"])["message"] for entry in log]
        return [
            event["params"]["request"]["url"]
            for event in events
            if event["method"] == "Network.requestWillBeSent"
        ]

    def press(self, key: str) -> None:
        """Press a key, such as ``Tab`` or ``Enter``."""
        code = {"Tab": "\ue004", "Enter": "\ue007"}[key]
        strokes = [{"type": kind, "value": code} for kind in ("keyDown", "keyUp")]
        self._call("actions", actions=[{"type": "key", "id": "keyboard", "actions": strokes}])

    def screenshot(self) -> bytes:
        """Return what is seen, as PNG."""
        shot = self.devtools("Page.captureScreenshot", format="png")
        return base64.b64decode(shot["data"])


def missing() -> str | None:
    """Return why there is no browser to test with, None where there is one."""
    absent = [name for name in ("chromium", "chromedriver") if shutil.which(name) is None]
    return f"needs {' and '.join(absent)} (Debian: chromium, chromium-driver)" if absent else None


@contextmanager
def open_browser() -> Iterator[Browser]:
    """Start a driver and a browser, and end both."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = ["chromedriver", f"--port={port}", "--log-level=SEVERE"]
    driver = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    address = f"http://127.0.0.1:{port}/session"
    try:
        session = f"{address}/{_start(address)}"
        try:
            yield Browser(session)
        finally:
            _request("DELETE", session, None)
    finally:
        driver.terminate()
        driver.wait(20)


def _start(address: str) -> str:
    flags = ["--headless=new", "--disable-gpu", "--hide-scrollbars", "--disable-dev-shm-usage"]
    if os.geteuid() == 0:
        flags.append("--no-sandbox")  # Chromium's own sandbox needs another user than root
    options = {"goog:chromeOptions": {"args": flags}, "goog:loggingPrefs": _KEPT_LOGS}
    for _ in range(100):
        try:
            return _post(address, {"capabilities": {"alwaysMatch": options}})["sessionId"]
        except (ConnectionError, urllib.error.URLError) as error:
            if isinstance(error, urllib.error.HTTPError):
                raise
            time.sleep(0.1)
    raise RuntimeError("chromedriver does not answer")


def _post(address: str, parameters: Any) -> Any:
    return _request("POST", address, parameters)


def _request(method: str, address: str, parameters: Any) -> Any:
    data = None if parameters is None else json.dumps(parameters).encode()
    request = urllib.request.Request(address, data, {"Content-Type": "application/json"}, method=method)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)["value"]
    except urllib.error.HTTPError as error:
        if error.code >= 500 or error.code == 400:
            raise RuntimeError(json.loads(error.read())["value"]["message"]) from None
        raise
