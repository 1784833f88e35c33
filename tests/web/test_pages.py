"""The pages in a real Chromium, over the real worker and a real Redis: what a person sees and does."""

import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.conftest import missing_part
from tests.videos import steady, write_video
from tests.web.dashboards import SITE, TOKEN, Dashboard, dashboard, recorded
from xclip_stream.evidence import EvidenceRecord
from xclip_stream.types import Picture

CHROMIUM = Path("/usr/bin/chromium")
QUIET, EVENT = [0.1] * 6, [0.1, 0.9, 0.85, 0.1]
PIXEL = bytes.fromhex(
    "ffd8ffe000104a46494600010100000100010000ffdb004300030202020202030202020303030304060404040404080606050609080a0a09080909"
    "0a0c0f0c0a0b0e0b09090d110d0e0f101011100a0c12131210130f101010ffc9000b080001000101011100ffcc000600101005ffda0008010100"
    "003f00d2cf20ffd9"
)
PAGES = {
    "": ".tile .note",
    "events": ".events a",
    "timeline/yard": ".charts svg",
    "health": "tbody tr",
    "configuration": "textarea",
}
"""Each page, and what shows that it is there."""
NEW_YEAR = 1_767_225_600.0
HOSTILE = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")  # as long as it is open, no other event loop can run in this thread
def browser() -> Iterator[Browser]:
    if not CHROMIUM.exists():
        missing_part("chromium", "apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM))
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page on which nothing may go wrong: no error, and nothing that the policy refuses."""
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    page = context.new_page()
    page.set_default_timeout(30_000)
    troubles: list[str] = []
    page.on("pageerror", lambda error: troubles.append(str(error)))
    page.on("console", lambda said: troubles.append(said.text) if "Security Policy" in said.text else None)
    yield page
    context.close()
    assert troubles == []


def see(page: Page, served: Dashboard, path: str = "") -> None:
    page.goto(f"{served.url}/#/{path}")


def test_an_event_is_on_the_wall_as_soon_as_it_is_told_and_two_clicks_show_it(page: Page, served: Dashboard) -> None:
    served.report("yard")
    see(page, served)
    expect(page.get_by_text("No event yet")).to_be_visible()

    served.judge(recorded(EVENT))
    page.locator(".ticker a").click()

    expect(page.get_by_role("heading", name="climbing critical")).to_be_visible()
    expect(page.get_by_text("0.90 of 0.60 needed")).to_be_visible()
    expect(page.get_by_text("2 waiting")).to_be_visible()
    expect(page.get_by_role("img", name=re.compile("Score of climbing: highest 0.90"))).to_be_visible()
    expect(page.get_by_text("an empty yard").first).to_be_visible()


def test_the_latest_picture_of_a_source_appears(page: Page, served: Dashboard) -> None:
    served.report("yard")
    see(page, served)
    expect(page.get_by_text("Waiting for its picture")).to_be_visible()

    served.queue.put_picture("yard", Picture(time.time(), PIXEL), ttl_s=60)

    expect(page.get_by_role("img", name="Latest picture of yard")).to_be_visible()


def test_a_clip_that_is_not_whole_is_said_to_be_so(page: Page, redis_url: str, tmp_path: Path) -> None:
    folder = tmp_path / "kept" / "yard" / "2026-03-01"
    folder.mkdir(parents=True)
    film = write_video(folder / f"{'a' * 32}.mp4", steady(10, 2))
    site = SITE + "evidence: {dir: kept}\n"
    with dashboard(redis_url, tmp_path, site=site, namespace=uuid4().hex) as kept:
        (event_id,) = kept.judge(recorded(EVENT), clip_url=film.as_uri())
        kept.queue.record_evidence("yard", event_id, EvidenceRecord(clip=True, is_complete=True), ttl_s=600)
        see(page, kept, f"events/{event_id}")
        expect(page.locator(".screen video")).to_be_visible()
        expect(page.get_by_text("not whole")).to_have_count(0)

        record = EvidenceRecord(clip=True, is_complete=True, partial=True)
        kept.queue.record_evidence("yard", event_id, record, ttl_s=600)
        page.reload()
        expect(page.get_by_text("This clip is not whole")).to_be_visible()


def test_the_picture_of_an_open_event_appears_as_soon_as_it_is_there(
    page: Page, redis_url: str, tmp_path: Path
) -> None:
    with dashboard(redis_url, tmp_path, site=SITE + "evidence: {dir: kept}\n", namespace=uuid4().hex) as kept:
        (event_id,) = kept.judge(recorded([0.1, 0.9], begin=NEW_YEAR))
        see(page, kept, f"events/{event_id}")
        expect(page.get_by_text("No recording")).to_be_visible()

        picture = tmp_path / "kept" / "yard" / "2026-01-01" / f"{event_id}.jpg"
        picture.parent.mkdir(parents=True)
        picture.write_bytes(PIXEL)
        kept.queue.record_evidence("yard", event_id, EvidenceRecord(snapshot=True), ttl_s=600)

        expect(page.get_by_role("img", name="Snapshot of climbing at yard")).to_be_visible()


def test_the_list_shows_the_picture_of_each_event(page: Page, redis_url: str, tmp_path: Path) -> None:
    picture = tmp_path / "kept" / "yard" / "2026-01-01" / f"{'a' * 32}.jpg"
    picture.parent.mkdir(parents=True)
    picture.write_bytes(PIXEL)
    with dashboard(redis_url, tmp_path, site=SITE + "evidence: {dir: kept}\n", namespace=uuid4().hex) as kept:
        kept.judge(recorded(EVENT), snapshot_url=picture.as_uri())
        see(page, kept, "events")
        expect(page.locator(".events img")).to_be_visible()
        loaded = page.locator(".events img").evaluate("image => image.decode().then(() => image.naturalWidth)")

    assert loaded == 1


def test_the_list_has_filters_that_stand_in_the_address(page: Page, served: Dashboard) -> None:
    served.judge(recorded(EVENT))
    see(page, served, "events")
    expect(page.locator(".events a")).to_have_count(1)

    page.get_by_label("Severity").select_option("info")
    expect(page.get_by_text("No event fits")).to_be_visible()
    page.reload()
    expect(page.get_by_text("No event fits")).to_be_visible()

    page.get_by_label("Severity").select_option("critical")
    expect(page.locator(".events a")).to_have_count(1)


def test_an_event_of_another_year_says_so(page: Page, served: Dashboard) -> None:
    served.judge(recorded(EVENT, begin=NEW_YEAR - 400 * 86_400))
    see(page, served, "events")
    expect(page.locator(".events time")).to_contain_text("2024")


def test_times_of_a_recording_without_a_date_are_places_in_it(page: Page, served: Dashboard) -> None:
    (event_id,) = served.judge(recorded(QUIET + EVENT, begin=60.0))
    see(page, served, "events")
    expect(page.locator(".events time")).to_have_text("1:07")

    see(page, served, f"events/{event_id}")
    expect(page.locator(".event header p")).to_contain_text("yard · 1:07 · committed")
    expect(page.locator(".event .chart .tick").last).to_have_text(re.compile(r"1:\d\d"))
    see(page, served, "timeline/yard")
    expect(page.locator(".charts .tick").last).to_have_text(re.compile(r"1:\d\d"))
    page.locator(".charts svg").first.hover()
    expect(page.locator(".readout")).to_have_text(re.compile(r"1:\d\d"))


@pytest.mark.parametrize("width", [360, 1280])
def test_every_time_under_a_chart_can_be_read(page: Page, served: Dashboard, width: int) -> None:
    served.judge(recorded([0.1] * 121, begin=NEW_YEAR))
    page.set_viewport_size({"width": width, "height": 740})
    see(page, served, "timeline/yard")
    expect(page.locator(".chart").first).to_be_visible()

    beyond = page.evaluate(
        """Math.max(...[...document.querySelectorAll('.chart .tick')].map(
            tick => tick.getBoundingClientRect().right - tick.closest('svg').getBoundingClientRect().right))"""
    )
    assert beyond <= 0


def test_long_prompts_make_no_timeline_wider_than_a_phone(page: Page, served: Dashboard) -> None:
    served.judge(recorded(EVENT))
    page.set_viewport_size({"width": 360, "height": 740})
    see(page, served, "timeline/yard")
    expect(page.locator(".chart").first).to_be_visible()

    page.evaluate(
        "document.querySelectorAll('figcaption .quiet').forEach(prompts => prompts.append(' or falls'.repeat(20)))"
    )

    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0


def test_a_timeline_is_zoomed_by_keyboard(page: Page, served: Dashboard) -> None:
    served.judge(recorded(QUIET * 20 + EVENT + QUIET * 20))
    see(page, served, "timeline/yard")
    chart = page.get_by_role("img", name=re.compile("climbing: highest 0.90"))
    expect(chart).to_be_visible()

    page.locator(".charts").focus()
    for key in (
        "+",
        "+",
        "+",
        "Home",
        "+",
        "+",
        "+",
        "ArrowRight",
        "ArrowRight",
        "ArrowRight",
        "ArrowRight",
        "ArrowRight",
    ):
        page.keyboard.press(key)

    expect(page.get_by_role("img", name=re.compile("climbing: highest 0.10"))).to_be_visible()
    page.get_by_role("button", name="Show all").click()
    expect(chart).to_be_visible()


def test_a_dead_letter_is_replayed_and_one_is_dropped_after_a_second_thought(page: Page, served: Dashboard) -> None:
    served.judge(recorded(EVENT))
    assert served.queue.acquire_sink("ops", ttl_s=60) is not None
    for message in served.queue.take_messages("ops", max_count=2, block_s=0):
        served.queue.bury_message("ops", message, reason=f"refused {HOSTILE}")
    see(page, served, "health")
    letters = page.get_by_role("region", name="Dead letters").locator("tbody tr")
    expect(letters).to_have_count(2)
    expect(letters.first).to_contain_text(HOSTILE)

    letters.first.get_by_role("button", name="Replay").click()
    expect(letters).to_have_count(1)
    letters.first.get_by_role("button", name="Drop").click()
    letters.first.get_by_role("button", name="Really drop").click()

    expect(page.get_by_text("No dead letters")).to_be_visible()
    assert len(served.queue.waiting_messages("ops", max_count=9)) == 1


def test_dead_letters_are_replayed_together_in_their_order_after_a_second_thought(
    page: Page, served: Dashboard
) -> None:
    served.judge(recorded(EVENT * 3))
    assert served.queue.acquire_sink("ops", ttl_s=60) is not None
    messages = served.queue.take_messages("ops", max_count=6, block_s=0)
    for message in messages:
        served.queue.bury_message("ops", message, reason="refused")
    see(page, served, "health")

    page.get_by_role("button", name="Replay all 6", exact=True).click()
    assert len(served.queue.list_dead(max_count=9)) == 6
    page.get_by_role("button", name="Really replay all 6").click()

    expect(page.get_by_text("No dead letters")).to_be_visible()
    assert served.queue.waiting_messages("ops", max_count=9) == [each.message.message_id for each in messages]


def test_a_replay_that_is_refused_says_why(page: Page, served: Dashboard) -> None:
    served.judge(recorded(EVENT))
    assert served.queue.acquire_sink("ops", ttl_s=60) is not None
    for message in served.queue.take_messages("ops", max_count=2, block_s=0):
        served.queue.bury_message("ops", message, reason="refused")
    see(page, served, "health")
    page.get_by_role("button", name="Replay all 2", exact=True).click()
    gone, _ = served.queue.list_dead(max_count=9)
    assert served.queue.drop_dead(gone.id)

    page.get_by_role("button", name="Really replay all 2").click()

    expect(page.get_by_text(f"there is no dead letter {gone.id}")).to_be_visible()
    expect(page.get_by_role("region", name="Dead letters").locator("tbody tr")).to_have_count(1)


def test_a_dead_letter_with_a_long_reason_can_be_replayed_without_scrolling(page: Page, served: Dashboard) -> None:
    served.judge(recorded(EVENT))
    assert served.queue.acquire_sink("ops", ttl_s=60) is not None
    (message,) = served.queue.take_messages("ops", max_count=1, block_s=0)
    served.queue.bury_message("ops", message, reason="cannot connect to the endpoint " * 8)
    page.set_viewport_size({"width": 1280, "height": 1000})  # all that stands above it may be there or not yet
    see(page, served, "health")

    expect(page.get_by_role("button", name="Replay")).to_be_in_viewport(ratio=1)


def test_an_edited_copy_is_tried_and_its_mistakes_lead_to_their_lines(page: Page, served: Dashboard) -> None:
    served.judge(recorded(EVENT))
    see(page, served, "configuration")
    copy = page.get_by_label("Copy of the configuration")
    expect(copy).to_have_value(re.compile("enter: 0.6"))
    text = copy.input_value()

    copy.fill(text.replace("enter: 0.6", "enter: 0.95"))
    copy.press("Control+Enter")
    expect(page.locator(".verdict")).to_have_text("1 event by the rules in force, 0 by this copy.")

    copy.fill(text.replace("enter: 0.6", "entre: 0.6"))
    page.get_by_role("button", name="Check and try").click()
    page.locator(".mistakes button").first.click()
    assert page.evaluate(
        "document.activeElement.value.slice(document.activeElement.selectionStart).startsWith('entre')"
    )


def test_a_lost_connection_is_told_and_over_when_it_is_back(page: Page, served: Dashboard) -> None:
    served.report("yard")
    see(page, served)
    expect(page.locator(".tile").first).to_be_visible()
    page.route("**/api/system", lambda route: route.abort())
    expect(page.get_by_role("alert")).to_have_text("Connection lost, retrying…")

    page.unroute("**/api/system")
    expect(page.get_by_role("alert")).to_be_hidden()


def test_it_works_by_keyboard_alone(page: Page, served: Dashboard) -> None:
    see(page, served)
    expect(page.locator(".tile").first).to_be_visible()
    page.keyboard.press("Tab")
    expect(page.get_by_text("Skip to content")).to_be_focused()
    for _ in range(3):
        page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Events", exact=True)).to_be_focused()
    page.keyboard.press("Enter")

    expect(page.get_by_role("heading", name="Events")).to_be_visible()
    expect(page.locator("#main")).to_be_focused()


def test_somebody_logs_in_with_the_token_and_is_told_when_it_is_another(page: Page, locked: Dashboard) -> None:
    page.set_viewport_size({"width": 360, "height": 740})
    page.goto(locked.url)
    expect(page.get_by_text("That is not the token")).to_be_hidden()
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    page.get_by_label("Token").fill("another-token-that-is-long-enough")
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_text("That is not the token")).to_be_visible()

    page.get_by_label("Token").fill(TOKEN)
    page.get_by_role("button", name="Log in").click()

    expect(page.locator(".tile").first).to_be_visible()


def test_a_link_in_a_mail_leads_to_its_event_through_the_login_and_later_without_it(
    page: Page, locked: Dashboard
) -> None:
    (event_id,) = locked.judge(recorded(EVENT))
    mail = f'<a href="{locked.url}/#/events/{event_id}">Look at it</a>'
    page.route("http://mail.example/", lambda route: route.fulfill(content_type="text/html", body=mail))
    page.goto("http://mail.example/")
    page.get_by_text("Look at it").click()
    page.get_by_label("Token").fill("another-token-that-is-long-enough")
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_text("That is not the token")).to_be_visible()

    page.get_by_label("Token").fill(TOKEN)
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("heading", name="climbing critical")).to_be_visible()

    page.goto("http://mail.example/")
    page.get_by_text("Look at it").click()
    expect(page.get_by_role("heading", name="climbing critical")).to_be_visible()


def test_who_is_logged_out_comes_back_to_the_same_page(page: Page, locked: Dashboard) -> None:
    page.goto(locked.url)
    page.get_by_label("Token").fill(TOKEN)
    page.get_by_role("button", name="Log in").click()
    page.get_by_role("link", name="Health").click()
    expect(page.get_by_role("heading", name="Health")).to_be_visible()
    page.context.clear_cookies()

    page.get_by_label("Token").fill(TOKEN)
    page.get_by_role("button", name="Log in").click()

    expect(page.get_by_role("heading", name="Health")).to_be_visible()


def test_another_site_cannot_act_for_who_is_logged_in(page: Page, locked: Dashboard) -> None:
    page.goto(locked.url)
    page.get_by_label("Token").fill(TOKEN)
    page.get_by_role("button", name="Log in").click()
    expect(page.locator(".tile").first).to_be_visible()
    form = f'<form method="post" action="{locked.url}/api/dead-letters/1-0/drop"><button>Win</button></form>'
    page.route("http://evil.example/", lambda route: route.fulfill(content_type="text/html", body=form))
    page.goto("http://evil.example/")

    page.get_by_role("button", name="Win").click()

    expect(page.get_by_text("only pages of this dashboard may do that")).to_be_visible()


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("events?state=weird", "state must be one of open, ended"),
        ("events?since=yesterday", "'yesterday' is no time with its zone"),
        ("events?since=2026-01-02T00:00&until=2026-01-01T00:00", "until must not be before since"),
        ("events/%E0%A4%A", "This event cannot be shown"),
        ("timeline/yard?hours=-3", "hours must be from 0.01 to 744"),
    ],
)
def test_an_address_that_asks_for_the_impossible_says_so(page: Page, served: Dashboard, path: str, told: str) -> None:
    served.judge(recorded(EVENT))
    see(page, served, path)

    expect(page.get_by_text(told)).to_be_visible()
    expect(page.locator(".events a")).to_have_count(0)


def test_the_longest_names_make_no_page_wider_than_a_phone(page: Page, redis_url: str, tmp_path: Path) -> None:
    source, rule, sink = "W" * 64, "w" * 64, "s" * 64
    site = SITE.replace("id: yard,", f"id: {source},").replace("[yard]", f"[{source}]")
    site = site.replace("id: climbing", f"id: {rule}").replace("ops", sink)
    with dashboard(redis_url, tmp_path, site=site, namespace=uuid4().hex) as served:
        (event_id,) = served.judge(recorded(EVENT, source=source), source=source)
        served.report(source, error="E" * 300, state="failed")
        page.set_viewport_size({"width": 390, "height": 844})
        found: dict[str, int] = {}
        contents = {**PAGES, f"timeline/{source}": ".charts svg", f"events/{event_id}": ".event .chart"}
        del contents["timeline/yard"]
        for path, content in contents.items():
            see(page, served, path)
            expect(page.locator(content).first).to_be_visible()
            found[path] = page.evaluate("document.documentElement.scrollWidth - innerWidth")
        see(page, served, "events")
        rule_box, source_box = (page.locator(f".events {part}").bounding_box() for part in (".what", ".where"))

    assert rule_box is not None
    assert source_box is not None
    assert rule_box["x"] + rule_box["width"] <= source_box["x"]
    assert {path: width for path, width in found.items() if width > 0} == {}


def test_the_name_of_a_camera_stays_in_one_piece_on_a_full_wall(page: Page, redis_url: str, tmp_path: Path) -> None:
    cameras = "".join(f'  - {{id: cam-{number:02}, url: "rtsp://10.0.0.5/{number}"}}\n' for number in range(16))
    site = SITE.replace("sources:\n", f"sources:\n{cameras}")
    with dashboard(redis_url, tmp_path, site=site, namespace=uuid4().hex) as served:
        for number in range(16):
            served.report(f"cam-{number:02}", dropped=12345, window_step=4)
        see(page, served)
        expect(page.locator(".tile .word").first).to_have_text("running")
        heights = page.locator(".tile .foot strong").evaluate_all("all => all.map((each) => each.offsetHeight)")

    assert len(heights) == 18
    assert len(set(heights)) == 1


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_page_is_accessible_and_fits_from_phone_to_wall(browser: Browser, served: Dashboard, scheme: Any) -> None:
    (event_id,) = served.judge(recorded(EVENT))
    served.report("yard", error="cannot open it", state="failed")
    with browser.new_context(viewport={"width": 360, "height": 740}, color_scheme=scheme) as context:
        page = context.new_page()
        found: dict[str, Any] = {}
        for path, content in {**PAGES, f"events/{event_id}": ".event .chart"}.items():
            see(page, served, path)
            expect(page.locator(content).first).to_be_visible()
            for violation in Axe().run(page).response["violations"]:
                found[f"{path}: {violation['id']}"] = [node["html"] for node in violation["nodes"]]
            for width in (360, 3840):
                page.set_viewport_size({"width": width, "height": 740})
                too_wide = page.evaluate("document.documentElement.scrollWidth - innerWidth")
                assert too_wide <= 0, f"{path} at {width} px"

    assert found == {}
