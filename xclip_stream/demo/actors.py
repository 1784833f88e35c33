"""What moves: people, cars, dogs and suitcases, each following a track of steps and drawn at any instant."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np

from xclip_stream.demo.figures import (
    MOVEMENTS,
    Colour,
    Look,
    Picture,
    Points,
    Style,
    darker,
    draw_disc,
    draw_figure,
    draw_line,
    joints,
)
from xclip_stream.demo.places import HEIGHT, WIDTH, random_colour

_SKINS: tuple[Colour, ...] = ((236, 200, 170), (205, 160, 125), (160, 112, 80), (110, 76, 54), (225, 182, 150))
_HAIRS: tuple[Colour, ...] = ((40, 30, 24), (92, 62, 36), (190, 160, 95), (120, 118, 116), (160, 70, 40), (25, 25, 60))


@dataclass(frozen=True, slots=True)
class Step:
    """One leg of a track: what is done from `start_s` to `end_s` while going from `x_from` to `x_to` pixels."""

    start_s: float
    end_s: float
    doing: str
    x_from: float
    x_to: float
    facing: int = 1

    def x(self, t: float) -> float:
        """The place at `t`, moving evenly."""
        share = (t - self.start_s) / max(1e-6, self.end_s - self.start_s)
        return self.x_from + (self.x_to - self.x_from) * min(1.0, max(0.0, share))


@dataclass(frozen=True, slots=True)
class Seen:
    """What one actor shows in one frame, in pixels: its activity, its outline and, for a person, the joints (13, 2)."""

    activity: str
    outline: Points
    joints: Points | None = None


class Actor(Protocol):
    """Something that can be drawn at any instant; `ground_y` orders near over far."""

    @property
    def ground_y(self) -> float: ...

    def draw(self, picture: Picture, t: float) -> Seen | None:
        """Draw over the picture and say what is to be seen; None when the actor is not in view at `t`."""


def step_at(track: Sequence[Step], t: float) -> Step | None:
    """The step that covers `t`, or None before, between and after."""
    for step in track:
        if step.start_s <= t < step.end_s:
            return step
    return None


def distinct_colour(rng: np.random.Generator, avoid: Points, low: int = 20, high: int = 240) -> Colour:
    """The one of six random colours that is furthest from all of `avoid` (n, 3)."""
    candidates = [random_colour(rng, low, high) for _ in range(6)]
    return max(candidates, key=lambda colour: float(np.linalg.norm(avoid - np.array(colour), axis=1).min()))


def random_look(rng: np.random.Generator, avoid: Points) -> Look:
    """Clothing, skin, hair and build of one more person, whose clothes are told from the colours `avoid` (n, 3)."""
    return Look(
        skin=_SKINS[rng.integers(len(_SKINS))],
        hair=_HAIRS[rng.integers(len(_HAIRS))],
        top=distinct_colour(rng, avoid),
        legs=distinct_colour(rng, avoid, 10, 210),
        shoes=random_colour(rng, 10, 90),
        long_sleeves=bool(rng.random() < 0.85),
        build=float(rng.uniform(1.0, 1.35)),
    )


def random_style(rng: np.random.Generator) -> Style:
    """Phase, tempo and habits of one more person."""
    phase, a, b = (float(v) for v in rng.random(3))
    return Style(phase=phase, tempo=float(rng.uniform(0.85, 1.15)), a=a, b=b)


def _shadow(picture: Picture, x: float, y: float, half_width: float) -> None:
    y0, y1 = max(0, round(y - half_width * 0.14)), min(HEIGHT, round(y + half_width * 0.14) + 1)
    x0, x1 = max(0, round(x - half_width)), min(WIDTH, round(x + half_width))
    if y0 < y1 and x0 < x1:
        picture[y0:y1, x0:x1] = (picture[y0:y1, x0:x1] * np.float32(0.75)).astype(np.uint8)


_LYING_FROM_DEGREES = 40.0
_CLIMBING_FROM_LIFT = 0.1


@dataclass(frozen=True, slots=True)
class Person:
    """A person who follows a track."""

    height_px: float
    ground_y: float
    look: Look
    style: Style
    track: tuple[Step, ...]
    bicycle: Colour = (40, 40, 40)

    def draw(self, picture: Picture, t: float) -> Seen | None:
        """Draw the person, and the bicycle when riding one."""
        step = step_at(self.track, t)
        if step is None:
            return None
        stance = MOVEMENTS[step.doing](t - step.start_s, step.end_s - step.start_s, self.style)
        points = joints(stance.pose)
        points[:, 0] += stance.shift
        points[:, 1] += stance.lift
        x = step.x(t)
        pixels = np.empty_like(points)
        pixels[:, 0] = x + step.facing * points[:, 0] * self.height_px
        pixels[:, 1] = self.ground_y - points[:, 1] * self.height_px
        _shadow(picture, float(pixels[:, 0].mean()), self.ground_y, 0.2 * self.height_px)
        outline = pixels
        if step.doing == "cycle":
            wheels = self._draw_bicycle(picture, pixels, step.facing)
            outline = np.concatenate([pixels, wheels])
        draw_figure(picture, pixels, self.height_px, self.look)
        return Seen(_activity(step.doing, stance.pose.roll, stance.lift), outline, pixels)

    def _draw_bicycle(self, picture: Picture, pixels: Points, facing: int) -> Points:
        size, hip = self.height_px, pixels[2]
        radius = 0.19 * size
        rear = np.array([hip[0] - facing * 0.16 * size, self.ground_y - radius])
        front = np.array([hip[0] + facing * 0.50 * size, self.ground_y - radius])
        pedals = np.array([hip[0] + facing * 0.12 * size, self.ground_y - 0.16 * size])
        bar = np.array([hip[0] + facing * 0.36 * size, self.ground_y - 0.56 * size])
        for wheel in (rear, front):
            centre = (round(wheel[0]), round(wheel[1]))
            cv2.circle(picture, centre, round(radius), (25, 25, 25), 3, cv2.LINE_AA)
        seat = hip + np.array([0.0, 0.03 * size])
        tube = 0.035 * size
        for a, b in ((rear, seat), (seat, bar), (bar, front), (pedals, seat), (pedals, bar), (pedals, rear)):
            draw_line(picture, a, b, self.bicycle, tube)
        return np.stack([rear - radius, rear + radius, front - radius, front + radius])


def _activity(doing: str, roll: float, lift: float) -> str:
    if doing == "fall":
        return "fall" if abs(roll) >= _LYING_FROM_DEGREES else "stand"
    if doing == "climb":
        return "climb" if lift >= _CLIMBING_FROM_LIFT else "stand"
    return "walk" if doing == "carry" else doing


@dataclass(frozen=True, slots=True)
class Car:
    """A car or van driving along the picture."""

    length_px: float
    height_px: float
    ground_y: float
    paint: Colour
    is_van: bool
    track: tuple[Step, ...]

    def draw(self, picture: Picture, t: float) -> Seen | None:
        """Draw the car at its place of `t`."""
        step = step_at(self.track, t)
        if step is None:
            return None
        shape = np.array(_VAN if self.is_van else _CAR)
        x, y = step.x(t), self.ground_y
        scale = np.array([self.length_px * step.facing, -self.height_px])
        _shadow(picture, x, y, self.length_px * 0.5)
        cv2.fillPoly(picture, [np.round(shape * scale + (x, y)).astype(np.int32)], self.paint, cv2.LINE_AA)
        for window in _VAN_WINDOWS if self.is_van else _CAR_WINDOWS:
            glass = np.round(np.array(window) * scale + (x, y)).astype(np.int32)
            cv2.fillPoly(picture, [glass], (60, 72, 84), cv2.LINE_AA)
        for wheel in (-0.3, 0.31):
            hub = np.array([x + wheel * scale[0], y - 0.16 * self.height_px])
            draw_disc(picture, hub, 0.21 * self.height_px, (22, 22, 22))
            draw_disc(picture, hub, 0.1 * self.height_px, (150, 150, 150))
        return Seen("car", shape * scale + (x, y))


_CAR = ((-0.5, 0.14), (-0.5, 0.55), (-0.36, 0.6), (-0.24, 1.0), (0.14, 1.0), (0.28, 0.6), (0.48, 0.52), (0.5, 0.14))
_CAR_WINDOWS = (
    ((-0.31, 0.6), (-0.21, 0.93), (-0.06, 0.93), (-0.06, 0.6)),
    ((-0.02, 0.6), (-0.02, 0.93), (0.12, 0.93), (0.23, 0.6)),
)
_VAN = ((-0.5, 0.12), (-0.5, 1.0), (0.3, 1.0), (0.4, 0.6), (0.5, 0.52), (0.5, 0.12))
_VAN_WINDOWS = (((0.12, 0.6), (0.12, 0.92), (0.28, 0.92), (0.36, 0.6)),)


@dataclass(frozen=True, slots=True)
class Dog:
    """A dog trotting to and fro."""

    length_px: float
    ground_y: float
    coat: Colour
    phase: float
    track: tuple[Step, ...]

    def draw(self, picture: Picture, t: float) -> Seen | None:
        """Draw the dog at its place of `t`."""
        step = step_at(self.track, t)
        if step is None:
            return None
        size, moving = self.length_px, step.x_from != step.x_to
        back = np.array([step.x(t), self.ground_y - 0.52 * size])
        forward = np.array([step.facing, 0.0])
        _shadow(picture, back[0], self.ground_y, 0.5 * size)
        for index, place in enumerate((-0.34, 0.3, -0.26, 0.38)):
            swing = 0.16 * np.sin(2 * np.pi * (1.6 * t + self.phase + (index % 4 in (1, 2)) * 0.5)) * moving
            hip = back + forward * place * size
            foot = np.array([hip[0] + step.facing * swing * size, self.ground_y])
            draw_line(picture, hip, foot, darker(self.coat, 0.7 if index < 2 else 0.95), 0.09 * size)
        draw_line(picture, back - forward * 0.34 * size, back + forward * 0.34 * size, self.coat, 0.27 * size)
        head = back + forward * 0.52 * size + np.array([0.0, -0.22 * size])
        draw_line(picture, back + forward * 0.34 * size, head, self.coat, 0.16 * size)
        draw_disc(picture, head, 0.14 * size, self.coat)
        draw_line(
            picture,
            head,
            head + forward * 0.2 * size + np.array([0.0, 0.05 * size]),
            darker(self.coat, 0.85),
            0.11 * size,
        )
        draw_line(
            picture,
            head,
            head + np.array([-forward[0] * 0.08 * size, -0.2 * size]),
            darker(self.coat, 0.6),
            0.08 * size,
        )
        wag = 0.08 * np.sin(2 * np.pi * 2.1 * t)
        tail = back - forward * 0.6 * size + np.array([0.0, (-0.26 + wag) * size])
        draw_line(picture, back - forward * 0.36 * size, tail, self.coat, 0.07 * size)
        feet = back + size * np.array([[0.4, 0.52], [-0.4, 0.52]])
        return Seen("animal", np.stack([head, tail, *feet]))


@dataclass(frozen=True, slots=True)
class Suitcase:
    """A large suitcase: carried while its step says "carried", left behind while it says "bag"."""

    width_px: float
    height_px: float
    ground_y: float
    colour: Colour
    carried_lift_px: float
    track: tuple[Step, ...]

    def draw(self, picture: Picture, t: float) -> Seen | None:
        """Draw the suitcase at its place of `t`."""
        step = step_at(self.track, t)
        if step is None:
            return None
        lift = self.carried_lift_px if step.doing == "carried" else 0.0
        x, y = step.x(t), self.ground_y - lift
        half = self.width_px / 2
        top = y - self.height_px
        _shadow(picture, x, self.ground_y, half * 1.2)
        corner, opposite = (round(x - half), round(top)), (round(x + half), round(y))
        cv2.rectangle(picture, corner, opposite, self.colour, -1, cv2.LINE_AA)
        cv2.rectangle(picture, corner, opposite, darker(self.colour, 0.45), 2, cv2.LINE_AA)
        for share in (0.3, 0.7):
            band = round(x - half + share * self.width_px)
            cv2.line(picture, (band, round(top)), (band, round(y)), darker(self.colour, 0.6), 2)
        handle = (round(x - half * 0.4), round(top - 0.16 * self.height_px)), (round(x + half * 0.4), round(top))
        cv2.rectangle(picture, *handle, (30, 30, 30), 2, cv2.LINE_AA)
        return Seen(step.doing, np.array([corner, opposite, (corner[0], opposite[1]), (opposite[0], corner[1])], float))
