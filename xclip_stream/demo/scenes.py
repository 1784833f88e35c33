"""Continuous scenes: a place, a script and its truth, drawn frame by frame from one seed."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt

from xclip_stream.demo.actors import Actor, Seen
from xclip_stream.demo.figures import Picture
from xclip_stream.demo.places import HEIGHT, PLACES, WIDTH, build_place, draw_tree
from xclip_stream.demo.script import ACTIONS, USUAL, Segment, Stage, TruthEvent, World, bystander, play, possible

FPS = 10

_PRIORITY = (*ACTIONS, "car", "animal", "walk", "stand")
_NOISE = np.random.default_rng(20_000).normal(0.0, 1.0, (HEIGHT * 2, WIDTH * 2, 3)).astype(np.float32)


_OUTDOORS = tuple(kind for kind in PLACES if kind != "room")


@dataclass(frozen=True, slots=True)
class Light:
    """One scene's camera: a tone curve for each channel, sensor noise in grey levels, blur in pixels."""

    curve: npt.NDArray[np.uint8]
    noise: float
    blur: float


@dataclass(frozen=True, slots=True)
class Frame:
    """One drawn frame (180, 320, 3 uint8 RGB), the activity that counts in it, and everything seen."""

    picture: Picture
    activity: str
    seen: tuple[Seen, ...]


@dataclass(frozen=True, slots=True)
class Scene:
    """A continuous scene. `frame(t)` may be asked in any order; the same seed gives the same pictures."""

    seed: int
    duration_s: float
    stage: Stage
    light: Light
    actors: tuple[Actor, ...]
    truth: tuple[TruthEvent, ...]
    ends_s: tuple[float, ...]
    """When each segment is over."""

    def until(self, end_s: float) -> "Scene":
        """The same scene, cut off at `end_s`."""
        return replace(self, duration_s=float(end_s))

    def frame(self, t: float) -> Frame:
        """Draw the scene as it is `t` seconds after its start."""
        place = self.stage.place
        picture = place.background.copy()
        for tree in place.trees:
            draw_tree(picture, tree, t)
        if place.trees and place.fence is not None:
            np.copyto(picture, place.background, where=place.fence_mask)
        seen = [actor.draw(picture, t) for actor in self.actors]
        for x0, y0, x1, y1, colour in place.in_front:
            cv2.rectangle(picture, (x0, y0), (x1, y1), colour, -1)
        visible = tuple(s for s in seen if s is not None and _is_in_view(s))
        quiet = "trees" if place.trees else "empty"
        return Frame(self._expose(picture, t), main_activity(visible, quiet), visible)

    def frames(self) -> Iterator[Frame]:
        """Every frame at `FPS`, in order."""
        for index in range(round(self.duration_s * FPS)):
            yield self.frame(index / FPS)

    def _expose(self, picture: Picture, t: float) -> Picture:
        if self.light.blur > 0.0:
            picture = np.asarray(cv2.GaussianBlur(picture, (3, 3), self.light.blur), np.uint8)
        picture = np.asarray(cv2.LUT(picture, self.light.curve), np.uint8)
        rng = np.random.default_rng((self.seed, round(t * 1000)))
        y, x = int(rng.integers(HEIGHT)), int(rng.integers(WIDTH))
        grain = _NOISE[y : y + HEIGHT, x : x + WIDTH]
        return np.asarray(cv2.scaleAdd(grain, self.light.noise, picture.astype(np.float32)).clip(0, 255), np.uint8)


def _is_in_view(seen: Seen) -> bool:
    return bool(2.0 <= float(seen.outline[:, 0].mean()) <= WIDTH - 2.0)


def main_activity(seen: Sequence[Seen], quiet: str) -> str:
    """The activity that counts: an action before a car, an animal, walking, standing; else `quiet`."""
    names = {s.activity for s in seen}
    return next((name for name in _PRIORITY if name in names), quiet)


def _random_light(rng: np.random.Generator, world: World) -> Light:
    gain = rng.uniform(*world.gain)
    channels = gain * (1.0 + rng.uniform(-world.tint, world.tint, 3))
    gamma = rng.uniform(0.85, 1.2)
    ramp = (np.arange(256.0) / 255.0) ** gamma * 255.0
    curve = np.clip(ramp[:, None] * channels, 0, 255).astype(np.uint8)[None]
    blur = float(rng.uniform(0.5, 0.9)) if rng.random() < world.blur else 0.0
    return Light(curve, float(rng.uniform(*world.noise)), blur)


@dataclass(frozen=True, slots=True)
class Plan:
    """What a scene may contain: how likely an action comes next, the pauses between segments in seconds, how often
    someone passes during an action, whether the last segment may be cut off by the scene's end, and what is left out.
    In an `open_view` nobody stands about, and there are no trees and nothing in front of the people. `place` is the
    kind of place, where it matters.
    """

    actions: float = 0.6
    pause_s: tuple[float, float] = (0.5, 3.0)
    extras: float = 0.25
    order: tuple[str, ...] = ()
    cut_last: bool = False
    without: tuple[str, ...] = ("wave",)
    open_view: bool = False
    place: str = ""


TRAINING = Plan(cut_last=True, without=())
RECORDING = Plan(actions=0.4, pause_s=(1.0, 4.0))
EVENTLESS = Plan(actions=0.0, pause_s=(1.0, 4.0))


def build_scene(seed: int, duration_s: float, *, plan: Plan = RECORDING, world: World = USUAL) -> Scene:
    """A scene of `duration_s` seconds.

    `plan.order`, when given, names the activities to play in that order; otherwise they are drawn at random.
    """
    rng = np.random.default_rng((seed, 4221))
    with_fence = bool(rng.random() < 0.6)
    kind = str(rng.choice(_OUTDOORS if with_fence or "car" in plan.order else PLACES))
    kind = plan.place or kind
    if "car" in plan.order and kind == "platform":
        kind = "street"
    place = build_place(rng, kind=kind, with_fence=with_fence or "climb" in plan.order)
    if plan.open_view:
        place = replace(place, trees=(), in_front=())
    stage = Stage(rng, place, world)
    light = _random_light(rng, world)
    segments = list(_play_all(stage, plan, duration_s))
    actors = [actor for segment in segments for actor in segment.actors]
    idle = 0 if plan.open_view else int(rng.choice([0, 0, 0, 1, 1, 2]))
    actors += [bystander(stage, duration_s) for _ in range(idle)]
    truth = tuple(segment.truth for segment in segments if segment.truth is not None)
    ordered = tuple(sorted(actors, key=lambda actor: actor.ground_y))
    ends = tuple(segment.end_s for segment in segments)
    return Scene(seed, duration_s, stage, light, ordered, truth, ends)


def _play_all(stage: Stage, plan: Plan, duration_s: float) -> Iterator[Segment]:
    t = float(stage.rng.uniform(*plan.pause_s)) - 0.5
    wanted = list(plan.order)
    while t < duration_s:
        if plan.order and not wanted:
            return
        segment = play(stage, wanted.pop(0) if wanted else _draw_activity(stage, plan), max(0.0, t))
        if segment.end_s > duration_s and not plan.cut_last:
            return
        yield segment
        if segment.truth is not None and stage.rng.random() < plan.extras:
            yield _passing(stage, segment.truth.start_s - 1.0)
        t = segment.end_s + float(stage.rng.uniform(*plan.pause_s))


_WEIGHTS = {"climb": 2.0, "car": 1.6}  # neither is possible everywhere


def _draw_activity(stage: Stage, plan: Plan) -> str:
    wants_action = stage.rng.random() < plan.actions
    names = [name for name in possible(stage.place) if (name in ACTIONS) == wants_action and name not in plan.without]
    weights = np.array([_WEIGHTS.get(name, 1.0) for name in names])
    return str(stage.rng.choice(names, p=weights / weights.sum()))


def _passing(stage: Stage, start_s: float) -> Segment:
    """One car or one person who passes meanwhile."""
    name = "car" if "car" in possible(stage.place) and stage.rng.random() < 0.3 else "walk"
    segment = play(stage, name, start_s)
    return replace(segment, actors=segment.actors[:1])
