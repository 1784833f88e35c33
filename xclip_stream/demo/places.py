"""The places of the rendered world: what stands still, what sways, and what is in the way."""

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from xclip_stream.demo.figures import Colour, Picture, Points, darker, draw_disc, draw_line

WIDTH, HEIGHT = 320, 180

PLACES = ("yard", "street", "platform", "room", "park")


@dataclass(frozen=True, slots=True)
class Tree:
    """One tree: foot in pixels, height, leaf colour, how far its crown swings and at what phase."""

    x: float
    y: float
    height: float
    leaves: Colour
    swing: float
    phase: float


@dataclass(frozen=True, slots=True)
class Fence:
    """A fence across the picture: `bottom` and `height` in pixels."""

    bottom: float
    height: float


@dataclass(frozen=True, slots=True)
class Place:
    """One place as a camera sees it; everything in pixels of the 320x180 picture."""

    kind: str
    background: Picture
    horizon: float
    fence: Fence | None
    fence_mask: npt.NDArray[np.bool_]
    trees: tuple[Tree, ...]
    in_front: tuple[tuple[int, int, int, int, Colour], ...]

    @property
    def tones(self) -> Points:
        """The mean colours (n, 3) of what is behind people: the wall or sky, the ground, the trees."""
        middle = round(self.horizon)
        upper, lower = self.background[middle - 60 : middle], self.background[middle:]
        behind = [part.reshape(-1, 3).mean(axis=0) for part in (upper, lower)]
        return np.stack([*behind, *[np.array(tree.leaves) for tree in self.trees]])


def random_colour(rng: np.random.Generator, low: int = 30, high: int = 225) -> Colour:
    """A uniformly random RGB colour with channels in [low, high)."""
    r, g, b = (int(v) for v in rng.integers(low, high, 3))
    return (r, g, b)


def _greyish(rng: np.random.Generator, low: int, high: int, spread: int = 18) -> Colour:
    base = int(rng.integers(low, high))
    r, g, b = (int(np.clip(base + v, 0, 255)) for v in rng.integers(-spread, spread + 1, 3))
    return (r, g, b)


def build_place(rng: np.random.Generator, *, kind: str, with_fence: bool) -> Place:
    """A new place of one of `PLACES`; the same generator state gives the same place."""
    horizon = float(rng.integers(92, 116))
    picture = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    _GROUNDS[kind](picture, rng, horizon)
    _texture(picture, rng)
    fence = None
    if with_fence and kind != "room":
        fence = Fence(bottom=float(rng.integers(128, 142)), height=float(rng.integers(48, 62)))
    if rng.random() < 0.4:
        _draw_bench(picture, rng, horizon)
    if rng.random() < 0.5 and kind != "room":
        _draw_lamp(picture, rng, horizon)
    wooded = kind in ("yard", "street", "park") and rng.random() < 0.45
    trees = _plant(rng, horizon) if wooded else ()
    before = picture.copy()
    if fence is not None:
        _draw_fence(picture, rng, fence)
    fence_mask = (before != picture).any(axis=2, keepdims=True)
    return Place(kind, picture, horizon, fence, fence_mask, trees, _things_in_front(rng))


def _fill(picture: Picture, top: float, bottom: float, upper: Colour, lower: Colour) -> None:
    y0, y1 = max(0, round(top)), min(HEIGHT, round(bottom))
    ramp = np.linspace(0.0, 1.0, max(1, y1 - y0))[:, None]
    rows = np.asarray(upper, float) * (1 - ramp) + np.asarray(lower, float) * ramp
    picture[y0:y1] = rows[:, None].astype(np.uint8)


def _texture(picture: Picture, rng: np.random.Generator) -> None:
    coarse = rng.normal(0.0, 9.0, (HEIGHT // 10, WIDTH // 10, 1)).astype(np.float32)
    patches = cv2.resize(coarse, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)[..., None]
    grain = rng.normal(0.0, 4.0, (HEIGHT, WIDTH, 1))
    picture[:] = np.clip(picture + patches + grain, 0, 255).astype(np.uint8)


def _ground(picture: Picture, horizon: float, colour: Colour) -> None:
    _fill(picture, horizon, HEIGHT, darker(colour, 0.85), darker(colour, 1.1))


def _wall(picture: Picture, rng: np.random.Generator, horizon: float, colour: Colour) -> None:
    _fill(picture, 0, horizon, colour, darker(colour, 0.85))
    if rng.random() < 0.5:
        step = int(rng.integers(9, 16))
        for y in range(0, round(horizon), step):
            cv2.line(picture, (0, y), (WIDTH, y), darker(colour, 0.88), 1)
    for _ in range(int(rng.integers(0, 5))):
        x, w, h = int(rng.integers(0, WIDTH - 30)), int(rng.integers(18, 46)), int(rng.integers(22, 50))
        top = int(rng.integers(4, 34))
        cv2.rectangle(picture, (x, top), (x + w, top + h), _greyish(rng, 40, 200), -1)
        cv2.rectangle(picture, (x, top), (x + w, top + h), darker(colour, 0.6), 1)


def _yard(picture: Picture, rng: np.random.Generator, horizon: float) -> None:
    _wall(picture, rng, horizon, _greyish(rng, 110, 210, 30))
    _ground(picture, horizon, _greyish(rng, 80, 180))
    if rng.random() < 0.4:
        x = int(rng.integers(0, WIDTH - 70))
        door = _greyish(rng, 50, 140, 40)
        cv2.rectangle(picture, (x, round(horizon) - 60), (x + 34, round(horizon)), door, -1)


def _street(picture: Picture, rng: np.random.Generator, horizon: float) -> None:
    if rng.random() < 0.5:
        _wall(picture, rng, horizon, _greyish(rng, 100, 200, 35))
    else:
        _sky(picture, rng, horizon)
    _ground(picture, horizon, _greyish(rng, 70, 130, 8))
    kerb = round(horizon + rng.integers(6, 14))
    cv2.line(picture, (0, kerb), (WIDTH, kerb), _greyish(rng, 150, 210, 6), 2)
    if rng.random() < 0.6:
        y = round(horizon + rng.integers(28, 44))
        for x in range(int(rng.integers(-20, 10)), WIDTH, 46):
            cv2.line(picture, (x, y), (x + 22, y), (205, 205, 200), 2)


def _platform(picture: Picture, rng: np.random.Generator, horizon: float) -> None:
    _wall(picture, rng, horizon, _greyish(rng, 90, 200, 25))
    _ground(picture, horizon, _greyish(rng, 110, 190, 10))
    edge = HEIGHT - int(rng.integers(6, 20))
    cv2.line(picture, (0, edge), (WIDTH, edge), (210, 190, 60), 4)
    for x in range(int(rng.integers(10, 60)), WIDTH, int(rng.integers(90, 140))):
        cv2.rectangle(picture, (x, 0), (x + 8, round(horizon)), _greyish(rng, 60, 150), -1)


def _room(picture: Picture, rng: np.random.Generator, horizon: float) -> None:
    _wall(picture, rng, horizon, _greyish(rng, 150, 235, 22))
    floor = _greyish(rng, 90, 180, 30)
    _ground(picture, horizon, floor)
    for x in range(-100, WIDTH + 100, int(rng.integers(26, 50))):
        foot = WIDTH // 2 + (x - WIDTH // 2) * 2
        cv2.line(picture, (x, round(horizon)), (foot, HEIGHT), darker(floor, 0.9), 1)
    cv2.line(picture, (0, round(horizon)), (WIDTH, round(horizon)), darker(floor, 0.6), 2)


def _sky(picture: Picture, rng: np.random.Generator, horizon: float) -> None:
    light = int(rng.integers(150, 235))
    _fill(picture, 0, horizon, (light - 40, light - 15, light), (light, light, light))
    for _ in range(int(rng.integers(2, 6))):
        x, w = int(rng.integers(-20, WIDTH)), int(rng.integers(30, 90))
        top = round(horizon) - int(rng.integers(12, 60))
        cv2.rectangle(picture, (x, top), (x + w, round(horizon)), _greyish(rng, 90, 180), -1)


def _park(picture: Picture, rng: np.random.Generator, horizon: float) -> None:
    _sky(picture, rng, horizon)
    hedge = (int(rng.integers(40, 80)), int(rng.integers(80, 125)), int(rng.integers(35, 70)))
    _fill(picture, horizon - int(rng.integers(8, 24)), horizon, hedge, darker(hedge, 0.8))
    green = (int(rng.integers(70, 130)), int(rng.integers(115, 165)), int(rng.integers(50, 90)))
    _ground(picture, horizon, green)
    if rng.random() < 0.6:
        y = round(horizon + rng.integers(18, 40))
        cv2.rectangle(picture, (0, y), (WIDTH, y + int(rng.integers(12, 26))), _greyish(rng, 140, 190), -1)


_GROUNDS: dict[str, Callable[[Picture, np.random.Generator, float], None]] = {
    "yard": _yard,
    "street": _street,
    "platform": _platform,
    "room": _room,
    "park": _park,
}


def _draw_fence(picture: Picture, rng: np.random.Generator, fence: Fence) -> None:
    bottom, top = round(fence.bottom), round(fence.bottom - fence.height)
    colour = _greyish(rng, 60, 210, 25)
    if rng.random() < 0.3:
        cv2.rectangle(picture, (0, top + 3), (WIDTH, bottom), darker(colour, 0.8), -1)
    else:
        step = int(rng.integers(7, 14))
        for x in range(0, WIDTH, step):
            cv2.line(picture, (x, top), (x, bottom), colour, int(rng.integers(1, 4)))
    for y in (top, bottom - 4):
        cv2.line(picture, (0, y), (WIDTH, y), darker(colour, 0.75), 3)
    for x in range(int(rng.integers(0, 50)), WIDTH, int(rng.integers(60, 90))):
        cv2.line(picture, (x, top - 4), (x, bottom), darker(colour, 0.6), 4)


def _draw_bench(picture: Picture, rng: np.random.Generator, horizon: float) -> None:
    x, y, w = int(rng.integers(5, WIDTH - 75)), round(horizon + rng.integers(10, 26)), int(rng.integers(46, 70))
    colour = (int(rng.integers(90, 150)), int(rng.integers(60, 100)), int(rng.integers(30, 70)))
    for dy in (0, -9, -15):
        cv2.line(picture, (x, y - 10 + dy), (x + w, y - 10 + dy), colour, 3)
    for foot in (x + 5, x + w - 5):
        cv2.line(picture, (foot, y - 25), (foot, y), darker(colour, 0.6), 2)


def _draw_lamp(picture: Picture, rng: np.random.Generator, horizon: float) -> None:
    x, y = int(rng.integers(5, WIDTH - 5)), round(horizon + rng.integers(0, 12))
    cv2.line(picture, (x, 8), (x, y), _greyish(rng, 40, 110), 3)
    cv2.circle(picture, (x, 10), 5, (240, 235, 200), -1, cv2.LINE_AA)


def _plant(rng: np.random.Generator, horizon: float) -> tuple[Tree, ...]:
    slots = rng.permutation(4)[: int(rng.integers(2, 5))]
    return tuple(
        Tree(
            x=float(slot * 80 + rng.integers(10, 70)),
            y=horizon + float(rng.integers(2, 14)),
            height=float(rng.integers(80, 112)),
            leaves=(int(rng.integers(25, 95)), int(rng.integers(85, 150)), int(rng.integers(25, 75))),
            swing=float(rng.uniform(5.0, 11.0)),
            phase=float(rng.random()),
        )
        for slot in slots
    )


_CROWN = ((-0.16, 0.62), (0.16, 0.64), (0.0, 0.56), (-0.1, 0.82), (0.12, 0.84), (0.0, 0.97))


def draw_tree(picture: Picture, tree: Tree, t: float) -> None:
    """The tree at `t` seconds: the higher a bough, the further it swings."""
    foot = np.array([tree.x, tree.y])
    lean = tree.swing * np.sin(2 * np.pi * (0.35 * t + tree.phase))
    draw_line(picture, foot, foot + np.array([lean * 0.4, -0.6 * tree.height]), (82, 62, 44), 0.07 * tree.height)
    for index, (x, y) in enumerate(_CROWN):
        flutter = 0.35 * tree.swing * np.sin(2 * np.pi * (0.8 * t + tree.phase + index / 6))
        centre = foot + np.array([x * tree.height + (lean + flutter) * y, -y * tree.height])
        draw_disc(picture, centre, 0.17 * tree.height, darker(tree.leaves, 0.85 + 0.08 * (index % 4)))


def _things_in_front(rng: np.random.Generator) -> tuple[tuple[int, int, int, int, Colour], ...]:
    """Posts and low boxes between camera and people: x0, y0, x1, y1, colour."""
    things: list[tuple[int, int, int, int, Colour]] = []
    if rng.random() < 0.25:
        x = int(rng.integers(10, WIDTH - 20))
        things.append((x, 0, x + int(rng.integers(4, 9)), HEIGHT, _greyish(rng, 40, 160)))
    if rng.random() < 0.25:
        x, w = int(rng.integers(0, WIDTH - 50)), int(rng.integers(24, 60))
        things.append((x, HEIGHT - int(rng.integers(10, 26)), x + w, HEIGHT, _greyish(rng, 40, 170)))
    return tuple(things)
