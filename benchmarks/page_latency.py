"""How long after a sink an open page shows an event: the same events, told to both by one system.

    python benchmarks/page_latency.py [--events 50]

Events are committed to a real Redis as the alert worker does it; the deliver worker sends them to a webhook, the web
worker to a page in Chromium that notes when each has come to stand in its list. Both times are of this machine's clock.
"""

import argparse
import json
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from playwright.sync_api import sync_playwright

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.redis_servers import RedisServer
from tests.web.dashboards import SITE, dashboard, recorded
from workers import deliver
from xclip_stream.config import ConfigWatch, load_config
from xclip_stream.pipeline.lifecycle import StopFlag
from xclip_stream.pipeline.vitals import Vitals

CHROMIUM = "/usr/bin/chromium"
NOTE_WHAT_IS_SHOWN = """() => {
  window.shown = {};
  const look = () => {
    for (const link of document.querySelectorAll('.ticker a')) {
      window.shown[link.hash.split('/').pop()] ??= performance.timeOrigin + performance.now();
    }
  };
  new MutationObserver(() => requestAnimationFrame(look)).observe(document.querySelector('.ticker'), {childList: true});
}"""


class Webhook:
    """An endpoint that notes when it was told of each event."""

    def __init__(self) -> None:
        self.told_at: dict[str, float] = {}
        webhook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                webhook.told_at.setdefault(body["data"]["event_id"], time.time())
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_arguments: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/"

    @contextmanager
    def serving(self) -> Iterator[None]:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        yield
        self._server.shutdown()
        self._server.server_close()


@contextmanager
def delivering(config_path: Path, redis_url: str) -> Iterator[None]:
    """Let a deliver worker work meanwhile."""
    config, stop = load_config(config_path), StopFlag()
    options = {"stop": stop, "redis_url": redis_url, "watch": ConfigWatch(config_path, config), "vitals": Vitals()}
    worker = threading.Thread(target=deliver.run, args=(config,), kwargs=options)
    worker.start()
    yield
    stop.set()
    worker.join()


def measure(count: int) -> tuple[list[float], list[float]]:
    """Return the milliseconds until the page shows each event, from the sink and from the commit on."""
    webhook = Webhook()
    site = SITE.partition("sinks:\n  -")[0] + f"sinks:\n  - {{id: ops, type: webhook, url: '{webhook.url}'}}\n"
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        server = stack.enter_context(RedisServer("7", "--appendonly", "no"))
        stack.enter_context(webhook.serving())
        served = stack.enter_context(dashboard(server.url, folder, site=site))
        stack.enter_context(delivering(folder / "site.yaml", server.url))
        browser = stack.enter_context(sync_playwright()).chromium.launch(executable_path=CHROMIUM)
        stack.callback(browser.close)
        page = browser.new_page(bypass_csp=True)  # Playwright evaluates what it waits for
        page.goto(served.url)
        page.locator(".ticker").wait_for()
        page.evaluate(NOTE_WHAT_IS_SHOWN)
        after_sink_ms, after_commit_ms = [], []
        for _ in range(count + 1):
            committed_at = time.time()
            (event_id,) = served.judge(recorded([0.1, 0.9]))
            page.wait_for_function(f"window.shown['{event_id}']")
            shown_at = page.evaluate(f"window.shown['{event_id}']") / 1000
            while event_id not in webhook.told_at:
                time.sleep(0.001)
            after_sink_ms.append(1000 * (shown_at - webhook.told_at[event_id]))
            after_commit_ms.append(1000 * (shown_at - committed_at))
        return after_sink_ms[1:], after_commit_ms[1:]  # the first one finds everything cold


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=50)
    count = parser.parse_args().events
    after_sink_ms, after_commit_ms = measure(count)
    print(f"{count} events, milliseconds until an open page shows one")
    print(f"  after the sink:   median {statistics.median(after_sink_ms):6.1f}, worst {max(after_sink_ms):6.1f}")
    print(f"  after the commit: median {statistics.median(after_commit_ms):6.1f}, worst {max(after_commit_ms):6.1f}")


if __name__ == "__main__":
    main()
