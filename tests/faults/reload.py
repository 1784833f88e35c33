"""The configuration changes again and again under a system at work: rules, prompts, sinks, sources, broken files."""

import json
import statistics
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from tests.faults.editor import Break, Editor, PublicStream
from tests.faults.live_site import ALWAYS, write_clip
from tests.faults.logbook import logged
from tests.faults.passage import Passed, passages
from tests.faults.site import Films, Receiver, oracle, write_site
from tests.faults.storm import Figure, Scale, Storm
from tests.faults.system import ROLES, System, wait_until
from tests.faults.told import Told, compare, jsonl_events, public_events
from tests.redis_servers import RedisServer
from tests.rtsp import Camera, need_server

ACTS_WITHIN_S = 5.0
GIVE_UP_S = 30.0
BEGINS_WITHIN_S, ENDS_WITHIN_S = 180.0, 120.0
CAMERA, LATE, FLEETING = "camera", "film-3", "film-4"
"""Of the films, one is added and stays, and one is added and removed by turns."""
EXTRA, PATIENT = "extra", "patient"
"""The rules that come and go. What is kept for clips is the longer, the longer the most patient rule waits."""
LEFT_ALONE = ("film-0", "film-1", "film-2")
WATCHED = (CAMERA, *LEFT_ALONE)
COMPARED = (*LEFT_ALONE, LATE)
BREAKS: tuple[Break, ...] = (
    lambda text: text[: text.index("rules:") + 3],
    lambda text: text.replace("enter:", "entre:"),
    lambda _text: "",
    lambda _text: None,
)
"""What makes a file wrong: only half of it is there, it has a slip, nothing is in it, or it is gone."""
_QUIET_S = 2.0
"""So long a wrong file stays after all have noticed: nobody shall say it twice, or act on it."""


@dataclass(slots=True)
class Seen:
    """What was measured while the configuration changed."""

    times: dict[str, list[float]] = field(default_factory=dict)
    """For each kind of change, the seconds until it had acted on every source."""
    ended: list[str] = field(default_factory=list)
    """How the open events of films ended when their rule was removed or changed."""
    rejections_amiss: int = 0
    ended_while_wrong: int = 0


class Changes:
    """Does the changes, one kind after the other, and watches them act."""

    def __init__(self, system: System, editor: Editor) -> None:
        self._system = system
        self._editor = editor
        self._public = PublicStream(system.queue)
        self._films = {name: editor.entry("sources", name) for name in (LATE, FLEETING)}
        self.seen = Seen()

    def cycle(self, number: int) -> None:
        """Do one change of each kind; `number` counts from 0."""
        rule = {**ALWAYS, "id": EXTRA, "sources": list(WATCHED), "prompts": [f"a person with the number {number}"]}
        patient = {**rule, "id": PATIENT, "min_duration_s": 3}
        self._act("rules added", "rules", {EXTRA: rule, PATIENT: patient}, "started")
        self._be_wrong(BREAKS[number % len(BREAKS)])
        self._act("prompt changed", "rules", {EXTRA: {**rule, "prompts": [f"letter {number}"]}}, "ended", "started")
        self._change_sources(number)
        self._act("rules removed", "rules", {EXTRA: None, PATIENT: None}, "ended")
        copy = {"id": "copy", "type": "jsonl", "path": "./copy.jsonl"}
        self._change("sinks", {"copy": None if number % 2 else copy})

    def _act(self, kind: str, section: str, entries: Mapping[str, Any], *phases: str) -> None:
        """Make a change and wait until each film that is watched has told these phases of the extra rule.

        The camera, which an overloaded machine may lose for some seconds, has an event open or has not.
        """
        since = len(self._public.look())
        started_at = time.monotonic()
        wanted = self._taken_up() + len(self._system.workers)
        self._editor.change(section, entries)
        wait_until(lambda: all(self._heard(phase, since) for phase in phases), GIVE_UP_S, every_s=0.02)
        took_s = time.monotonic() - started_at
        if not any(map(self._has_ended, LEFT_ALONE)):  # of a film that has ended, nothing is to be heard
            self.seen.times.setdefault(kind, []).append(took_s)
        wait_until(lambda: self._taken_up() >= wanted, GIVE_UP_S)
        ended = [event for event in self._extra("ended", since) if event["source_id"] in LEFT_ALONE]
        self.seen.ended += [event["end_reason"] for event in ended]

    def _change_sources(self, number: int) -> None:
        name = LATE if number == 0 else FLEETING
        if number and number % 2 == 0:
            self._change("sources", {FLEETING: None})
            return
        before, started_at = self._windows(name), time.monotonic()
        self._change("sources", {name: self._films[name]})
        wait_until(lambda: self._windows(name) > before or self._has_ended(name), GIVE_UP_S, every_s=0.02)
        self.seen.times.setdefault("source added", []).append(time.monotonic() - started_at)

    def _change(self, section: str, entries: Mapping[str, Any]) -> None:
        """Make a change and wait until every worker has it."""
        wanted = self._taken_up() + len(self._system.workers)
        self._editor.change(section, entries)
        wait_until(lambda: self._taken_up() >= wanted, GIVE_UP_S)

    def _taken_up(self) -> int:
        return self._system.count_logged("configuration_changed")

    def _be_wrong(self, make_wrong: Break) -> None:
        """Leave a wrong file there for a while: every worker has to say so once, and to go on as before."""
        wanted = self._rejections() + len(self._system.workers)
        since = len(self._public.look())
        with self._editor.broken(make_wrong):
            wait_until(lambda: self._rejections() >= wanted, GIVE_UP_S)
            time.sleep(_QUIET_S)
        self.seen.rejections_amiss += abs(self._rejections() - wanted)
        ended = [event for event in self._public.look()[since:] if event["end_reason"] == "configuration"]
        self.seen.ended_while_wrong += len(ended)

    def _rejections(self) -> int:
        return self._system.count_logged("configuration_rejected")

    def _heard(self, phase: str, since: int) -> bool:
        heard = {event["source_id"] for event in self._extra(phase, since)}
        return all(name in heard or self._has_ended(name) for name in LEFT_ALONE)

    def _extra(self, phase: str, since: int) -> list[dict[str, Any]]:
        events = self._public.look()[since:]
        return [event for event in events if event["rule_id"] == EXTRA and event["phase"] == phase]

    def _windows(self, name: str) -> int:
        status = self._system.queue.rule_statuses().get(name)
        return 0 if status is None else status.windows

    def _has_ended(self, name: str) -> bool:
        return self._system.queue.epoch_ended(name)


def run(scale: Scale) -> Sequence[Figure]:
    need_server()
    films = Films(number=5, seconds=scale.pick(short=60.0, long=900.0, quick=20.0), seed=scale.seed)
    expected = {name: list(map(unnumbered, told)) for name, told in oracle(films).items() if name in COMPARED}
    with ExitStack() as stack:
        server = stack.enter_context(RedisServer("7", "--appendonly", "no"))
        receiver = stack.enter_context(Receiver())
        camera = Camera(write_clip(scale.folder / "clip.mp4"))
        stack.callback(camera.kill)
        camera.start()
        sources = [{"id": CAMERA, "url": camera.url()}]
        site = write_site(films, scale.folder, webhook_url=receiver.url, evidence={}, more_sources=sources)
        editor = Editor(site.config)
        system = System(
            site.config,
            redis_url=server.url,
            workers=dict.fromkeys(ROLES, 1),
            folder=scale.folder / "logs",
        )
        changes = Changes(system, editor)
        editor.change("sources", {LATE: None, FLEETING: None})
        stack.enter_context(system)
        assert wait_until(lambda: system.count_logged("batch_scored") > 0, BEGINS_WITHIN_S), "the work did not begin"
        # While the model was loaded, the camera's first windows may have waited too long.
        lost_before = sum(one.lost for one in passages(server, WATCHED))
        pids = [worker.pid for worker in system.workers]
        cycles = blow(changes, system)
        same = [worker.pid for worker in system.workers if worker.running] == pids
        editor.change("sources", {CAMERA: None, FLEETING: None})
        drained = wait_until(lambda: is_over(system), ENDS_WITHIN_S + films.seconds)
        passed = list(passages(server, [*WATCHED, LATE, FLEETING]))
        public = [unnumbered(one) for one in public_events(system.queue) if is_compared(one)]
        archive = [unnumbered(one) for one in jsonl_events(site.archive) if is_compared(one)]
        return [
            Figure.told("rounds of changes", cycles),
            Figure.told("changes of the file", len(editor.changes)),
            Figure("the same processes at the end", str(same), "True", ok=same),
            Figure.exactly("workers that ended by themselves", len(system.crashes)),
            Figure("all work was done", str(drained), "True", ok=drained),
            *passage_figures(passed, lost_before=lost_before),
            Figure.exactly("sources opened by a change of rules or sinks", opened_for_nothing(system)),
            Figure.exactly("dead letters", system.queue.depths([]).dead),
            *compare(expected, public).figures("rules and films that stayed", once=True),
            *compare(expected, archive).figures("the same in JSONL", once=True),
            *told_figures(changes.seen),
            *time_figures(changes.seen, system, editor),
        ]


def blow(changes: Changes, system: System) -> int:
    """Change until the first films come to their end; return how many rounds that were."""
    number = 0
    while not system.queue.epoch_ended("film-0"):
        changes.cycle(number)
        number += 1
    return number


def is_over(system: System) -> bool:
    """Tell whether all that stayed was read, what was removed is closed, and nothing waits."""
    depths = system.queue.depths(["archive", "ops"])
    waiting = depths.windows + depths.scores + sum(depths.outbox.values())
    ever = {CAMERA, *COMPARED, *system.queue.rule_statuses()}
    return waiting == 0 and all(system.queue.epoch_ended(name) for name in ever)


def is_compared(told: Told) -> bool:
    """Tell whether an event is of a rule and a film that were there all the time, or came to stay."""
    return told.source_id in COMPARED and json.loads(told.body)["data"]["rule_id"] not in {EXTRA, PATIENT}


def unnumbered(told: Told) -> Told:
    """Leave out the number that a message has among all of its source, of which the extra rules take some, and where
    its evidence is."""
    event = json.loads(told.body)
    del event["sequence"]
    for key in ("snapshot_url", "clip_url", "clip_partial"):
        del event["data"][key]
    return replace(told, body=json.dumps(event, sort_keys=True))


def opened_for_nothing(system: System) -> int:
    """Count how often a source was opened that was neither new nor lost before."""
    opened = Counter(entry["source"] for entry in logged(system, "source_opened"))
    lost = Counter(entry["source"] for entry in logged(system, "source_lost"))
    return sum(max(0, opened[name] - lost[name] - 1) for name in (*WATCHED, LATE))


def passage_figures(passed: Sequence[Passed], *, lost_before: int) -> list[Figure]:
    films = [one for one in passed if one.source_id != CAMERA]
    stayed = [one for one in passed if one.source_id != FLEETING]
    return [
        Figure.told("windows and marks produced", sum(one.given for one in passed)),
        Figure.exactly("produced less passed", sum(one.given - one.had for one in passed)),
        Figure.exactly("seqs given up since the first change", sum(one.lost for one in passed) - lost_before),
        Figure.exactly("tombstones of films", sum(one.tombstones for one in films)),
        Figure.exactly("sources begun anew that were left alone", sum(one.epochs - 1 for one in stayed)),
    ]


def told_figures(seen: Seen) -> list[Figure]:
    by_configuration = seen.ended.count("configuration")
    ended_at_least = len(LEFT_ALONE) * sum(len(seen.times[kind]) for kind in ("prompt changed", "rules removed"))
    return [
        Figure.at_least("open events ended by a change", by_configuration, ended_at_least),
        Figure.exactly(
            "open events ended otherwise", len(seen.ended) - by_configuration - seen.ended.count("source_ended")
        ),
        Figure.exactly("workers that were silent or told twice of a wrong file", seen.rejections_amiss),
        Figure.exactly("events ended while the file was wrong", seen.ended_while_wrong),
    ]


def time_figures(seen: Seen, system: System, editor: Editor) -> list[Figure]:
    figures = [_times(f"seconds until it acts: {kind}", times) for kind, times in seen.times.items()]
    figures += [_times(f"seconds until {role} has it", list(_taken_up(system, editor, role))) for role in ROLES]
    return figures


def _taken_up(system: System, editor: Editor, role: str) -> Iterator[float]:
    """Yield for each change of the file the seconds until the worker said that it has it."""
    said = [
        (datetime.fromisoformat(entry["timestamp"]).timestamp(), entry["config_hash"])
        for entry in logged(system, "configuration_changed")
        if entry["worker"] == role
    ]
    for change in editor.changes[1:-1]:
        yield min(
            (at - change.at for at, name in said if name == change.config_hash and at >= change.at), default=GIVE_UP_S
        )


def _times(name: str, times: Sequence[float]) -> Figure:
    middle, worst = statistics.median(times), max(times)
    return Figure(name, f"{middle:.2f}, at most {worst:.2f}", f"≤ {ACTS_WITHIN_S:g}", ok=worst <= ACTS_WITHIN_S)


STORM = Storm(
    name="reload",
    shows="rules, prompts, sinks, sources change under load, and files are wrong: no restart, nothing lost",
    run=run,
)
