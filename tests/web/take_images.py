"""Takes the images of the dashboard in docs/images anew, from one that runs: `python -m tests.web.take_images URL`.

It should watch three cameras for some minutes, with evidence: scenes of the demo with three seeds, played by
`xclip_stream/demo/rtsp_server.py`, under the rules of configs/demo.yaml. The first image waits for events in progress.
"""

import re
import sys
from io import BytesIO
from pathlib import Path
from typing import Literal

from PIL import Image
from playwright.sync_api import Browser, Page, ViewportSize, sync_playwright

IMAGES = Path(__file__).resolve().parents[2] / "docs" / "images"
WIDE, PHONE, GAP = (1440, 900), (390, 844), 24
LONG_MS = 300_000.0
SEEN = """[...document.querySelectorAll("main img")].filter((each) => each.getBoundingClientRect().top < innerHeight)
    .every((each) => each.naturalWidth)"""
IN_PROGRESS = ".tile:has(.label:not([hidden])):has(.meter[data-over=true])"
PLAYING = "seconds => document.querySelector('video')?.currentTime > seconds"


def take_all(browser: Browser, url: str) -> None:
    page = opened(browser, url, "", (1440, 520), scheme="dark")
    page.locator(IN_PROGRESS).nth(1).wait_for()
    save(page, "live")

    page = opened(browser, url, "events?state=ended", WIDE)
    href = page.locator(".events a:has(img)", has_text="climb").nth(1).get_attribute("href")
    event = f"{href}".removeprefix("#/")
    save(opened(browser, url, "events", WIDE), "events")
    page = opened(browser, url, event, (1440, 1040))
    page.wait_for_function(PLAYING, arg=3.5)
    page.locator("video").hover()  # shows its controls
    page.wait_for_function(PLAYING, arg=4.5)
    save(page, "event")
    phones = [opened(browser, url, path, PHONE) for path in ("", event)]
    phones[0].locator(IN_PROGRESS).first.wait_for()
    phones[1].wait_for_function(PLAYING, arg=4.5)
    save_beside(phones, "phone")

    save(opened(browser, url, "timeline/gate?hours=0.25", WIDE), "timeline")
    save(opened(browser, url, "health", WIDE), "health")

    page = opened(browser, url, "configuration", WIDE)
    copy = page.get_by_label("Copy of the configuration")
    edited = re.sub(r"min_duration_s: 0\.0", "min_duration_s: 7.0", copy.input_value(), count=1)
    copy.fill(re.sub(r"enter: 0\.6\b", "enter: 0.97", edited, count=1))
    copy.evaluate("copy => copy.scrollTo(0, 0)")
    page.get_by_role("button", name="Check and try").click()
    page.locator(".verdict").wait_for()
    save(page, "configuration")


def opened(
    browser: Browser, url: str, path: str, size: tuple[int, int], *, scheme: Literal["light", "dark"] = "light"
) -> Page:
    """Return a page of the dashboard as soon as all of it is there."""
    viewport: ViewportSize = {"width": size[0], "height": size[1]}
    page = browser.new_page(viewport=viewport, color_scheme=scheme, bypass_csp=True)  # it lets no test wait for JS
    page.set_default_timeout(LONG_MS)
    page.goto(f"{url}#/{path}", wait_until="load")
    page.locator(".pill[data-tone=ok]").wait_for()
    page.locator(".tile img:visible, .events img, .event .chart, .charts svg, tbody tr, textarea").first.wait_for()
    page.wait_for_function(SEEN)
    return page


def save(page: Page, name: str) -> None:
    save_beside([page], name)


def save_beside(pages: list[Page], name: str) -> None:
    """Save what pages show beside each other, in 256 colours."""
    shown = [Image.open(BytesIO(page.screenshot())).convert("RGB") for page in pages]
    width = sum(each.width for each in shown) + GAP * (len(shown) - 1)
    whole = Image.new("RGB", (width, shown[0].height), "white")
    for number, each in enumerate(shown):
        whole.paste(each, (number * (each.width + GAP), 0))
    few = whole.quantize(kmeans=2, dither=Image.Dither.NONE)
    few.save(IMAGES / f"{name}.png", optimize=True)
    for page in pages:
        page.close()


if __name__ == "__main__":
    with sync_playwright() as playwright:
        take_all(playwright.chromium.launch(executable_path="/usr/bin/chromium"), sys.argv[1])
