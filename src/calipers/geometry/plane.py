"""Planes in a depth map, found in inverse depth.

A plane n·X + d = 0 seen through a pinhole is linear in inverse depth: 1/Z = -(n/d)·(x, y, 1), with
(x, y, 1) the ray of a pixel. Stereo and structured-light cameras measure disparity, whose noise is
the same everywhere in inverse depth, so ordinary least squares there is the right estimate
(Khoshelham & Elberink 2012, Sensors 12(2), eq. 7: σ_Z grows with Z²).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from calipers.types import Bools, Camera, Doubles, Floats

BLOCK = 16
"""Side of a block in pixels; every second pixel of it is read."""
_STEP = 2
_SIDE = BLOCK // _STEP
_MIN_SAMPLES = 24
_MAX_HYPOTHESES = 100
_MAX_ANGLE = np.cos(np.radians(15.0))


@dataclass(frozen=True, slots=True)
class Blocks:
    """Local planes of a depth map, one a block: 1/Z ≈ abc·(x, y, 1) around ray (x, y).

    Attributes:
        ray: (M, 3) float64 the blocks' mean rays (x, y, 1).
        inverse_depth: (M,) mean 1/Z.
        abc: (M, 3) local plane; the unit normal towards the camera is -abc/‖abc‖.
        rms: (M,) scatter of 1/Z around the local plane.
        noise: standard deviation of 1/Z of one reading, from the flattest third of the blocks.
        planar: (M,) whether the block is flat to within the noise.
    """

    ray: Doubles
    inverse_depth: Doubles
    abc: Doubles
    rms: Doubles
    noise: float
    planar: Bools

    @property
    def normals(self) -> Doubles:
        """(M, 3) unit normals towards the camera."""
        return _unit(-self.abc)

    @property
    def points(self) -> Doubles:
        """(M, 3) block centres in the camera frame, metres."""
        return self.ray / self.inverse_depth[:, None]


@dataclass(frozen=True, slots=True)
class Plane:
    """A plane of the scene: height above it = normal·X + offset (camera frame, metres).

    Attributes:
        normal: (3,) unit, towards the camera.
        inliers: (M,) which of the blocks lie on it.
    """

    normal: Doubles
    offset: float
    inliers: Bools

    @property
    def share(self) -> float:
        """Part of the readable blocks that lie on the plane."""
        return float(self.inliers.mean())


def local_planes(depth_m: Floats, camera: Camera) -> Blocks:
    """Fit a plane to every 16x16 block of a (H, W) z-depth map with enough readings."""
    h, w = (n // BLOCK for n in depth_m.shape)
    if not h or not w:
        return _no_blocks()
    grid = depth_m[: h * BLOCK : _STEP, : w * BLOCK : _STEP]
    cells = grid.reshape(h, _SIDE, w, _SIDE).transpose(0, 2, 1, 3).reshape(h * w, -1)
    valid = cells > 0
    keep = valid.sum(1) >= _MIN_SAMPLES
    cells, valid = cells[keep], valid[keep]
    if not len(cells):
        return _no_blocks()
    weight = valid.astype(np.float32)
    inverse = np.where(valid, 1.0 / np.where(valid, cells, 1.0), 0.0).astype(np.float32)
    count = weight.sum(1)
    mean = inverse.sum(1) / count
    inverse = (inverse - mean[:, None]) * weight
    offset = (np.arange(_SIDE, dtype=np.float32) - (_SIDE - 1) / 2) * _STEP
    u, v = np.tile(offset, _SIDE) / camera.fx, np.repeat(offset, _SIDE) / camera.fy
    basis = np.stack((np.ones_like(u), u, v, u * u, u * v, v * v), axis=1).astype(np.float32)
    n, su, sv, suu, suv, svv = (weight @ basis).astype(np.float64).T
    _, siu, siv = (inverse @ basis[:, :3]).astype(np.float64).T
    mu, mv = su / n, sv / n
    cuu, cuv, cvv = suu - n * mu * mu, suv - n * mu * mv, svv - n * mv * mv
    determinant = np.maximum(cuu * cvv - cuv * cuv, 1e-30)
    a = (siu * cvv - siv * cuv) / determinant
    b = (siv * cuu - siu * cuv) / determinant
    squares = np.einsum("ij,ij->i", inverse, inverse).astype(np.float64)
    rms = np.sqrt(np.maximum(squares - a * siu - b * siv, 0) / np.maximum(n - 3, 1))
    index = np.flatnonzero(keep)
    centre = (BLOCK - _STEP) / 2
    x = ((index % w) * BLOCK + centre - camera.cx) / camera.fx + mu
    y = ((index // w) * BLOCK + centre - camera.cy) / camera.fy + mv
    mean = mean.astype(np.float64)
    abc = np.stack((a, b, mean - a * x - b * y), axis=1)
    noise = float(np.percentile(rms, 30))
    planar = rms < np.maximum(2.5 * noise, 2e-3 * mean)
    return Blocks(np.stack((x, y, np.ones_like(x)), axis=1), mean, abc, rms, noise, planar)


def _no_blocks() -> Blocks:
    none = np.zeros((0, 3))
    return Blocks(none, none[:, 0], none, none[:, 0], 0.0, none[:, 0] > 0)


def find_planes(blocks: Blocks, most: int = 6, least_share: float = 0.02) -> list[Plane]:
    """Find the large planes among the blocks, the largest first (sequential consensus).

    Every planar block is a hypothesis (at most 100, evenly taken); a block agrees when its mean
    inverse depth is within 1 % (plus noise) of the hypothesis and its normal within 15°.
    """
    flat = np.flatnonzero(blocks.planar)
    if len(flat) < 3:
        return []
    hypotheses = flat[:: max(1, len(flat) // _MAX_HYPOTHESES)]
    normals = blocks.normals
    agree = _agree(blocks, normals, blocks.abc[hypotheses], slack=1.5)
    free = blocks.planar.copy()
    planes: list[Plane] = []
    while len(planes) < most:
        votes = agree @ free.astype(np.float32)
        best = int(votes.argmax())
        if votes[best] < max(3, least_share * len(free)):
            break
        plane = _refine(blocks, normals, blocks.abc[hypotheses[best]], free)
        agree[best] = 0
        if plane is None:
            continue
        planes.append(plane)
        free &= ~plane.inliers
    return planes


def _agree(blocks: Blocks, normals: Doubles, abc: Doubles, slack: float) -> Floats:
    predicted = abc @ blocks.ray.T
    tolerance = slack * (0.01 * blocks.inverse_depth + blocks.noise)
    near = np.abs(predicted - blocks.inverse_depth) < tolerance
    agree: Bools = near & (_unit(-abc) @ normals.T > _MAX_ANGLE)
    return agree.astype(np.float32)


def _unit(vectors: Doubles) -> Doubles:
    lengths: Doubles = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return vectors / lengths


def _refine(blocks: Blocks, normals: Doubles, abc: Doubles, free: Bools) -> Plane | None:
    for slack in (1.5, 1.0, 0.5, 0.5):
        inliers = (_agree(blocks, normals, abc[None], slack)[0] > 0) & free
        if inliers.sum() < 3:
            return None
        rays = blocks.ray[inliers]
        moments = rays.T @ rays
        if np.linalg.cond(moments) > 1e10:
            return None
        abc = np.linalg.solve(moments, rays.T @ blocks.inverse_depth[inliers])
    length = float(np.linalg.norm(abc))
    return Plane(-abc / length, 1.0 / length, inliers)
