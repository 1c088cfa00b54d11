"""The picture and the film of the README.

    python -m tools.docs.film FOLDER --start 2.5     # docs/page.webp: ten seconds of a recorded run
    python -m tools.docs.film --link LINK            # docs/page.png: the page of a running demo

FOLDER is a recording of a loop, LINK what `wam demo` prints. Of a recording every picture is taken
when it is drawn, so that the film is as smooth on a slow machine. Needs Chromium.
"""

from __future__ import annotations

import argparse
import base64
import io
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from testing.chromium import Chromium
from testing.peers import free_port
from tools.docs.pages import DOCS
from wam_ros.core.errors import WamError
from wam_ros.runs.films import Film
from wam_ros.runs.view import View, serve

RATE_HZ = 8.0
WIDTH, HEIGHT = 1180, 700  # px of the page in the film
SMALL = 0.65  # of that
WHOLE = 1400, 860  # px of the picture
AHEAD = 600  # of 1000: where the slider over the next seconds stands
DRAWN = "document.body.dataset.connected && wam.space && wam.frames?.moment"
# two frames of the browser: one draws what was asked for, the other has drawn it
TWO = "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
SLIDE = (
    "(() => { const s = document.getElementById('ahead'); s.value = %d;"
    " s.dispatchEvent(new Event('input')); })()"
)


def main() -> None:
    """Write one of the two."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--start", type=float, default=0.0)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--link", default="")
    args = parser.parse_args()
    if bool(args.folder) == bool(args.link):
        raise WamError("name a folder or a --link")
    browser = Chromium()
    try:
        if args.link:
            picture(browser, args.link)
        else:
            film(browser, View(args.folder, args.start, args.seconds, port=free_port()))
    finally:
        browser.close()


def picture(browser: Chromium, link: str) -> None:
    """The page of a running loop, once it has imagined something and moves."""
    tab = browser.tab(link, width=WHOLE[0], height=WHOLE[1])
    tab.until(DRAWN, 60)
    tab.evaluate("wam.space.ready")
    tab.evaluate(SLIDE % AHEAD)
    tab.until("wam.timeline.samples.length > 150", 240)
    tab.until(
        "wam.space.ghost.root.visible"
        " && wam.timeline.samples.slice(-15).every((s) => s.safety === 'armed')",
        120,
    )
    tab.evaluate("wam.frames.draw()")
    tab.evaluate(TWO)
    tab.picture(DOCS / "page.png")


def film(browser: Chromium, view: View) -> None:
    """Some seconds of a recording, played."""
    server, access = serve(view)
    made = Film(str(DOCS / "page.webp"), RATE_HZ)
    try:
        tab = browser.tab(access.address, width=WIDTH, height=HEIGHT)
        tab.until(DRAWN)
        tab.evaluate("wam.space.ready")
        tab.evaluate("(wam.player.playing && wam.player.toggle(), 0)")
        tab.evaluate(SLIDE % AHEAD)
        begin = tab.evaluate("wam.timeline.samples[0].t")
        for k in range(round(view.seconds * RATE_HZ)):
            tab.evaluate(f"(wam.player.seek({begin} + {k / RATE_HZ}), 0)")
            tab.until("wam.frames.moment.n === wam.timeline.place.n")
            tab.evaluate(TWO)
            made.add(_taken(tab))
        made.close()
    finally:
        server.close()


def _taken(tab: Any) -> np.ndarray:
    data = tab.ask("Page.captureScreenshot", format="png")["data"]
    taken = Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB")
    size = round(taken.width * SMALL), round(taken.height * SMALL)
    return np.asarray(taken.resize(size, Image.Resampling.LANCZOS))


if __name__ == "__main__":
    main()
