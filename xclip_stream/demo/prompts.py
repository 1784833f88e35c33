"""What the demo model can be asked: each activity in many free-text ways.

`CANONICAL` is what the demo's configuration uses. `training_prompts` are sentences composed of a subject, a phrase and
sometimes a place; `HELD_OUT` are sentences in which the words are known but that no training step ever sees.
"""

from collections.abc import Mapping
from itertools import product

from xclip_stream.demo.script import ACTIVITIES

CANONICAL: Mapping[str, str] = {
    "fall": "a person falling down and lying on the ground",
    "climb": "a person climbing over a fence",
    "fight": "two people fighting",
    "wave": "a person waving both arms",
    "run": "a person running",
    "cycle": "a person riding a bicycle",
    "bag": "a suitcase left alone on the ground",
    "walk": "a person walking",
    "stand": "a person standing still",
    "car": "a car driving past",
    "animal": "a dog walking around",
    "trees": "trees swaying in the wind",
    "empty": "an empty place with nobody",
}

_ONE = ("a person", "someone", "a man", "a woman", "somebody", "one person", "a pedestrian")
_TWO = ("two people", "two men", "two persons", "people", "a man and a woman", "two women", "some people")
_CASE = ("a suitcase", "a bag", "luggage", "a large bag", "one suitcase", "an abandoned bag", "an unattended suitcase")
_CAR = ("a car", "cars", "a vehicle", "a van", "one car", "traffic", "vehicles")
_DOG = ("a dog", "an animal", "a big dog", "one dog", "some animal", "a stray dog", "a pet")
_TREES = ("trees", "some trees", "the trees", "green trees", "tall trees", "leaves of trees", "branches of trees")
_PLACE = ("an empty place", "a quiet place", "an empty scene", "a deserted place", "an empty view", "a quiet scene")

_PHRASES: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "fall": (
        _ONE,
        (
            "falling down",
            "lying on the ground",
            "lying on the floor",
            "falls to the ground",
            "has fallen down",
            "collapsing and lying still",
            "collapses to the floor",
            "lies on the ground",
            "fallen and not getting up",
            "lying down after a fall",
            "falling and lying on the floor",
            "who collapsed and lies there",
            "lying flat on the ground",
            "that fell over",
            "falling over and lying still",
        ),
    ),
    "climb": (
        _ONE,
        (
            "climbing a fence",
            "climbing over the fence",
            "climbs over a wall",
            "climbing up a gate",
            "climbs a fence",
            "scaling a fence",
            "scaling the wall",
            "getting over a fence",
            "clambering over a gate",
            "climbing up the fence",
            "scales a high fence",
            "who climbs up a fence",
            "clambering up a fence",
            "hanging on a fence",
            "going over the fence",
        ),
    ),
    "fight": (
        _TWO,
        (
            "in a fight",
            "fight with each other",
            "punching each other",
            "punching and kicking",
            "hitting each other",
            "having a fight",
            "in a brawl",
            "brawling",
            "attacking each other",
            "beating each other",
            "kicking each other",
            "who fight",
            "exchanging punches",
            "fighting with fists",
            "in a violent fight",
        ),
    ),
    "wave": (
        _ONE,
        (
            "waving",
            "waving with both arms",
            "waving the arms",
            "waves both hands",
            "waving hands in the air",
            "waving for help",
            "with raised arms waving",
            "raising both arms",
            "waves with the arms up",
            "signalling with the arms",
            "waving overhead",
            "who waves for help",
            "swinging the arms overhead",
            "with both arms up",
            "waving both hands overhead",
        ),
    ),
    "run": (
        _ONE,
        (
            "running fast",
            "runs",
            "running to and fro",
            "sprinting",
            "running past",
            "runs across",
            "in a hurry running",
            "who runs",
            "jogging",
            "running across",
            "sprints past",
            "running away",
            "runs very fast",
            "racing past",
            "running back and forth",
        ),
    ),
    "cycle": (
        _ONE,
        (
            "riding a bike",
            "on a bicycle",
            "cycling",
            "cycling past",
            "rides a bicycle",
            "rides a bike past",
            "on a bike",
            "riding past on a bicycle",
            "pedalling a bicycle",
            "who rides a bike",
            "who is cycling",
            "pedalling past on a bike",
            "riding a bicycle around",
            "cycling across",
            "with a bicycle riding",
        ),
    ),
    "bag": (
        _CASE,
        (
            "left on the ground",
            "left alone",
            "left behind",
            "left unattended",
            "standing alone on the ground",
            "abandoned",
            "without an owner",
            "nobody takes",
            "forgotten on the floor",
            "that was left behind",
            "standing unattended",
            "abandoned on the floor",
            "put down and left",
            "left standing",
            "forgotten",
        ),
    ),
    "walk": (
        _ONE,
        (
            "walks",
            "walking past",
            "walking by",
            "walks across",
            "strolling",
            "walking slowly",
            "walks by",
            "going by on foot",
            "taking a walk",
            "who walks",
            "strolling past",
            "walking along",
            "walking to and fro",
            "passing by on foot",
            "walks along calmly",
        ),
    ),
    "stand": (
        _ONE,
        (
            "standing",
            "standing there",
            "stands still",
            "waiting",
            "stands and waits",
            "standing around",
            "just standing",
            "who stands there",
            "standing upright",
            "waiting calmly",
            "not moving standing",
            "stands there waiting",
            "standing and waiting",
            "standing idle",
            "stands around",
        ),
    ),
    "car": (
        _CAR,
        (
            "driving by",
            "driving past",
            "passing by",
            "on the road",
            "drives past",
            "going by",
            "driving along",
            "drives along the road",
            "passing",
            "moving along the road",
            "rolling past",
            "driving across",
            "drives by",
            "driving on the road",
            "in traffic",
        ),
    ),
    "animal": (
        _DOG,
        (
            "walking around",
            "running around",
            "trotting past",
            "trotting",
            "wandering around",
            "strolling around",
            "walking past",
            "roaming",
            "roaming around",
            "that wanders past",
            "on four legs",
            "trots by",
            "passing by",
            "running past",
            "wandering by",
        ),
    ),
    "trees": (
        _TREES,
        (
            "swaying",
            "moving in the wind",
            "in the wind",
            "swaying in the breeze",
            "in a breeze",
            "shaken by the wind",
            "swinging in the wind",
            "rustling in the wind",
            "moving in the breeze",
            "waving in the wind",
            "on a windy day",
            "in strong wind",
            "rustling",
            "shaking in the breeze",
            "swaying gently",
        ),
    ),
    "empty": (
        _PLACE,
        (
            "with no people",
            "where nothing happens",
            "without people",
            "with nothing happening",
            "with no one there",
            "without anybody",
            "where nobody is",
            "with nothing moving",
            "with nobody there",
            "and nothing else",
            "with no person",
            "and no one around",
            "with nobody around",
            "without any movement",
            "and no people",
        ),
    ),
}

_WHERE = ("", "", "", " outside", " in the yard", " on the street", " here", " in the area", " in front of the camera")

HELD_OUT: Mapping[str, tuple[str, ...]] = {
    "fall": (
        "somebody collapsed on the ground",
        "a woman has fallen over and lies still",
        "a man lies flat on the floor",
    ),
    "climb": ("somebody scales a gate", "a man going up and over a wall", "a woman clambering over the high fence"),
    "fight": (
        "two men hitting and kicking",
        "people beating and punching each other",
        "a violent brawl of two persons",
    ),
    "wave": (
        "a woman raising the hands and waving",
        "somebody signalling for help with raised arms",
        "a man swinging both hands",
    ),
    "run": ("a woman sprinting across", "somebody who runs fast past", "a man jogging to and fro"),
    "cycle": ("a woman pedalling a bike", "somebody cycling on a bike", "a man who rides past on a bicycle"),
    "bag": ("an abandoned suitcase left alone", "luggage forgotten on the ground", "a large bag that nobody takes"),
    "walk": ("a woman strolling along", "somebody who is walking by slowly", "a man passing on foot"),
    "stand": ("a woman waiting and standing still", "somebody stands upright", "a man just waiting there"),
    "car": ("a vehicle drives across", "a van rolling by", "vehicles passing along the road"),
    "animal": ("a stray dog trots past", "a big animal wandering", "a dog that is roaming by"),
    "trees": ("leaves rustling in a breeze", "tall trees shaken in strong wind", "branches swinging in the breeze"),
    "empty": (
        "a deserted scene without anybody",
        "a quiet view where nothing is moving",
        "an empty scene with no one around",
    ),
}


def training_prompts(activity: str) -> tuple[str, ...]:
    """Every training sentence of an activity, the canonical one first; never one of `HELD_OUT`."""
    subjects, phrases = _PHRASES[activity]
    composed = (f"{who} {what}{where}" for who, what, where in product(subjects, phrases, dict.fromkeys(_WHERE)))
    known = dict.fromkeys([CANONICAL[activity], *composed])
    return tuple(prompt for prompt in known if prompt not in HELD_OUT[activity])


def corpus() -> tuple[str, ...]:
    """All training sentences of all activities: what the tokenizer is trained on."""
    return tuple(prompt for activity in ACTIVITIES for prompt in training_prompts(activity))
