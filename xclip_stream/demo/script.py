"""Who does what: every activity as a cast of actors with tracks, and the true event it makes."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from xclip_stream.demo.actors import Actor, Car, Dog, Person, Step, Suitcase, distinct_colour, random_look, random_style
from xclip_stream.demo.places import WIDTH, Place, random_colour

ACTIONS = ("fall", "climb", "fight", "wave", "run", "cycle", "bag")
ORDINARY = ("walk", "stand", "car", "animal", "trees", "empty")
ACTIVITIES = ACTIONS + ORDINARY

REPORTED = tuple(action for action in ACTIONS if action != "wave")
"""The actions of recordings and of the demo. The model is taught waving too, but it misses some of it and sees some
where there is none, and an alarm must be right."""


@dataclass(frozen=True, slots=True)
class TruthEvent:
    """One action that really happens, in seconds of the recording."""

    action: str
    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class World:
    """The ranges a world is drawn from: standing heights in pixels, light, sensor noise, picture sharpness, and for how
    many seconds people stay at what they do."""

    height_px: tuple[float, float] = (84.0, 108.0)
    gain: tuple[float, float] = (0.72, 1.12)
    tint: float = 0.06
    noise: tuple[float, float] = (1.0, 5.0)
    blur: float = 0.15
    stay_s: tuple[float, float] = (5.0, 12.0)


USUAL = World()
CLEAR = World(height_px=(90.0, 108.0), gain=(0.85, 1.1), tint=0.04, noise=(1.0, 3.0), blur=0.0, stay_s=(8.0, 12.0))
SHIFTED = World(height_px=(54.0, 72.0), gain=(0.34, 0.58), tint=0.14, noise=(6.0, 11.0), blur=0.6)


@dataclass(frozen=True, slots=True)
class Stage:
    """Where a cast plays: the generator all its choices come from, the place and the world."""

    rng: np.random.Generator
    place: Place
    world: World


@dataclass(frozen=True, slots=True)
class Segment:
    """One played activity: its actors, its true event if it is an action, and when the stage is free again."""

    activity: str
    actors: tuple[Actor, ...]
    truth: TruthEvent | None
    end_s: float


def _height(stage: Stage) -> float:
    return float(stage.rng.uniform(*stage.world.height_px))


def _person(stage: Stage, track: list[Step], *, height_px: float, ground_y: float) -> Person:
    return Person(
        height_px=height_px,
        ground_y=ground_y,
        look=random_look(stage.rng, stage.place.tones),
        style=random_style(stage.rng),
        track=tuple(track),
        bicycle=random_colour(stage.rng, 20, 200),
    )


def _ground(stage: Stage, low: float = 142.0, high: float = 174.0) -> float:
    return float(stage.rng.uniform(low, high))


def _edge(side: int, margin: float = 30.0) -> float:
    return -margin if side < 0 else WIDTH + margin


def _side(stage: Stage) -> int:
    return 1 if stage.rng.random() < 0.5 else -1


def _go(doing: str, start_s: float, x_from: float, x_to: float, speed: float) -> Step:
    took = abs(x_to - x_from) / speed
    return Step(start_s, start_s + max(0.05, took), doing, x_from, x_to, 1 if x_to >= x_from else -1)


def _to_and_fro(stage: Stage, doing: str, start_s: float, length_s: float, speed: float) -> list[Step]:
    """In at one edge, to and fro for about `length_s`, out at the edge then faced."""
    side = _side(stage)
    x, t, track = _edge(side), start_s, list[Step]()
    while True:
        side = -side
        target = WIDTH / 2 + side * float(stage.rng.uniform(80, 130))
        leaves = t + abs(target - x) / speed >= start_s + length_s
        step = _go(doing, t, x, _edge(side) if leaves else target, speed)
        track.append(step)
        x, t = step.x_to, step.end_s
        if leaves:
            return track


def _visit(stage: Stage, doing: str, start_s: float, length_s: float, *, x: float, height_px: float) -> list[Step]:
    """Walk in, do it at `x` for `length_s`, walk out; the middle step is the activity."""
    speed = height_px * float(stage.rng.uniform(0.55, 0.8))
    come = _go("walk", start_s, _edge(_side(stage)), x, speed)
    stay = Step(come.end_s, come.end_s + length_s, doing, x, x, _side(stage))
    leave = _go("walk", stay.end_s, x, _edge(_side(stage)), speed)
    return [come, stay, leave]


def _length(stage: Stage, low: float, high: float) -> float:
    return float(stage.rng.uniform(low, high))


def _stay(stage: Stage) -> float:
    return _length(stage, *stage.world.stay_s)


def _x(stage: Stage, margin: float = 62.0) -> float:
    return float(stage.rng.uniform(margin, WIDTH - margin))


def _in_view(track: list[Step]) -> tuple[float, float]:
    """When the middle of who follows the track crosses the picture's edge first and last."""
    first, last = track[0], track[-1]
    enter = first.start_s + 30.0 / abs(first.x_to - first.x_from) * (first.end_s - first.start_s)
    leave = last.end_s - 30.0 / abs(last.x_to - last.x_from) * (last.end_s - last.start_s)
    return enter, leave


def _cast_visit(stage: Stage, activity: str, start_s: float) -> Segment:
    height = _height(stage)
    ground, x = _ground(stage), _x(stage)
    if activity == "climb" and stage.place.fence is not None:
        ground, height = stage.place.fence.bottom + 2.0, min(height, 90.0)
    track = _visit(stage, activity, start_s, _stay(stage), x=x, height_px=height)
    person = _person(stage, track, height_px=height, ground_y=ground)
    truth = TruthEvent(activity, track[1].start_s, track[1].end_s) if activity in ACTIONS else None
    return Segment(activity, (person,), truth, track[-1].end_s)


def _cast_stand(stage: Stage, activity: str, start_s: float) -> Segment:
    segment = _cast_visit(stage, "stand", start_s)
    companions = list[Actor]()
    if stage.rng.random() < 0.35:
        height = _height(stage)
        first = segment.actors[0]
        beside = first.track[1].x_from if isinstance(first, Person) else WIDTH / 2
        apart = float(stage.rng.uniform(90.0, 130.0))  # shoulder to shoulder, two look as if they fought
        x = beside + (apart if beside < WIDTH / 2 else -apart)
        track = _visit(stage, "stand", start_s, segment.end_s - start_s - 5.0, x=x, height_px=height)
        companions.append(_person(stage, track, height_px=height, ground_y=_ground(stage)))
    return Segment(activity, (*segment.actors, *companions), None, _last_end(segment.actors + tuple(companions)))


def _last_end(actors: tuple[Actor, ...]) -> float:
    return max(actor.track[-1].end_s for actor in actors if isinstance(actor, Person))


def _cast_walk(stage: Stage, activity: str, start_s: float) -> Segment:
    people = list[Actor]()
    for _ in range(int(stage.rng.choice([1, 1, 2]))):
        height = _height(stage)
        speed = height * float(stage.rng.uniform(0.5, 0.75))
        begin = start_s + float(stage.rng.uniform(0.0, 1.5))
        track = _to_and_fro(stage, "walk", begin, _length(stage, 4.0, 10.0), speed)
        people.append(_person(stage, track, height_px=height, ground_y=_ground(stage)))
    return Segment(activity, tuple(people), None, _last_end(tuple(people)))


def _cast_fast(stage: Stage, activity: str, start_s: float) -> Segment:
    height = _height(stage)
    pace = stage.rng.uniform(1.6, 2.1) if activity == "run" else stage.rng.uniform(0.9, 1.5)
    track = _to_and_fro(stage, activity, start_s, _length(stage, 6.0, 12.0), height * float(pace))
    person = _person(stage, track, height_px=height, ground_y=_ground(stage))
    enter, leave = _in_view(track)
    return Segment(activity, (person,), TruthEvent(activity, enter, leave), track[-1].end_s)


def _cast_fight(stage: Stage, activity: str, start_s: float) -> Segment:
    height, ground, x, length = _height(stage), _ground(stage), _x(stage, 80.0), _stay(stage)
    apart = height * float(stage.rng.uniform(0.2, 0.27))
    speed = height * float(stage.rng.uniform(0.55, 0.8))
    meet = start_s + max(x, WIDTH - x) / speed + 30.0 / speed
    fighters = list[Actor]()
    for side in (-1, 1):
        spot = x + side * apart
        begin = meet - abs(spot - _edge(side)) / speed
        come = _go("walk", begin, _edge(side), spot, speed)
        fight = Step(come.end_s, come.end_s + length, "fight", spot, spot, -side)
        leave = _go("walk", fight.end_s, spot, _edge(side), speed)
        size = height * float(stage.rng.uniform(0.94, 1.06))
        fighters.append(_person(stage, [come, fight, leave], height_px=size, ground_y=ground + side))
    return Segment(activity, tuple(fighters), TruthEvent(activity, meet, meet + length), _last_end(tuple(fighters)))


def _cast_bag(stage: Stage, activity: str, start_s: float) -> Segment:
    height, ground, x, length = _height(stage), _ground(stage), _x(stage, 70.0), _length(stage, 8.0, 14.0)
    speed, side = height * float(stage.rng.uniform(0.55, 0.8)), _side(stage)
    reach = 0.26 * height
    hold = -side * reach  # in front of who comes from `side`
    come = _go("carry", start_s, _edge(side), x, speed)
    pause = Step(come.end_s, come.end_s + 0.6, "stand", x, x, -side)
    away = _go("walk", pause.end_s, x, _edge(side), speed)
    left_until = come.end_s + length
    fetch = _go("walk", left_until - abs(_edge(side) - x) / speed, _edge(side), x, speed)
    out = _go("carry", fetch.end_s, x, _edge(-side), speed)
    look = _person(stage, [come, pause, away], height_px=height, ground_y=ground)
    fetcher = _person(stage, [fetch, out], height_px=height, ground_y=ground)
    case = Suitcase(
        width_px=height * float(stage.rng.uniform(0.40, 0.55)),
        height_px=height * float(stage.rng.uniform(0.40, 0.5)),
        ground_y=ground + 2.0,
        colour=distinct_colour(stage.rng, stage.place.tones),
        carried_lift_px=0.34 * height,
        track=(
            Step(come.start_s, come.end_s, "carried", _edge(side) + hold, x + hold),
            Step(come.end_s, fetch.end_s, "bag", x + hold, x + hold),
            Step(fetch.end_s, out.end_s, "carried", x + hold, _edge(-side) + hold),
        ),
    )
    return Segment(activity, (look, fetcher, case), TruthEvent(activity, come.end_s, left_until), out.end_s)


def _cast_car(stage: Stage, activity: str, start_s: float) -> Segment:
    cars, t = list[Actor](), start_s
    side = _side(stage)
    for _ in range(int(stage.rng.integers(1, 4))):
        length = float(stage.rng.uniform(1.45, 1.9)) * _height(stage)
        speed = float(stage.rng.uniform(55.0, 130.0))
        step = _go("car", t, _edge(side, length / 2), _edge(-side, length / 2), speed)
        paint = distinct_colour(stage.rng, stage.place.tones)
        is_van = bool(stage.rng.random() < 0.35)
        height = length * float(stage.rng.uniform(0.34, 0.42)) * (1.2 if is_van else 1.0)
        ground = max(stage.place.horizon + 16.0, 126.0) + float(stage.rng.uniform(0.0, 22.0))
        cars.append(Car(length, height, ground, paint, is_van, (step,)))
        t = step.end_s - float(stage.rng.uniform(0.0, 1.5))
    return Segment(activity, tuple(cars), None, t + 1.5)


_COATS = ((62, 44, 30), (190, 160, 110), (36, 34, 36), (225, 218, 206), (140, 86, 48))


def _cast_animal(stage: Stage, activity: str, start_s: float) -> Segment:
    length = _height(stage) * float(stage.rng.uniform(0.5, 0.72))
    track = _to_and_fro(
        stage, "animal", start_s, _length(stage, 5.0, 10.0), length * float(stage.rng.uniform(0.8, 1.8))
    )
    tones = stage.place.tones
    coats = stage.rng.permutation(_COATS)[:3]
    r, g, b = max(coats.tolist(), key=lambda coat: float(np.linalg.norm(tones - coat, axis=1).min()))
    dog = Dog(length, _ground(stage), (r, g, b), float(stage.rng.random()), tuple(track))
    return Segment(activity, (dog,), None, track[-1].end_s)


def _cast_nothing(stage: Stage, activity: str, start_s: float) -> Segment:
    return Segment(activity, (), None, start_s + _length(stage, 3.0, 8.0))


Cast: TypeAlias = Callable[[Stage, str, float], Segment]

_CASTS: dict[str, Cast] = {
    "fall": _cast_visit,
    "climb": _cast_visit,
    "wave": _cast_visit,
    "fight": _cast_fight,
    "run": _cast_fast,
    "cycle": _cast_fast,
    "bag": _cast_bag,
    "walk": _cast_walk,
    "stand": _cast_stand,
    "car": _cast_car,
    "animal": _cast_animal,
    "empty": _cast_nothing,
}


def play(stage: Stage, activity: str, start_s: float) -> Segment:
    """Cast one activity from `start_s` on; "trees" is "empty" in a wooded place."""
    return _CASTS[activity](stage, activity, start_s)


def possible(place: Place) -> tuple[str, ...]:
    """The activities that can be played in a place: no cars indoors or on a platform, no climbing without a fence."""
    cannot = set() if place.fence else {"climb"}
    if place.kind in ("room", "platform"):
        cannot.add("car")
    return tuple(name for name in _CASTS if name not in cannot)


def bystander(stage: Stage, end_s: float) -> Person:
    """Someone who stands at the back during the whole scene."""
    height = _height(stage) * 0.92
    x = WIDTH / 2 + _side(stage) * float(stage.rng.uniform(100.0, 148.0))
    track = [Step(0.0, end_s, "stand", x, x, _side(stage))]
    return _person(stage, track, height_px=height, ground_y=_ground(stage, 132.0, 148.0))
