"""What stands in a simulated room: one row of `THINGS` a kind, made of a few primitive solids.

A maker builds its thing in its own frame: z up, lowest point at z = 0, centred on x = y = 0.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np

from calipers.samples.solids import Paint, Part, Rgb, ball, block, post, rod, rotation

Rng = np.random.Generator
Maker = Callable[[Rng, Paint], list[Part]]
Where = Literal["floor", "top", "wall"]

COLOURS: dict[str, Rgb] = {
    "red": (0.78, 0.10, 0.10),
    "green": (0.13, 0.55, 0.20),
    "blue": (0.12, 0.28, 0.75),
    "yellow": (0.93, 0.80, 0.12),
    "orange": (0.95, 0.48, 0.08),
    "purple": (0.47, 0.18, 0.60),
    "pink": (0.95, 0.55, 0.68),
    "white": (0.93, 0.93, 0.91),
    "black": (0.08, 0.08, 0.09),
    "gray": (0.48, 0.48, 0.50),
    "turquoise": (0.15, 0.70, 0.68),
    "beige": (0.84, 0.76, 0.60),
}
WOOD: dict[str, Rgb] = {"wooden": (0.60, 0.40, 0.22), "dark wooden": (0.34, 0.20, 0.11)}
METAL: dict[str, Rgb] = {"metal": (0.66, 0.67, 0.70), "black": (0.10, 0.10, 0.11)}
CARDBOARD: dict[str, Rgb] = {"cardboard": (0.72, 0.54, 0.34)}
YELLOW: dict[str, Rgb] = {"yellow": (0.96, 0.82, 0.18)}
DARK = Paint((0.12, 0.12, 0.13))
STEEL = Paint((0.62, 0.63, 0.66))
BARK = Paint((0.36, 0.24, 0.14))
LEAF = Paint((0.16, 0.46, 0.16))


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of thing: its noun, its maker, where it stands and what it may be made of."""

    noun: str
    make: Maker
    where: Where
    materials: dict[str, Rgb]
    lies: float = 0.0  # share that lies or leans instead of standing


def _legs(wide: float, deep: float, height: float, radius: float, paint: Paint) -> list[Part]:
    x, y = wide / 2 - radius, deep / 2 - radius
    return [post(radius, height, (sx * x, sy * y, 0), paint) for sx in (-1, 1) for sy in (-1, 1)]


def chair(rng: Rng, paint: Paint) -> list[Part]:
    """Seat, back and four thin legs."""
    wide, deep, seat = rng.uniform(0.40, 0.48), rng.uniform(0.40, 0.48), rng.uniform(0.42, 0.48)
    back = rng.uniform(0.38, 0.52)
    return [
        *_legs(wide, deep, seat, rng.uniform(0.015, 0.025), paint),
        block((wide, deep, 0.04), (0, 0, seat + 0.02), paint),
        block((wide, 0.03, back), (0, deep / 2 - 0.015, seat + 0.04 + back / 2), paint),
    ]


def stool(rng: Rng, paint: Paint) -> list[Part]:
    """A round seat on four legs."""
    radius, height = rng.uniform(0.15, 0.2), rng.uniform(0.42, 0.65)
    side = 1.3 * radius
    return [*_legs(side, side, height, 0.018, paint), post(radius, 0.04, (0, 0, height), paint)]


def table(rng: Rng, paint: Paint) -> list[Part]:
    """A flat top on four legs."""
    wide, deep, height = rng.uniform(0.8, 1.5), rng.uniform(0.6, 0.9), rng.uniform(0.68, 0.78)
    return [
        *_legs(wide - 0.06, deep - 0.06, height, rng.uniform(0.02, 0.04), paint),
        block((wide, deep, 0.035), (0, 0, height + 0.0175), paint),
    ]


def coffee_table(rng: Rng, paint: Paint) -> list[Part]:
    """A low table."""
    wide, deep, height = rng.uniform(0.6, 1.1), rng.uniform(0.45, 0.65), rng.uniform(0.32, 0.45)
    return [
        *_legs(wide, deep, height, 0.025, paint),
        block((wide, deep, 0.03), (0, 0, height + 0.015), paint),
    ]


def sofa(rng: Rng, paint: Paint) -> list[Part]:
    """Base, back and two arms."""
    wide, deep, seat = rng.uniform(1.2, 2.0), rng.uniform(0.75, 0.95), rng.uniform(0.38, 0.46)
    back, arm = rng.uniform(0.3, 0.45), rng.uniform(0.12, 0.2)
    side = wide / 2 + arm / 2
    return [
        block((wide, deep, seat), (0, 0, seat / 2), paint),
        block((wide, 0.2, back), (0, deep / 2 - 0.1, seat + back / 2), paint),
        block((arm, deep, seat + 0.16), (-side, 0, seat / 2 + 0.08), paint),
        block((arm, deep, seat + 0.16), (side, 0, seat / 2 + 0.08), paint),
    ]


def armchair(rng: Rng, paint: Paint) -> list[Part]:
    """A sofa for one."""
    wide, deep, seat = rng.uniform(0.5, 0.6), rng.uniform(0.65, 0.75), rng.uniform(0.38, 0.44)
    side = wide / 2 + 0.06
    return [
        block((wide, deep, seat), (0, 0, seat / 2), paint),
        block((wide, 0.16, 0.42), (0, deep / 2 - 0.08, seat + 0.21), paint),
        block((0.12, deep, seat + 0.18), (-side, 0, seat / 2 + 0.09), paint),
        block((0.12, deep, seat + 0.18), (side, 0, seat / 2 + 0.09), paint),
    ]


def cabinet(rng: Rng, paint: Paint) -> list[Part]:
    """A closed body with two knobs on the front."""
    wide, deep, high = rng.uniform(0.5, 1.1), rng.uniform(0.35, 0.5), rng.uniform(0.6, 1.2)
    knobs = [ball((0.018,), (x, -deep / 2 - 0.012, 0.6 * high), STEEL) for x in (-0.04, 0.04)]
    return [block((wide, deep, high), (0, 0, high / 2), paint), *knobs]


def shelf(rng: Rng, paint: Paint) -> list[Part]:
    """Two sides, a back and three to five boards."""
    wide, deep, high = rng.uniform(0.6, 1.0), rng.uniform(0.25, 0.35), rng.uniform(0.9, 1.8)
    boards = np.linspace(0.06, high - 0.01, int(rng.integers(3, 6)))
    side = wide / 2 - 0.01
    return [
        block((0.02, deep, high), (-side, 0, high / 2), paint),
        block((0.02, deep, high), (side, 0, high / 2), paint),
        block((wide - 0.04, 0.01, high), (0, deep / 2 - 0.005, high / 2), paint),
        *[block((wide - 0.04, deep - 0.01, 0.02), (0, -0.005, z), paint) for z in boards],
    ]


def floor_lamp(rng: Rng, paint: Paint) -> list[Part]:
    """Foot, thin pole and shade."""
    high, shade = rng.uniform(1.2, 1.6), rng.uniform(0.14, 0.22)
    return [
        post(0.14, 0.025, (0, 0, 0), DARK),
        post(0.012, high, (0, 0, 0.025), DARK),
        post(shade, rng.uniform(0.2, 0.3), (0, 0, high), paint),
    ]


def plant(rng: Rng, paint: Paint) -> list[Part]:
    """A pot, a stem and leaves."""
    pot, high = rng.uniform(0.1, 0.18), rng.uniform(0.3, 0.7)
    stem = 1.8 * pot + high
    turns = np.linspace(0, 2 * np.pi, 7)[:-1] + rng.uniform(0, 1)
    leaves = []
    for i, angle in enumerate(turns):
        out = rng.uniform(0.6, 1.0) * 0.35 * high
        at = (out * np.cos(angle), out * np.sin(angle), stem - 0.12 * high * (i % 3))
        leaf = ball((0.5 * high, 0.16 * high, 0.04 * high), (0, 0, 0), LEAF)
        tilt = rotation((0, 0, 1), angle) @ rotation((0, 1, 0), -rng.uniform(0.1, 0.7))
        leaves.append(leaf.moved(tilt, np.array(at)))
    stem_part = post(0.012, stem - 1.8 * pot, (0, 0, 1.8 * pot), BARK)
    return [post(pot, 1.8 * pot, (0, 0, 0), paint), stem_part, *leaves]


def _ring(radius: float, height: float, lean: float, wall: float, paint: Paint) -> list[Part]:
    """A hollow vessel: a round base and twelve wall pieces that lean outwards."""
    base = post(radius, wall, (0, 0, 0), paint)
    pieces = []
    for angle in np.arange(12) * np.pi / 6:
        width = 2 * (radius + height * np.sin(lean)) * np.tan(np.pi / 12) + wall
        piece = block((wall, width, height), (0, 0, height / 2), paint)
        turn = rotation((0, 0, 1), angle) @ rotation((0, 1, 0), lean)
        at = np.array([radius * np.cos(angle), radius * np.sin(angle), 0.5 * wall * np.sin(lean)])
        pieces.append(piece.moved(turn, at))
    return [base, *pieces]


def bin_(rng: Rng, paint: Paint) -> list[Part]:
    """An open round waste bin."""
    return _ring(rng.uniform(0.11, 0.16), rng.uniform(0.25, 0.4), 0.12, 0.006, paint)


def bowl(rng: Rng, paint: Paint) -> list[Part]:
    """An open bowl with slanted walls."""
    return _ring(rng.uniform(0.04, 0.07), rng.uniform(0.05, 0.08), 0.7, 0.005, paint)


def big_box(rng: Rng, paint: Paint) -> list[Part]:
    """A closed box, 20 to 60 cm."""
    x, y, z = rng.uniform(0.2, 0.6, 3)
    return [block((x, y, z), (0, 0, z / 2), paint)]


def open_box(rng: Rng, paint: Paint) -> list[Part]:
    """A box without lid."""
    x, y, z = rng.uniform(0.25, 0.5), rng.uniform(0.2, 0.4), rng.uniform(0.12, 0.3)
    wall = 0.006
    return [
        block((x, y, wall), (0, 0, wall / 2), paint),
        *[block((x, wall, z), (0, s * (y - wall) / 2, z / 2), paint) for s in (-1, 1)],
        *[block((wall, y, z), (s * (x - wall) / 2, 0, z / 2), paint) for s in (-1, 1)],
    ]


def exercise_ball(rng: Rng, paint: Paint) -> list[Part]:
    """A ball of 20 to 60 cm."""
    radius = rng.uniform(0.1, 0.3)
    return [ball((radius,), (0, 0, radius), paint)]


def suitcase(rng: Rng, paint: Paint) -> list[Part]:
    """A case with a pull-out handle."""
    x, y, z = rng.uniform(0.35, 0.5), rng.uniform(0.2, 0.28), rng.uniform(0.5, 0.7)
    top, half = z + rng.uniform(0.1, 0.35), 0.08
    return [
        block((x, y, z), (0, 0, z / 2), paint),
        rod((-half, y / 3, z), (-half, y / 3, top), 0.009, DARK),
        rod((half, y / 3, z), (half, y / 3, top), 0.009, DARK),
        rod((-half, y / 3, top), (half, y / 3, top), 0.012, DARK),
    ]


def picture(rng: Rng, paint: Paint) -> list[Part]:
    """A framed picture: thin, upright, its face towards -y."""
    x, z = rng.uniform(0.3, 0.8), rng.uniform(0.3, 0.6)
    inside = Paint(COLOURS[str(rng.choice(["blue", "beige", "turquoise"]))], "checker", 0.1)
    return [
        block((x, 0.025, z), (0, 0, z / 2), paint),
        block((x - 0.06, 0.004, z - 0.06), (0, -0.0135, z / 2), inside),
    ]


def mug(rng: Rng, paint: Paint) -> list[Part]:
    """A cylinder with a handle of three rods."""
    radius, high = rng.uniform(0.035, 0.045), rng.uniform(0.08, 0.11)
    out, low, top = radius + 0.028, 0.25 * high, 0.75 * high
    corners = [(radius, 0, low), (out, 0, low + 0.01), (out, 0, top - 0.01), (radius, 0, top)]
    handle = [rod(a, b, 0.005, paint) for a, b in pairwise(corners)]
    return [post(radius, high, (0, 0, 0), paint), *handle]


def bottle(rng: Rng, paint: Paint) -> list[Part]:
    """Body, shoulder, neck and cap."""
    radius, high = rng.uniform(0.028, 0.042), rng.uniform(0.13, 0.2)
    cap = Paint(COLOURS[str(rng.choice(["white", "black", "red"]))])
    return [
        post(radius, high, (0, 0, 0), paint),
        ball((radius, radius, 0.04), (0, 0, high), paint),
        post(0.4 * radius, 0.07, (0, 0, high), paint),
        post(0.45 * radius, 0.018, (0, 0, high + 0.07), cap),
    ]


def book(rng: Rng, paint: Paint) -> list[Part]:
    """Two covers around paper."""
    x, y, z = rng.uniform(0.13, 0.2), rng.uniform(0.18, 0.27), rng.uniform(0.015, 0.045)
    paper = Paint((0.92, 0.90, 0.82))
    return [
        block((x, y, 0.003), (0, 0, 0.0015), paint),
        block((x - 0.008, y - 0.008, z - 0.006), (0, 0, z / 2), paper),
        block((x, y, 0.003), (0, 0, z - 0.0015), paint),
        block((0.003, y, z), (-x / 2 + 0.0015, 0, z / 2), paint),
    ]


def laptop(rng: Rng, paint: Paint) -> list[Part]:
    """A base with a tilted screen."""
    x, y = rng.uniform(0.3, 0.37), rng.uniform(0.2, 0.25)
    lid = block((x, y, 0.008), (0, y / 2, 0.004), paint)
    glass = block((x - 0.02, y - 0.02, 0.001), (0, y / 2, 0.0085), Paint((0.2, 0.35, 0.55)))
    keys = block((x - 0.04, 0.45 * y, 0.001), (0, 0.12 * y, 0.0185), DARK)
    turn = rotation((1, 0, 0), np.deg2rad(rng.uniform(65, 85)))
    hinge = np.array([0, y / 2 + 0.001, 0.012])
    # the lid opens from the back edge of the base; its inner face looks towards -y
    moved = [part.moved(turn, hinge) for part in (lid, glass)]
    return [block((x, y, 0.018), (0, 0, 0.009), paint), keys, *moved]


def banana(rng: Rng, paint: Paint) -> list[Part]:
    """An arc of five rods lying on its side."""
    length, radius = rng.uniform(0.08, 0.1), rng.uniform(0.014, 0.018)
    turns = np.linspace(-0.95, 0.95, 6)
    spine = [(length * np.sin(t), length * (np.cos(t) - 0.8), radius) for t in turns]
    thick = [0.75, 0.95, 1.0, 0.95, 0.75]
    rods = zip(spine, spine[1:], thick, strict=False)
    return [rod(a, b, radius * share, paint) for a, b, share in rods]


def sphere(rng: Rng, paint: Paint) -> list[Part]:
    """A ball of 4 to 16 cm."""
    radius = rng.uniform(0.02, 0.08)
    return [ball((radius,), (0, 0, radius), paint)]


def cube(rng: Rng, paint: Paint) -> list[Part]:
    """A cube of 3 to 10 cm."""
    side = rng.uniform(0.03, 0.1)
    return [block((side, side, side), (0, 0, side / 2), paint)]


def small_box(rng: Rng, paint: Paint) -> list[Part]:
    """A packet, 5 to 25 cm."""
    x, y, z = rng.uniform(0.05, 0.25), rng.uniform(0.04, 0.16), rng.uniform(0.03, 0.22)
    return [block((x, y, z), (0, 0, z / 2), paint)]


def can(rng: Rng, paint: Paint) -> list[Part]:
    """A tin with steel ends."""
    radius, high = rng.uniform(0.03, 0.045), rng.uniform(0.08, 0.14)
    return [
        post(0.96 * radius, high, (0, 0, 0), STEEL),
        post(radius, high - 0.008, (0, 0, 0.004), paint),
    ]


def vase(rng: Rng, paint: Paint) -> list[Part]:
    """An ellipsoid body with a neck and a foot."""
    radius, high = rng.uniform(0.05, 0.08), rng.uniform(0.14, 0.26)
    return [
        post(0.6 * radius, 0.012, (0, 0, 0), paint),
        ball((radius, radius, high / 2), (0, 0, high / 2), paint),
        post(0.4 * radius, 0.18 * high, (0, 0, 0.92 * high), paint),
    ]


def desk_lamp(rng: Rng, paint: Paint) -> list[Part]:
    """Foot, two arms and a head."""
    low, high = rng.uniform(0.15, 0.2), rng.uniform(0.28, 0.36)
    return [
        post(0.07, 0.02, (0, 0, 0), paint),
        rod((0, 0, 0.02), (-0.06, 0, low), 0.008, paint),
        rod((-0.06, 0, low), (0.05, 0, high), 0.008, paint),
        ball((0.05, 0.05, 0.035), (0.07, 0, high), paint),
    ]


def pen(rng: Rng, paint: Paint) -> list[Part]:
    """A thin rod lying down, a marker of 12 to 16 cm."""
    half, radius = rng.uniform(0.06, 0.08), rng.uniform(0.006, 0.01)
    return [rod((-half, 0, radius), (half, 0, radius), radius, paint)]


def board(rng: Rng, paint: Paint) -> list[Part]:
    """A plank, upright in x-z, thin in y; set leaning by the scene."""
    x, z = rng.uniform(0.15, 0.5), rng.uniform(0.6, 1.4)
    return [block((x, 0.02, z), (0, 0, z / 2), paint)]


def photo(rng: Rng, paint: Paint) -> list[Part]:
    """A tilted photo frame with its stand."""
    x, z, lean = rng.uniform(0.1, 0.18), rng.uniform(0.12, 0.22), rng.uniform(0.15, 0.3)
    turn = rotation((1, 0, 0), -lean)
    inside = Paint(COLOURS["beige"], "checker", 0.05)
    lift = np.array([0, 0, 0.006 * np.sin(lean)])
    plate = block((x, 0.012, z), (0, 0, z / 2), paint).moved(turn, lift)
    view = block((x - 0.03, 0.002, z - 0.03), (0, -0.0065, z / 2), inside).moved(turn, lift)
    top = turn @ np.array([0, 0.004, 0.7 * z])
    return [plate, view, rod(top, (0, top[1] + 0.35 * z, 0.004), 0.004, paint)]


def teddy(rng: Rng, paint: Paint) -> list[Part]:
    """A sitting toy bear of ellipsoids."""
    s = rng.uniform(0.7, 1.3)
    spheres = [
        ((0.07, 0.06, 0.08), (0, 0, 0.08)),
        ((0.055, 0.05, 0.05), (0, -0.01, 0.19)),
        ((0.02, 0.012, 0.02), (-0.045, 0, 0.235)),
        ((0.02, 0.012, 0.02), (0.045, 0, 0.235)),
        ((0.022, 0.05, 0.022), (-0.085, -0.03, 0.12)),
        ((0.022, 0.05, 0.022), (0.085, -0.03, 0.12)),
        ((0.028, 0.065, 0.028), (-0.045, -0.08, 0.03)),
        ((0.028, 0.065, 0.028), (0.045, -0.08, 0.03)),
    ]
    return [
        ball(np.multiply(r, s).tolist(), np.multiply(at, s).tolist(), paint) for r, at in spheres
    ]


SOFT = {name: COLOURS[name] for name in ("red", "green", "blue", "gray", "beige", "purple")}
BEAR: dict[str, Rgb] = {"brown": (0.45, 0.28, 0.15), "white": COLOURS["white"]}
WOODEN = {**WOOD, "white": COLOURS["white"]}

THINGS: tuple[Kind, ...] = (
    Kind("chair", chair, "floor", {**WOOD, **COLOURS}),
    Kind("stool", stool, "floor", {**WOOD, **METAL}),
    Kind("table", table, "floor", WOODEN),
    Kind("coffee table", coffee_table, "floor", WOODEN),
    Kind("sofa", sofa, "floor", SOFT),
    Kind("armchair", armchair, "floor", SOFT),
    Kind("cabinet", cabinet, "floor", WOODEN),
    Kind("shelf", shelf, "floor", WOODEN),
    Kind("floor lamp", floor_lamp, "floor", COLOURS),
    Kind("potted plant", plant, "floor", COLOURS),
    Kind("waste bin", bin_, "floor", {**METAL, **COLOURS}),
    Kind("box", big_box, "floor", {**CARDBOARD, **COLOURS}),
    Kind("open box", open_box, "floor", CARDBOARD),
    Kind("exercise ball", exercise_ball, "floor", COLOURS),
    Kind("suitcase", suitcase, "floor", COLOURS),
    Kind("board", board, "floor", WOOD, lies=1.0),
    Kind("picture", picture, "wall", WOODEN),
    Kind("mug", mug, "top", COLOURS, lies=0.1),
    Kind("bottle", bottle, "top", COLOURS, lies=0.2),
    Kind("bowl", bowl, "top", COLOURS),
    Kind("book", book, "top", COLOURS),
    Kind("laptop", laptop, "top", METAL),
    Kind("banana", banana, "top", YELLOW),
    Kind("ball", sphere, "top", COLOURS),
    Kind("cube", cube, "top", COLOURS),
    Kind("box", small_box, "top", {**CARDBOARD, **COLOURS}),
    Kind("can", can, "top", COLOURS, lies=0.2),
    Kind("vase", vase, "top", COLOURS),
    Kind("desk lamp", desk_lamp, "top", COLOURS),
    Kind("marker", pen, "top", COLOURS),
    Kind("photo frame", photo, "top", {**WOOD, "black": COLOURS["black"]}),
    Kind("teddy bear", teddy, "top", BEAR),
)


def kinds(where: Where) -> Sequence[Kind]:
    """The rows of `THINGS` that stand there."""
    return [kind for kind in THINGS if kind.where == where]
