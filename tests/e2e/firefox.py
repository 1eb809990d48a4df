"""Firefox as Debian has it, driven by the protocol that it speaks itself: Marionette.

https://firefox-source-docs.mozilla.org/testing/marionette/Protocol.html; the commands are those of
WebDriver. Playwright drives a Firefox of its own build only.
"""

import base64
import json
import shutil
import socket
import subprocess
import time
from pathlib import Path

import pytest

NAMES = ("firefox-esr", "firefox")
START_TIMEOUT = 60
TIMEOUT = 30
"""Seconds until an answer must be there."""

ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
"""What WebDriver has for the name of an element's id."""

PREFERENCES = {
    "marionette.port": 0,  # any that is free; MarionetteActivePort in the profile tells
    # A camera of one colour and a microphone that hums, without being asked for them.
    "media.navigator.streams.fake": True,
    "media.navigator.permission.disabled": True,
    # Everywhere the same codecs: without OpenH264, which is fetched from a server of Mozilla's.
    "media.gmp-manager.updateEnabled": False,
    "media.gmp-gmpopenh264.enabled": False,
    # Nothing else is asked of the network either.
    "app.normandy.enabled": False,
    "datareporting.policy.dataSubmissionEnabled": False,
    "extensions.update.enabled": False,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "browser.shell.checkDefaultBrowser": False,
    "browser.download.folderList": 2,  # into browser.download.dir
}


class Firefox:
    """A browser with one page. folder: where its profile is kept, and what it downloads."""

    def __init__(self, folder: Path) -> None:
        path = next(filter(None, map(shutil.which, NAMES)), None)
        if path is None:
            pytest.fail("no Firefox found; install it, on Debian: apt-get install firefox-esr")
        profile = folder / "profile"
        profile.mkdir()
        self.downloads = folder / "downloads"
        preferences = {**PREFERENCES, "browser.download.dir": str(self.downloads)}
        (profile / "user.js").write_text(
            "".join(
                f"user_pref({json.dumps(name)}, {json.dumps(value)});\n"
                for name, value in preferences.items()
            )
        )
        command = [path, "--headless", "--marionette", "--no-remote", "--profile", str(profile)]
        with (folder / "firefox.log").open("wb") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        self._asked = 0
        self._socket: socket.socket | None = None
        try:
            self._connect(profile / "MarionetteActivePort")
            self._ask("WebDriver:NewSession", capabilities={"alwaysMatch": {}})
            self._ask("WebDriver:SetTimeouts", script=TIMEOUT * 1000, pageLoad=TIMEOUT * 1000)
        except BaseException:
            self.close()
            raise

    def open(self, url: str, width: int = 1280, height: int = 800) -> None:
        """height, width: of the page, CSS pixels."""
        self._ask("WebDriver:SetWindowRect", width=width, height=height)
        frame = self.run("return [outerWidth - innerWidth, outerHeight - innerHeight]")
        self._ask("WebDriver:SetWindowRect", width=width + frame[0], height=height + frame[1])
        self._ask("WebDriver:Navigate", url=url)

    def run(self, script: str, *arguments: object) -> object:
        """The value of the body of a function of the page, or what its promise becomes."""
        return self._ask(
            "WebDriver:ExecuteScript", script=script, args=list(arguments), sandbox=None
        )

    def click(self, selector: str) -> None:
        """Fails where an element is covered, as a person's click would."""
        found = self._ask("WebDriver:FindElement", using="css selector", value=selector)
        self._ask("WebDriver:ElementClick", id=found[ELEMENT])

    def click_at(self, x: float, y: float) -> None:
        """x, y: in the page, CSS pixels."""
        steps = [
            {"type": "pointerMove", "x": round(x), "y": round(y)},
            {"type": "pointerDown", "button": 0},
            {"type": "pointerUp", "button": 0},
        ]
        pointer = {"type": "pointer", "id": "mouse", "actions": steps}
        self._ask("WebDriver:PerformActions", actions=[pointer])

    def press(self, key: str) -> None:
        steps = [{"type": "keyDown", "value": key}, {"type": "keyUp", "value": key}]
        keyboard = {"type": "key", "id": "keyboard", "actions": steps}
        self._ask("WebDriver:PerformActions", actions=[keyboard])

    def save(self, path: Path) -> None:
        """Take a picture of the page, PNG."""
        path.write_bytes(base64.b64decode(self._ask("WebDriver:TakeScreenshot", full=False)))

    def close(self) -> None:
        if self._socket is not None:
            self._stream.close()
            self._socket.close()
        self._process.terminate()
        try:
            self._process.wait(15)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _connect(self, port: Path) -> None:
        deadline = time.monotonic() + START_TIMEOUT
        while not (port.exists() and port.read_text()):
            if self._process.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"Firefox did not start; see {port.parents[1] / 'firefox.log'}")
            time.sleep(0.1)
        self._socket = socket.create_connection(("127.0.0.1", int(port.read_text())), TIMEOUT + 10)
        self._stream = self._socket.makefile("rb")
        self._read()  # it says what it speaks

    def _ask(self, command: str, **parameters: object) -> object:
        """The answer's value. A message is its length, a colon and JSON."""
        self._asked += 1
        message = json.dumps([0, self._asked, command, parameters]).encode()
        self._socket.sendall(b"%d:%b" % (len(message), message))
        _, _, error, result = self._read()
        if error:
            pytest.fail(f"{command}: {error['error']}, {error['message']}")
        return result["value"] if isinstance(result, dict) and "value" in result else result

    def _read(self) -> list:
        length = b""
        while not length.endswith(b":"):
            byte = self._stream.read(1)
            if not byte:
                pytest.fail("Firefox has ended")
            length += byte
        return json.loads(self._stream.read(int(length[:-1])))
