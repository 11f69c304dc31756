"""Opens pages in a headless Chromium and keeps what one sees."""

import asyncio
import base64
import itertools
import json
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

SIZE = {"width": 1500, "height": 1100, "deviceScaleFactor": 1, "mobile": False}
MAX_MESSAGE_BYTES = 2**26


def chromium() -> str | None:
    """The program, where there is one."""
    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)


@dataclass(frozen=True)
class Page:
    """What to look at.

    Attributes:
        url: of the page.
        stored: what its origin keeps in the browser before it is opened, by key: a password.
        headers: sent with each request.
        settle_s: for what the page loads by itself.
    """

    url: str
    stored: dict[str, str]
    headers: dict[str, str]
    settle_s: float = 8.0


def take_pictures(pages: dict[Path, Page]) -> None:
    """Open each page and write what one sees as PNG under its name."""
    with _running() as address:
        asyncio.run(_take(address, pages))


@contextmanager
def _running() -> Iterator[str]:
    """A browser with a profile of its own; the address of its first tab."""
    program = chromium()
    assert program, "no chromium: apt-get install chromium"
    with tempfile.TemporaryDirectory() as profile:
        options = ["--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-port=0"]
        process = subprocess.Popen(
            [program, *options, f"--user-data-dir={profile}", "about:blank"],
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            assert process.stderr is not None
            found = (re.search(r"ws://\S+", line) for line in process.stderr)
            yield next(filter(None, found))[0]
        finally:
            process.terminate()
            process.communicate()


async def _take(address: str, pages: dict[Path, Page]) -> None:
    async with connect(address, max_size=MAX_MESSAGE_BYTES) as socket:
        browser = _Browser(socket)
        for path, page in pages.items():
            path.write_bytes(await browser.picture(page))


class _Browser:
    """Speaks the DevTools protocol."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)

    async def picture(self, page: Page) -> bytes:
        target = await self._ask("Target.createTarget", {"url": "about:blank"})
        attached = await self._ask(
            "Target.attachToTarget", {"targetId": target["targetId"], "flatten": True}
        )
        tab = attached["sessionId"]
        await self._ask("Emulation.setDeviceMetricsOverride", SIZE, tab)
        await self._ask("Network.enable", {}, tab)
        await self._ask("Network.setExtraHTTPHeaders", {"headers": page.headers}, tab)
        await self._ask("Page.enable", {}, tab)
        script = "".join(
            f"localStorage.setItem({json.dumps(key)}, {json.dumps(value)});"
            for key, value in page.stored.items()
        )
        await self._ask("Page.addScriptToEvaluateOnNewDocument", {"source": script}, tab)
        await self._ask("Page.navigate", {"url": page.url}, tab)
        await asyncio.sleep(page.settle_s)
        shot = await self._ask("Page.captureScreenshot", {"format": "png"}, tab)
        return base64.b64decode(shot["data"])

    async def _ask(self, method: str, params: dict[str, Any], tab: str | None = None) -> Any:
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": params}
        await self._socket.send(json.dumps(message | ({"sessionId": tab} if tab else {})))
        while True:
            answer = json.loads(await self._socket.recv())
            if answer.get("id") == number:
                assert "result" in answer, answer
                return answer["result"]
