"""Who may talk to the dashboard, and who may not."""

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from tests.waiting import wait_until
from tests.web.dashboards import TOKEN, Dashboard

DROP = "/api/dead-letters/1-0/drop"


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8080", "127.0.0.1", "192.168.1.5:8080", "[::1]:8080"])
def test_addresses_and_this_machine_are_known(still: Dashboard, host: str) -> None:
    with still.client(host=host) as client:
        assert client.get("/api/site").status_code == 200


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "cams.example.org", "", "[bad", "::@x"])
def test_a_name_that_nobody_allowed_is_refused(still: Dashboard, host: str) -> None:
    with still.client(host=host) as client:
        response = client.get("/api/site")

    assert response.status_code in {400, 421}
    assert "climbing" not in response.text


def test_a_name_that_was_allowed_is_known(locked: Dashboard) -> None:
    with locked.client(host="cams.example.org") as client:
        assert client.get("/api/site").status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:1"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
    ],
)
def test_another_site_changes_nothing(still: Dashboard, headers: dict[str, str]) -> None:
    with still.client(**headers) as client:
        assert client.post(DROP).status_code == 403


@pytest.mark.parametrize(
    "headers",
    [
        {"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors", "sec-fetch-dest": "image"},
        {"sec-fetch-site": "same-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "iframe"},
        {"origin": "https://evil.example"},
    ],
)
def test_another_site_has_nothing_made(still: Dashboard, headers: dict[str, str]) -> None:
    with still.client(**headers) as client:
        assert client.get("/api/sources/yard/picture").status_code == 403
        assert client.get("/api/timeline/yard").status_code == 403


def test_a_link_on_another_site_leads_here(still: Dashboard) -> None:
    fetch = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}

    with still.client(**fetch) as client:
        assert client.get("/").status_code == 200
        assert client.post(DROP).status_code == 403


def test_a_page_of_its_own_and_a_program_may_act(still: Dashboard) -> None:
    with still.client(origin=still.url, **{"sec-fetch-site": "same-origin"}) as page, still.client() as program:
        assert page.post(DROP).status_code == 404
        assert program.post(DROP).status_code == 404


def test_another_site_cannot_open_a_socket(still: Dashboard) -> None:
    address = still.url.replace("http", "ws") + "/ws/events"

    with pytest.raises(InvalidStatus):
        connect(address, origin="https://evil.example")


def test_every_answer_keeps_the_page_to_itself(still: Dashboard) -> None:
    with still.client() as client:
        for path in ("/", "/api/site", "/static/app.css", "/nowhere"):
            headers = client.get(path).headers
            assert "default-src 'none'" in headers["content-security-policy"], path
            assert "unsafe" not in headers["content-security-policy"], path
            assert headers["x-content-type-options"] == "nosniff", path
            assert "access-control-allow-origin" not in headers, path


def test_without_the_token_nothing_is_told(locked: Dashboard) -> None:
    with locked.client(authorization="Bearer wrong-and-long-enough") as client:
        answers = [client.get(path) for path in ("/", "/api/site", "/events", "/schemas", "/static/app.js")]

    assert {answer.status_code for answer in answers} == {401}
    assert not [answer for answer in answers if "yard" in answer.text]


@pytest.mark.parametrize("path", ["/log%0Ain", "/login%09", "//login", "/login/", "/login;x", "/login%3Fx"])
def test_only_the_login_itself_is_open(locked: Dashboard, path: str) -> None:
    with locked.client(authorization="") as client:
        assert client.get(path).status_code == 401


@pytest.mark.parametrize("host", ["127.0.0.1/login?", "127.0.0.1:8080/login#", "127.0.0.1/static/login.css?"])
def test_a_host_with_a_path_in_it_opens_nothing(locked: Dashboard, host: str) -> None:
    with locked.client(authorization="", host=host) as client:
        assert client.get("/api/site").status_code == 401


def test_a_browser_is_sent_to_the_login(locked: Dashboard) -> None:
    with locked.client(authorization="", accept="text/html") as client:
        answer = client.get("/")

    assert (answer.status_code, answer.headers["location"]) == (303, "/login")


def test_the_login_gives_a_cookie_that_is_not_the_token(locked: Dashboard) -> None:
    with locked.client(authorization="") as browser:
        wrong = browser.post("/login", data={"token": "wrong"})
        assert browser.get("/api/site").status_code == 401
        right = browser.post("/login", data={"token": TOKEN})
        assert browser.get("/api/site").status_code == 200

    assert (wrong.headers["location"], right.headers["location"]) == ("/login?wrong", "/")
    cookie = right.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=lax" in cookie
    assert TOKEN not in cookie


@pytest.mark.parametrize("path", ["/login?next=//evil.example", "/login?wrong&url=https://evil.example"])
def test_the_login_leads_nowhere_else(locked: Dashboard, path: str) -> None:
    with locked.client(authorization="") as browser:
        assert "evil" not in browser.get(path).text
        assert browser.post(path, data={"token": TOKEN}).headers["location"] == "/"


def test_another_site_acts_with_no_cookie_of_ours(locked: Dashboard) -> None:
    with locked.client(authorization="") as browser:
        browser.post("/login", data={"token": TOKEN})
        assert browser.post(DROP, headers={"sec-fetch-site": "same-origin"}).status_code == 404
        assert browser.post(DROP, headers={"origin": "https://evil.example"}).status_code == 403
        assert browser.post("/login", headers={"sec-fetch-site": "cross-site"}).status_code == 403


def test_a_socket_needs_the_token_too(locked: Dashboard) -> None:
    address = locked.url.replace("http", "ws") + "/ws/events"

    with pytest.raises(InvalidStatus):
        connect(address)
    with connect(address, additional_headers={"authorization": f"Bearer {TOKEN}"}) as socket:
        event_id = locked.judge([], source="yard")
        assert event_id == []
        socket.ping().wait(30)


def test_the_token_is_not_in_what_is_shown(locked: Dashboard) -> None:
    assert TOKEN not in locked.get("/api/configuration")["yaml"]
    wait_until(lambda: locked.get("/api/system")["events_unread"] is None)
