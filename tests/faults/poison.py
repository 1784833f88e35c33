"""Windows that kill the scorer, or that it cannot score, among many good ones."""

import re
import signal
import sys
from collections.abc import Sequence

from tests.command_line import run as program
from tests.faults.site import SINKS, Films, Receiver, Site, oracle, write_site
from tests.faults.storm import Figure, Scale, Storm
from tests.faults.system import System, wait_until
from tests.faults.told import compare, jsonl_events, public_events
from tests.redis_servers import RedisServer
from workers.main import REDIS_URL_VARIABLE
from xclip_stream.types import DeadLetter

BROKEN = "tests.faults.broken_score_worker"
MAX_DELIVERIES = 3
CLAIM_IDLE_S = 2
WHITE = 2


def run(scale: Scale) -> Sequence[Figure]:
    films = Films(
        number=scale.pick(short=3, long=6),
        seconds=scale.pick(short=20.0, long=60.0),
        seed=scale.seed,
        white_windows=WHITE,
    )
    return [
        *poisoned(
            scale, films, "kills", ("crash", "be-killed", "crash"), rf"not scored in {MAX_DELIVERIES} deliveries: .*"
        ),
        *poisoned(scale, films, "raises", ("fail", "fail"), r"the model failed: The size of tensor a .*"),
    ]


def poisoned(scale: Scale, films: Films, kind: str, faults: Sequence[str], reason: str) -> list[Figure]:
    """Let scorers fail with each white window, then mend them and replay the dead letters."""
    expected = oracle(films)
    folder = scale.folder / kind
    with RedisServer("7", "--appendonly", "no") as server, Receiver() as receiver:
        queue = {"claim_idle_s": CLAIM_IDLE_S, "max_deliveries": MAX_DELIVERIES}
        site = write_site(films, folder, webhook_url=receiver.url, realtime=False, queue=queue)
        workers = {"ingest": 1, "alert": 1, "deliver": 1}
        with System(site.config, redis_url=server.url, workers=workers, folder=folder / "logs") as system:
            for fault in faults:
                system.add("score", BROKEN, "--fault", fault, "--on-poison", "--slow-s", "0.02")
            drained = system.wait_until_drained(300)
            letters = system.queue.list_dead(max_count=1000)
            told, crashes = public_events(system.queue), len(system.crashes)
            replayed = _replay(system, site, redis_url=server.url)
            late = public_events(system.queue)
        archive = compare(expected, jsonl_events(site.archive))
    figures = [
        Figure("all good windows were scored, all events delivered", "yes" if drained else "no", "yes", ok=drained),
        Figure.told("ends of scorers", crashes),
        *_letters(letters, films, reason),
        *compare(expected, told).figures("public stream", once=True),
        *archive.figures("JSONL", once=True),
        Figure("after the fix: replayed and scored", "yes" if replayed else "no", "yes", ok=replayed),
        Figure.exactly("after the fix: events of what came too late", len(late) - len(told)),
    ]
    return [Figure(f"{kind}: {each.name}", each.value, each.bound, each.ok) for each in figures]


def _letters(letters: Sequence[DeadLetter], films: Films, reason: str) -> list[Figure]:
    per_source = sorted(letter.subject.split("/")[0] for letter in letters)
    wrong = [letter.reason for letter in letters if not re.fullmatch(reason, letter.reason)]
    return [
        Figure.exactly("dead letters", len(letters), films.number * WHITE),
        Figure("of each film", ", ".join(per_source), "", ok=per_source == sorted(films.ids * WHITE)),
        Figure.at_most("most deliveries of one", max((each.deliveries for each in letters), default=0), MAX_DELIVERIES),
        Figure("other reasons", ", ".join(wrong) or "none", "none", ok=not wrong),
    ]


def _replay(system: System, site: Site, *, redis_url: str) -> bool:
    """Put the real scorers in the place of the broken ones, and the dead letters back into the queue."""
    redis = {REDIS_URL_VARIABLE: redis_url}
    for worker in system.of("score"):
        worker.command = (sys.executable, "-m", "workers.score")
        worker.signal(signal.SIGKILL)
    done = program("dead-letters", "replay", "--all", "--config", str(site.config), home=site.config.parent, **redis)
    if done.returncode != 0:
        return False
    return wait_until(lambda: system.is_drained() and system.queue.depths(SINKS).dead == 0, 60)


STORM = Storm(
    name="poison",
    shows="windows that kill the scorer or cannot be scored: dead letters with their reason; all others go on",
    run=run,
)
