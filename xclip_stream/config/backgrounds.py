"""The built-in background groups: prompts that describe an ordinary scene, for rules that bring none of their own.

They say what is usually seen where nothing is wrong, people included, so that a rule has to be told apart from them and
not from emptiness alone.
"""

from collections.abc import Mapping

DEFAULT_GROUP = "default"

_ANYWHERE = (
    "an empty scene with nobody in it",
    "nothing is happening",
    "a person walking",
    "a person standing still",
    "people walking past",
    "two people talking to each other",
)

GROUPS: Mapping[str, tuple[str, ...]] = {
    DEFAULT_GROUP: (
        *_ANYWHERE,
        "a person sitting",
        "a person carrying something",
        "a car driving past",
        "a dog or a cat walking around",
        "trees moving in the wind",
        "a dark picture at night",
    ),
    "indoors": (
        "an empty room",
        "an empty corridor",
        "a person walking through a room",
        "a person standing in a room",
        "a person sitting on a chair",
        "people sitting and talking",
        "a person opening a door",
        "a person cleaning the floor",
        "a cat or a dog in a room",
        "a dark room with the lights off",
    ),
    "outdoors": (
        "an empty yard",
        "an empty field",
        "a person walking outside",
        "a person standing outside",
        "a person working in a garden",
        "a parked car",
        "a bird or a dog moving about",
        "trees and bushes moving in the wind",
        "rain or snow falling",
        "shadows moving over the ground",
        "a yard at night",
    ),
    "street": (
        "an empty street",
        "cars driving along a road",
        "a parked car at the side of the road",
        "a bus or a truck driving past",
        "a person riding a bicycle",
        "people walking on the pavement",
        "a person crossing the road",
        "people waiting at a bus stop",
        "a person walking a dog",
        "traffic at night",
    ),
    "office": (
        "an empty office",
        "a person working at a computer",
        "a person sitting at a desk",
        "people talking in a meeting",
        "a person walking through an office",
        "a person talking on the phone",
        "a person drinking coffee",
        "a person reading papers",
        "an office at night with the lights off",
    ),
    "shop": (
        "an empty shop",
        "customers looking at the shelves",
        "a customer paying at the counter",
        "a shop assistant standing behind the counter",
        "a person pushing a shopping trolley",
        "a person filling the shelves",
        "people waiting in a queue",
        "a closed shop at night",
    ),
    "warehouse": (
        "an empty warehouse",
        "a forklift carrying pallets",
        "a worker walking between the shelves",
        "a worker lifting a box",
        "a truck at a loading dock",
        "workers packing boxes",
        "boxes standing on shelves",
        "a warehouse at night",
    ),
}
