"""Articulated people: poses as pure functions of time, and how a pose is drawn.

A figure is thirteen joints in the image plane. Angles are degrees from straight down, positive towards where the
figure faces, so that 180 is straight up. Lengths are fractions of the standing height.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

Picture: TypeAlias = npt.NDArray[np.uint8]
Points: TypeAlias = npt.NDArray[np.float64]
Colour: TypeAlias = tuple[int, int, int]
Pair: TypeAlias = tuple[float, float]

JOINTS = (
    "head", "neck", "hip",
    "near_shoulder", "near_elbow", "near_hand",
    "far_shoulder", "far_elbow", "far_hand",
    "near_knee", "near_foot", "far_knee", "far_foot",
)  # fmt: skip

_TORSO, _NECK_TO_HEAD, _UPPER_ARM, _FOREARM, _THIGH, _SHIN = 0.30, 0.13, 0.165, 0.16, 0.245, 0.245


@dataclass(frozen=True, slots=True)
class Pose:
    """Joint angles of one instant; pairs are (near limb, far limb)."""

    lean: float = 0.0
    roll: float = 0.0
    front: float = 0.25
    hips: Pair = (0.0, 0.0)
    knees: Pair = (0.0, 0.0)
    shoulders: Pair = (0.0, 0.0)
    elbows: Pair = (0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Stance:
    """A pose with where it stands: `shift` forward and `lift` above the ground, in heights."""

    pose: Pose
    shift: float = 0.0
    lift: float = 0.0


@dataclass(frozen=True, slots=True)
class Style:
    """What makes one person's movement unlike another's: phase offset, tempo and two free numbers in 0..1."""

    phase: float = 0.0
    tempo: float = 1.0
    a: float = 0.5
    b: float = 0.5


@dataclass(frozen=True, slots=True)
class Look:
    """Clothing and build of one person; colours are RGB."""

    skin: Colour
    hair: Colour
    top: Colour
    legs: Colour
    shoes: Colour
    long_sleeves: bool = True
    build: float = 1.0


def _towards(angle: float, length: float) -> Points:
    radians = math.radians(angle)
    return np.array([math.sin(radians) * length, -math.cos(radians) * length])


def joints(pose: Pose) -> Points:
    """The (13, 2) joints of a pose in heights, y up, x forward; the lowest joint stands on y = 0."""
    hip = np.zeros(2)
    neck = hip + _towards(180.0 - pose.lean, _TORSO)
    head = neck + _towards(180.0 - pose.lean * 0.8, _NECK_TO_HEAD)
    across = _towards(90.0 - pose.lean, 1.0)
    limbs: list[Points] = []
    for side, sign in ((0, 1.0), (1, -1.0)):
        shoulder = neck + across * sign * (0.025 + 0.085 * pose.front) - np.array([0.0, 0.02])
        elbow = shoulder + _towards(pose.shoulders[side], _UPPER_ARM)
        hand = elbow + _towards(pose.shoulders[side] + pose.elbows[side], _FOREARM)
        limbs += [shoulder, elbow, hand]
    for side, sign in ((0, 1.0), (1, -1.0)):
        root = hip + across * sign * (0.01 + 0.045 * pose.front)
        knee = root + _towards(pose.hips[side], _THIGH)
        foot = knee + _towards(pose.hips[side] - pose.knees[side], _SHIN)
        limbs += [knee, foot]
    points = np.stack([head, neck, hip, *limbs])
    if pose.roll:
        cos, sin = math.cos(math.radians(pose.roll)), math.sin(math.radians(pose.roll))
        points = points @ np.array([[cos, -sin], [sin, cos]])
    points[:, 1] -= points[:, 1].min()
    return points


def _wave(t: float, hertz: float, phase: float = 0.0) -> float:
    return math.sin(2.0 * math.pi * (hertz * t + phase))


def _ease(u: float) -> float:
    u = min(1.0, max(0.0, u))
    return u * u * (3.0 - 2.0 * u)


def stand(t: float, duration_s: float, style: Style) -> Stance:
    """Upright and nearly still; the arms hang, with one hand on the hip now and then."""
    del duration_s
    sway = _wave(t, 0.23 * style.tempo, style.phase)
    arms, elbows = (6 + 3 * sway, -6 + 3 * sway), (6.0, -6.0)
    if style.a > 0.75:
        arms, elbows = (28.0, -8 + 2 * sway), (-70.0, 8.0)
    legs = (4.0 + 5 * style.b, -4.0 - 5 * style.b)
    return Stance(Pose(lean=1.5 * sway, front=0.2 + 0.8 * style.b, hips=legs, shoulders=arms, elbows=elbows))


def walk(t: float, duration_s: float, style: Style) -> Stance:
    """A walking cycle of about one stride a second."""
    del duration_s
    swing, push = _wave(t, 0.95 * style.tempo, style.phase), _wave(t, 0.95 * style.tempo, style.phase + 0.25)
    reach = 18 + 5 * style.a
    return Stance(
        Pose(
            lean=3.0,
            front=0.15,
            hips=(reach * swing, -reach * swing),
            knees=(6 + 28 * max(0.0, push), 6 + 28 * max(0.0, -push)),
            shoulders=(-16 * swing, 16 * swing),
            elbows=(14.0, 14.0),
        )
    )


def run(t: float, duration_s: float, style: Style) -> Stance:
    """A running cycle: leaning, long strides, heels high, elbows at a right angle, off the ground between steps."""
    del duration_s
    swing, push = _wave(t, 1.45 * style.tempo, style.phase), _wave(t, 1.45 * style.tempo, style.phase + 0.25)
    reach = 46 + 8 * style.a
    pose = Pose(
        lean=24 + 8 * style.b,
        front=0.12,
        hips=(14 + reach * swing, 14 - reach * swing),
        knees=(24 + 85 * max(0.0, push), 24 + 85 * max(0.0, -push)),
        shoulders=(-5 - 58 * swing, -5 + 58 * swing),
        elbows=(92.0, 92.0),
    )
    return Stance(pose, lift=0.05 * abs(swing))


def wave(t: float, duration_s: float, style: Style) -> Stance:
    """Both arms up and wide, swinging from side to side or apart and together."""
    del duration_s
    swing = _wave(t, 0.9 * style.tempo, style.phase)
    other = _wave(t, 0.9 * style.tempo, style.phase + (0.5 if style.a > 0.5 else 0.0))
    arms = (138 + 24 * swing, -138 + 24 * other)
    elbows = (4 + 8 * swing, -4 + 8 * other)
    return Stance(Pose(lean=2 * swing, front=1.0, hips=(9.0, -9.0), shoulders=arms, elbows=elbows))


FALL_S = 0.8


def fall(t: float, duration_s: float, style: Style) -> Stance:
    """Goes down within `FALL_S`, then lies; the last `FALL_S` of the step are getting up again.

    One arm lies along the body or beyond the head. At a right angle it would look like the leg of an animal.
    """
    down = _ease(t / FALL_S) * _ease((duration_s - t) / FALL_S)
    lying = Pose(
        hips=(35 * style.a, -6.0),
        knees=(55 * style.a * style.b, 8.0),
        shoulders=(30 + 60 * style.b if style.b < 0.5 else 90 + 60 * style.b, -15 - 50 * style.a),
        elbows=(25.0, -10.0),
    )
    stir = 3.0 * _wave(t, 0.25, style.phase) * down
    flail = 70 * math.sin(math.pi * down)
    return Stance(
        Pose(
            roll=(90.0 if style.phase < 0.5 else -90.0) * down + stir,
            lean=10 * math.sin(math.pi * down),
            front=0.3,
            hips=(lying.hips[0] * down, lying.hips[1] * down),
            knees=(lying.knees[0] * down + flail * 0.5, lying.knees[1] * down + flail * 0.4),
            shoulders=(lying.shoulders[0] * down + flail, lying.shoulders[1] * down - flail),
            elbows=(lying.elbows[0] * down, lying.elbows[1] * down),
        ),
        shift=-0.25 * down if style.phase < 0.5 else 0.25 * down,
    )


CLIMB_UP_S = 1.2


def climb(t: float, duration_s: float, style: Style) -> Stance:
    """Up the fence within `CLIMB_UP_S`, hand over hand near its top, and down again at the end of the step."""
    up = _ease(t / CLIMB_UP_S) * _ease((duration_s - t) / CLIMB_UP_S)
    pull = _wave(t, 0.55 * style.tempo, style.phase)
    pose = Pose(
        lean=4 * pull,
        front=0.85,
        hips=(32 + 24 * pull, -32 + 24 * pull),
        knees=(62 + 42 * pull, -62 + 42 * pull),
        shoulders=(150 + 22 * pull, -150 + 22 * pull),
        elbows=(28 - 26 * pull, -28 - 26 * pull),
    )
    return Stance(pose, lift=up * (0.34 + 0.1 * style.a + 0.06 * pull))


def fight(t: float, duration_s: float, style: Style) -> Stance:
    """Punches and kicks at whoever stands in front, with lunges forward and back."""
    del duration_s
    punch = _wave(t, 1.1 * style.tempo, style.phase)
    kick = max(0.0, _wave(t, 0.4 * style.tempo, style.phase * 1.7) - 0.55) / 0.45
    pose = Pose(
        lean=6 + 8 * _wave(t, 0.7 * style.tempo, style.phase + 0.3),
        front=0.15,
        hips=(13 + 75 * kick, -13.0),
        knees=(24 - 16 * kick, 16.0),
        shoulders=(82 + 16 * punch, 82 - 16 * punch),
        elbows=(42 - 42 * punch, 42 + 42 * punch),
    )
    return Stance(pose, shift=0.06 * _wave(t, 0.8 * style.tempo, style.phase))


def cycle(t: float, duration_s: float, style: Style) -> Stance:
    """Seated on a bicycle, hands on the bar, legs turning."""
    del duration_s
    turn, quarter = _wave(t, 0.9 * style.tempo, style.phase), _wave(t, 0.9 * style.tempo, style.phase + 0.25)
    pose = Pose(
        lean=30 + 12 * style.a,
        front=0.1,
        hips=(48 + 24 * turn, 48 - 24 * turn),
        knees=(66 + 20 * quarter, 66 - 20 * quarter),
        shoulders=(52.0, 50.0),
        elbows=(16.0, 16.0),
    )
    return Stance(pose, lift=0.10)


def carry(t: float, duration_s: float, style: Style) -> Stance:
    """Walks with something large held in both arms."""
    pose = walk(t, duration_s, style).pose
    return Stance(replace(pose, lean=-6.0, shoulders=(42.0, 46.0), elbows=(50.0, 46.0)))


Movement: TypeAlias = Callable[[float, float, Style], Stance]

MOVEMENTS: dict[str, Movement] = {
    "stand": stand,
    "walk": walk,
    "carry": carry,
    "run": run,
    "wave": wave,
    "fall": fall,
    "climb": climb,
    "fight": fight,
    "cycle": cycle,
}


def draw_line(picture: Picture, a: Points, b: Points, colour: Colour, thickness: float) -> None:
    """One rounded, anti-aliased segment with an eighth of a pixel of precision."""
    start, end = (tuple(round(v * 8) for v in p) for p in (a, b))
    cv2.line(picture, start, end, colour, max(1, round(thickness)), cv2.LINE_AA, 3)


def draw_disc(picture: Picture, centre: Points, radius: float, colour: Colour) -> None:
    """A filled, anti-aliased circle with an eighth of a pixel of precision."""
    x, y = (round(v * 8) for v in centre)
    cv2.circle(picture, (x, y), max(1, round(radius * 8)), colour, -1, cv2.LINE_AA, 3)


def darker(colour: Colour, factor: float) -> Colour:
    """The colour with each channel multiplied by `factor`, clipped to 0..255."""
    r, g, b = (max(0, min(255, round(channel * factor))) for channel in colour)
    return (r, g, b)


def draw_figure(picture: Picture, points: Points, height_px: float, look: Look) -> None:
    """Draw a person over `picture` (H, W, 3 uint8 RGB) from its (13, 2) joints in pixels."""
    limb = 0.072 * height_px * look.build
    _draw_arm(picture, points[6:9], limb * 0.9, look, shade=0.8)
    _draw_leg(picture, points[2], points[11:13], limb, look, shade=0.7)
    _draw_leg(picture, points[2], points[9:11], limb, look, shade=1.0)
    _draw_torso(picture, points, limb, look)
    _draw_head(picture, points, height_px, look)
    _draw_arm(picture, points[3:6], limb * 0.9, look, shade=1.0)


def _draw_arm(picture: Picture, arm: Points, limb: float, look: Look, *, shade: float) -> None:
    sleeve = look.top if look.long_sleeves else look.skin
    draw_line(picture, arm[1], arm[2], darker(sleeve, shade), limb * 0.85)
    draw_line(picture, arm[0], arm[1], darker(look.top, shade * 0.92), limb)
    draw_disc(picture, arm[2], limb * 0.5, darker(look.skin, shade))


def _draw_leg(picture: Picture, hip: Points, leg: Points, limb: float, look: Look, *, shade: float) -> None:
    draw_line(picture, leg[0], leg[1], darker(look.legs, shade), limb)
    draw_line(picture, hip, leg[0], darker(look.legs, shade), limb * 1.25)
    draw_disc(picture, leg[1], limb * 0.6, darker(look.shoes, shade))


def _draw_torso(picture: Picture, points: Points, limb: float, look: Look) -> None:
    neck, hip = points[1], points[2]
    draw_line(picture, points[3], points[6], look.top, limb)
    for shoulder in (points[3], points[6]):
        draw_line(picture, shoulder, hip, look.top, limb * 1.3)
    draw_line(picture, neck, hip, look.top, limb * 2.0)


def _draw_head(picture: Picture, points: Points, height_px: float, look: Look) -> None:
    head, neck = points[0], points[1]
    draw_line(picture, neck, head, look.skin, 0.05 * height_px)
    draw_disc(picture, head, 0.072 * height_px, look.skin)
    up = (head - neck) / max(1e-6, float(np.linalg.norm(head - neck)))
    draw_disc(picture, head + up * 0.03 * height_px, 0.058 * height_px, look.hair)
