"""A headless Chromium over its DevTools protocol: a page is opened, asked and clicked like a
person's.
"""

import asyncio
import base64
import shutil
import subprocess
import tempfile
import threading
import time
from pathlib import Path

import aiohttp

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
DEADLINE_S = 30.0
FLAGS = (
    *("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--no-first-run"),
    *("--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--mute-audio"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    "--remote-debugging-port=0",
)


def find_chromium():
    """Path of the browser; None where there is none."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


class Chromium:
    """A browser process; `tab` opens a page in it. All tabs share cookies."""

    def __init__(self, *flags):
        self._folder = tempfile.TemporaryDirectory(
            prefix="wam_chromium_", ignore_cleanup_errors=True
        )
        self._process = subprocess.Popen(
            [
                find_chromium(),
                *FLAGS,
                *flags,
                f"--user-data-dir={self._folder.name}",
                "about:blank",
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, daemon=True).start()
        self._number, self._answers, self._tabs = 0, {}, {}
        self.run(self._connect())

    def run(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(DEADLINE_S)

    async def _connect(self):
        file = Path(self._folder.name) / "DevToolsActivePort"
        end = time.monotonic() + DEADLINE_S
        while not (file.is_file() and file.read_text().count("\n")):
            assert time.monotonic() < end, "Chromium did not start"
            assert self._process.poll() is None, "Chromium ended"
            await asyncio.sleep(0.02)
        port, path = file.read_text().splitlines()[:2]
        self._session = aiohttp.ClientSession()
        self._socket = await self._session.ws_connect(
            f"ws://127.0.0.1:{port}{path}", max_msg_size=0
        )
        self._reader = asyncio.ensure_future(self._read())

    async def _read(self):
        async for message in self._socket:
            told = message.json()
            if "id" in told:
                self._answers.pop(told["id"]).set_result(told)
            elif tab := self._tabs.get(told.get("sessionId")):
                tab.on_event(told["method"], told["params"])

    async def _ask(self, method, session=None, **params):
        self._number += 1
        number = self._number
        self._answers[number] = self._loop.create_future()
        message = {"id": number, "method": method, "params": params}
        await self._socket.send_json(message | ({"sessionId": session} if session else {}))
        answer = await self._answers[number]
        assert "error" not in answer, f"{method}: {answer['error']}"
        return answer["result"]

    def ask(self, method, session=None, **params):
        """One command of the protocol."""
        return self.run(self._ask(method, session, **params))

    def tab(self, url="about:blank", width=800, height=500, phone=False):
        """A new tab that has loaded `url`."""
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        session = self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        tab = self._tabs[session] = Tab(self, session, target)
        for domain in ("Page", "Runtime", "Log", "Network"):
            tab.ask(f"{domain}.enable")
        tab.ask(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=phone,
        )
        if url != "about:blank":
            tab.go(url)
        return tab

    def close(self):
        async def end():
            await self._ask("Browser.close")
            await self._socket.close()
            await self._session.close()

        self.run(end())
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._folder.cleanup()


class Tab:
    """One page."""

    def __init__(self, browser, session, target):
        self._browser, self._session, self._target = browser, session, target
        self.errors, self.refused, self._loaded = [], [], threading.Event()

    def ask(self, method, **params):
        return self._browser.ask(method, self._session, **params)

    def on_event(self, method, params):
        if method == "Page.loadEventFired":
            self._loaded.set()
        elif method == "Runtime.exceptionThrown":
            self.errors.append(str(params["exceptionDetails"].get("exception", params))[:400])
        elif method == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning"):
            self.errors.append(str([a.get("value") for a in params["args"]])[:400])
        elif method == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
            self.errors.append(f"{params['entry']['text']} {params['entry'].get('url', '')}")
        elif method == "Network.responseReceived" and params["response"]["status"] >= 400:
            self.refused.append((params["response"]["url"], params["response"]["status"]))

    def go(self, url):
        """Load a page and wait for it."""
        self._loaded.clear()
        self.ask("Page.navigate", url=url)
        assert self._loaded.wait(DEADLINE_S), f"{url} did not load"

    def evaluate(self, script):
        """The value of an expression; promises are awaited."""
        answer = self.ask(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def until(self, script, seconds=DEADLINE_S):
        """Ask until the expression is true; it may throw meanwhile, as while a page loads."""
        end = time.monotonic() + seconds
        while not self._holds(script):
            assert time.monotonic() < end, f"never came true: {script}; errors: {self.errors}"
            time.sleep(0.05)

    def _holds(self, script):
        try:
            return self.evaluate(f"(() => {{ try {{ return !!({script}) }} catch {{}} }})()")
        except AssertionError:  # between two pages
            return False

    def press(self, key, code=None):
        """A key, as typed."""
        text = {"text": "\r" if key == "Enter" else key} if len(key) == 1 or key == "Enter" else {}
        for kind in ("keyDown", "keyUp"):
            self.ask("Input.dispatchKeyEvent", type=kind, key=key, code=code or key, **text)

    def type(self, text):
        """Text into what has the focus."""
        self.ask("Input.insertText", text=text)

    def mouse(self, kind, selector, dx=0.5, dy=0.5):
        """A mouse event (mousePressed, mouseReleased, mouseMoved) at a place inside an element."""
        box = self.evaluate(
            f"(() => {{ const e = document.querySelector({selector!r});"
            " e.scrollIntoView({block: 'center'}); const b = e.getBoundingClientRect();"
            " return [b.x, b.y, b.width, b.height]; })()"
        )
        x, y, width, height = box
        self.ask(
            "Input.dispatchMouseEvent",
            type=kind,
            x=x + dx * width,
            y=y + dy * height,
            button="none" if kind == "mouseMoved" else "left",
            clickCount=0 if kind == "mouseMoved" else 1,
        )

    def click(self, selector):
        """Press and release the mouse on an element."""
        self.mouse("mousePressed", selector)
        self.mouse("mouseReleased", selector)

    def picture(self, path):
        """A screenshot as PNG."""
        data = self.ask("Page.captureScreenshot", format="png")["data"]
        Path(path).write_bytes(base64.b64decode(data))

    def close(self):
        self._browser.ask("Target.closeTarget", targetId=self._target)
