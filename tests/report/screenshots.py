"""Pictures of the demo's reports for the documentation: ``make demo``, then ``make screenshots``.

``PYTHONPATH=tests python -m report.screenshots demo-output docs/images``
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from pathlib import Path

from report.browser import Browser, missing, open_browser

# So that a page of documentation stays light.
MOST_BYTES = 200_000


@dataclass(frozen=True)
class Picture:
    """What to show: a page of the demo, and how."""

    name: str
    page: str
    width: int = 1100
    height: int = 820
    scheme: str = "light"
    scroll_to: str = ""


PICTURES = (
    Picture("report-data-quality", "reports/july"),
    Picture("report-model-quality", "reports/april-model"),
    Picture("report-bias", "reports/april-bias"),
    Picture("report-feature-attribution", "reports/july-attribution"),
    Picture("report-features", "reports/july", scroll_to="#part-1", height=640),
    Picture("report-phone", "reports/july", width=390, scheme="dark"),
)


def take(browser: Browser, picture: Picture, demo: Path) -> bytes:
    """Return one picture, PNG."""
    browser.prefer(picture.scheme)
    browser.resize(picture.width, picture.height)
    browser.open(demo / picture.page / "report.html")
    if picture.scroll_to:
        browser.run("document.documentElement.style.scrollBehavior = 'auto'")
        browser.run("document.querySelector(arguments[0]).scrollIntoView()", picture.scroll_to)
    time.sleep(0.5)  # charts are drawn as they come into view
    return browser.screenshot()


def main(demo: Path, images: Path) -> None:
    """Write every picture."""
    if reason := missing():
        raise SystemExit(f"screenshots: {reason}")
    images.mkdir(parents=True, exist_ok=True)
    with open_browser() as browser:
        for picture in PICTURES:
            content = take(browser, picture, demo)
            if len(content) > MOST_BYTES:
                raise SystemExit(f"screenshots: {picture.name} has {len(content):,} bytes; show less")
            (images / f"{picture.name}.png").write_bytes(content)
            print(f"{picture.name}.png  {len(content) / 1e3:.0f} kB")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
