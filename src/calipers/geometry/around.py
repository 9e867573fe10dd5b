"""What surrounds an object: surfaces its mask bleeds onto, and what it stands on (`c/around.c`)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calipers.geometry.crop import Crop
from calipers.geometry.kernel import library, pointer
from calipers.types import Bools, Doubles, Floats

Positions = NDArray[np.int32]
_MOST_SEEN = 64


@dataclass(frozen=True, slots=True)
class Base:
    """A level surface seen around the lower end of an object.

    Attributes:
        height: along the up axis, from the camera, metres.
        ahead: how far ahead of the camera it is seen just under the object, metres; -inf when it
            is not seen there.
        rows, columns: (N,) some pixels of the frame that show it.
    """

    height: float
    ahead: float
    rows: Positions
    columns: Positions


def surfaces(crop: Crop, planes: Floats, noise: float, exact: bool) -> Bools:
    """Mark the pixels of a crop on surfaces around the object, (h, w).

    A surface counts when the ring around the mask shows it and the inside of the mask does not.

    Args:
        planes: (N, 4) unit normals and offsets, camera frame: height = normal·X + offset, metres.
        noise: standard deviation of the inverse depth.
        exact: readings need no smoothing.
    """
    on = np.empty(crop.shape, np.bool_)
    count = len(planes)
    start = pointer(planes, np.float32, (count, 4))
    library.surfaces(crop.record, start, count, noise, exact, pointer(on))
    return on


def find_base(crop: Crop, up: Doubles, ahead: Doubles, noise: float) -> Base | None:
    """Find the level surface around an object's lower end; None when none is seen.

    Level surfaces are told from upright ones by the height of pixels two rows apart, which differs
    by two footprints on a wall. Only what is below the object's middle counts.

    Args:
        up, ahead: (3,) unit axes of the level frame, camera coordinates.
        noise: standard deviation of the inverse depth.
    """
    found, seen = np.empty(2), np.empty(_MOST_SEEN, np.int32)
    axes = (pointer(axis, np.float64, (3,)) for axis in (up, ahead))
    if not library.find_base(crop.record, *axes, noise, pointer(found), pointer(seen)):
        return None
    rows, columns = np.divmod(seen[seen >= 0], crop.shape[1])
    top, left = crop.corner
    height, ahead_m = found.tolist()
    return Base(height, ahead_m, top + rows * crop.step, left + columns * crop.step)
