"""Simulated frames against numbers worked out by hand, and against their own truth."""

import json
import sys

import numpy as np
import pytest
from scipy.spatial import cKDTree

from calipers.errors import DataError, MissingExtraError
from calipers.io.masks import decode_mask, encode_mask
from calipers.samples import write_sample
from calipers.samples.faults import Faults, apply_faults, grow
from calipers.samples.gaps import group_gaps
from calipers.samples.solids import (
    GREY,
    ball,
    block,
    bounds,
    normals,
    post,
    rod,
    rotation,
    surface,
)
from calipers.types import Camera, Frame, FrameObject

pytest.importorskip("mujoco")
from calipers.samples.casting import Caster, pixel_rays
from calipers.samples.rooms import generate
from calipers.samples.scenery import draw_layout, look

CAMERA = Camera(fx=500, fy=500, cx=319.5, cy=239.5, width=640, height=480)
CLEAN = Faults(axial_noise=0, quantum_m=0, hole_share=0, mixed_pixels=False, mask_px=0)


def cast(parts, height=1.0, pitch=0.0):
    view = look(CAMERA, np.array([0, 0, height]), 0.0, pitch, 0.0)
    ids, depth = Caster(parts).cast(view.at, pixel_rays(CAMERA) @ view.world_from_camera.T)
    return ids.reshape(480, 640), depth.reshape(480, 640)


@pytest.fixture(scope="module")
def room():
    return generate(3, kind="room")


@pytest.fixture(scope="module")
def desk():
    return generate(4, kind="table")


def points_level(made):
    camera, depth = made.frame.camera, made.truth.depth_m
    v, u = np.mgrid[: camera.height, : camera.width]
    rays = np.stack([(u - camera.cx) / camera.fx, (v - camera.cy) / camera.fy, np.ones(u.shape)])
    level = made.truth.level_from_camera
    return np.moveaxis(rays * depth, 0, -1) @ level[:3, :3].T + level[:3, 3]


class TestCasting:
    def test_box_straight_ahead_has_its_own_depth_and_pixels(self):
        # 1 m wide, 0.5 m high, front face 2 m away: 250 x 125 px at a focal length of 500 px
        ids, depth = cast([block((1, 0.4, 0.5), (0, 2.2, 1.0), GREY)])
        assert np.abs(depth[ids == 0] - 2.0).max() < 1e-4
        assert (ids == 0).sum() == 250 * 126  # rows -62.5..62.5 px hold 126 pixel centres
        assert np.isnan(depth[ids < 0]).all()

    def test_depth_is_along_the_axis_not_along_the_ray(self):
        # a floor 1 m below a level camera: z = fy / (v - cy)
        ids, depth = cast([block((50, 50, 0.1), (0, 0, -0.05), GREY)])
        assert ids[479, 0] == 0
        assert depth[479, 0] == pytest.approx(500 / 239.5, abs=1e-9)

    def test_part_numbers_are_the_order_given(self):
        ids, _ = cast([ball((0.2,), (-0.5, 2, 1), GREY), ball((0.2,), (0.5, 2, 1), GREY)])
        assert ids[240, 195] == 0
        assert ids[240, 445] == 1
        assert ids[240, 320] == -1

    def test_long_edge_near_the_camera_loses_no_pixel(self):
        # mj_multiRay alone skips about 900 pixels of this box's lower front edge
        ids, depth = cast([block((1, 2, 0.498), (0, 3, 0.3), GREY)])
        rows = np.flatnonzero((ids == 0)[:, 320])
        assert rows[-1] == 476  # z = 0.051 at 2 m: v = 239.5 + 0.4745 * 500 = 476.75
        assert (ids[470:477] == 0).sum() == 7 * 250
        assert np.abs(depth[470:477][ids[470:477] == 0] - 2).max() < 1e-9

    def test_pitch_looks_down(self):
        view = look(CAMERA, np.zeros(3), 0.0, np.deg2rad(30), 0.0)
        assert view.world_from_camera[:, 2] == pytest.approx([0, np.cos(np.pi / 6), -0.5])
        assert view.world_from_camera[:, 0] == pytest.approx([1, 0, 0])


class TestGaps:
    @pytest.mark.parametrize(
        ("first", "second", "gap"),
        [
            (block((1, 1, 1), (0, 0, 0), GREY), block((1, 1, 1), (1.3, 0.2, 0), GREY), 0.3),
            (block((1, 1, 1), (0, 0, 0), GREY), block((1, 1, 1), (1.3, 1.4, 0), GREY), 0.5),
            (ball((0.2,), (0, 0, 0), GREY), ball((0.3,), (0, 1, 0), GREY), 0.5),
            (post(0.1, 1.0, (0, 0, 0), GREY), ball((0.1,), (0.5, 0, 0.7), GREY), 0.3),
            (rod((0, 0, 0), (0, 0, 1), 0.1, GREY), rod((1, 0, 1), (1, 1, 1), 0.2, GREY), 0.7),
            (ball((0.1, 0.2, 0.3), (0, 0, 0), GREY), block((1, 1, 1), (0, 0, 1), GREY), 0.2),
            (block((1, 1, 1), (0, 0, 0), GREY), block((1, 1, 1), (0, 0, 1), GREY), 0.0),
        ],
    )
    def test_pairs_worked_out_by_hand(self, first, second, gap):
        assert group_gaps([[first], [second]])[0, 1] == pytest.approx(gap, abs=2e-5)

    def test_group_takes_its_nearest_pair(self):
        balls = [ball((0.1,), (x, 0, 0), GREY) for x in (0, 1, 1.5, 9)]
        gaps = group_gaps([balls[:2], balls[2:], [ball((0.1,), (0, 5, 0), GREY)]])
        wanted = [[0, 0.3, 4.8], [0.3, 0, np.hypot(1.5, 5) - 0.2], [4.8, np.hypot(1.5, 5) - 0.2, 0]]
        assert gaps == pytest.approx(np.array(wanted), abs=2e-5)

    def test_turned_cube_comes_nearer_with_its_edge(self):
        turned = block((1, 1, 1), (0, 0, 0), GREY).moved(
            rotation((0, 0, 1), np.pi / 4), np.array([2.0, 0, 0])
        )
        gap = group_gaps([[block((1, 1, 1), (0, 0, 0), GREY)], [turned]])[0, 1]
        assert gap == pytest.approx(1.5 - np.sqrt(0.5), abs=2e-5)

    def test_no_or_one_group(self):
        assert group_gaps([]).shape == (0, 0)
        assert group_gaps([[ball((0.1,), (0, 0, 0), GREY)]]).tolist() == [[0.0]]

    @pytest.mark.parametrize("seed", [3, 4])
    def test_sampled_surfaces_come_near_the_exact_gap(self, seed):
        truth = generate(seed, colours=False).truth
        for i, first in enumerate(truth.objects):
            for j in range(i):
                reach = cKDTree(first.surface).query(truth.objects[j].surface)[0].min()
                assert truth.gaps[i, j] - 1e-5 <= reach <= truth.gaps[i, j] + 0.04


class TestSolids:
    def test_bounds_of_a_turned_cube(self):
        cube = block((1, 1, 1), (0, 0, 0), GREY).moved(rotation((0, 0, 1), np.pi / 4), np.ones(3))
        low, high = bounds([cube], np.eye(3))
        assert high - low == pytest.approx([np.sqrt(2), np.sqrt(2), 1])
        assert (high + low) / 2 == pytest.approx([1, 1, 1])

    def test_bounds_of_a_lying_cylinder(self):
        can = post(0.1, 1.0, (0, 0, 0), GREY).moved(rotation((1, 0, 0), np.pi / 2), np.zeros(3))
        low, high = bounds([can], np.eye(3))
        assert high - low == pytest.approx([0.2, 1.0, 0.2])

    @pytest.mark.parametrize(
        "part",
        [
            block((0.4, 0.6, 0.2), (1, 2, 3), GREY),
            post(0.2, 0.5, (1, 2, 3), GREY),
            rod((0, 0, 0), (0.3, 0.4, 0.5), 0.1, GREY),
            ball((0.2,), (1, 2, 3), GREY),
            ball((0.1, 0.2, 0.3), (1, 2, 3), GREY),
        ],
    )
    def test_surface_points_fill_the_bounds_and_normals_point_out(self, part):
        points = surface([part], 20000, np.random.default_rng(0))
        low, high = bounds([part], np.eye(3))
        assert (points >= low - 1e-9).all()
        assert (points <= high + 1e-9).all()
        assert np.abs([points.min(axis=0) - low, high - points.max(axis=0)]).max() < 0.01
        local = (points - part.at) @ part.turn
        out = normals(part.shape, part.size, local)
        assert np.linalg.norm(out, axis=1) == pytest.approx(np.ones(len(out)))
        assert ((local * out).sum(axis=1) > 0).all()


class TestFrames:
    def test_same_seed_same_frame_other_seed_other_frame(self, room):
        again, other = generate(3, kind="room"), generate(5, kind="room")
        assert np.array_equal(again.frame.rgb, room.frame.rgb)
        assert np.array_equal(again.frame.depth_m, room.frame.depth_m)
        assert again.frame.objects == room.frame.objects
        assert np.array_equal(again.truth.gaps, room.truth.gaps)
        assert not np.array_equal(other.frame.depth_m, room.frame.depth_m)

    def test_colours_off_changes_nothing_else(self, room):
        bare = generate(3, kind="room", colours=False)
        assert bare.frame.rgb is None
        assert bare.frame.objects == room.frame.objects
        assert np.array_equal(bare.truth.objects[0].surface, room.truth.objects[0].surface)

    def test_objects_are_five_to_ten_distinct_and_large_enough(self, room, desk):
        for made in (room, desk):
            captions = [item.caption for item in made.frame.objects]
            assert 5 <= len(captions) <= 10
            assert len(set(captions)) == len(captions)
            assert min(item.pixels for item in made.truth.objects) >= 150

    def test_masks_boxes_and_ids_agree(self, room):
        for index, item in enumerate(room.frame.objects):
            mask = decode_mask(item.rle)
            assert np.array_equal(mask, room.truth.ids == index)
            rows, columns = np.nonzero(mask)
            x, y, wide, high = item.bbox_xywh
            assert (x, x + wide - 1) == (columns.min(), columns.max())
            assert (y, y + high - 1) == (rows.min(), rows.max())

    def test_visible_points_lie_in_the_true_box_and_reach_its_near_side(self, room, desk):
        for made in (room, desk):
            points = points_level(made)
            for index, item in enumerate(made.truth.objects):
                seen = points[made.truth.ids == index]
                low = item.center_level - item.size_level / 2
                high = item.center_level + item.size_level / 2
                assert (seen > low - 1e-5).all()
                assert (seen < high + 1e-5).all()
                if item.whole:
                    assert seen[:, 1].min() - low[1] < 0.02

    def test_surface_points_fill_the_box_in_both_frames(self, desk):
        level = desk.truth.level_from_camera
        for item in desk.truth.objects:
            points = item.surface
            assert np.ptp(points, axis=0) == pytest.approx(item.size_camera, abs=0.02)
            raised = points @ level[:3, :3].T + level[:3, 3]
            assert np.ptp(raised, axis=0) == pytest.approx(item.size_level, abs=0.02)
            middle = (raised.min(axis=0) + raised.max(axis=0)) / 2
            assert middle == pytest.approx(item.center_level, abs=0.01)

    def test_support_plane_carries_pixels_at_height_zero(self, desk):
        heights = points_level(desk)[..., 2]
        truth = desk.truth
        assert truth.surfaces[1].name == "desk"
        assert np.array_equal(truth.support_plane, truth.surfaces[1].plane)
        assert (np.abs(heights) < 1e-5).sum() >= truth.surfaces[1].pixels * 0.95
        assert np.linalg.norm(truth.gravity) == pytest.approx(1)
        assert truth.level_from_camera[:3, :3] @ truth.gravity == pytest.approx([0, 0, -1])

    def test_what_rests_on_a_thing_touches_it_from_above(self):
        found = 0
        for seed in range(3, 9):
            truth = generate(seed, kind="room", colours=False).truth
            for index, item in enumerate(truth.objects):
                if item.rests_on is not None:
                    found += 1
                    assert truth.gaps[index, item.rests_on] < 1e-5
        assert found >= 3

    @pytest.mark.parametrize("kind", ["room", "table"])
    def test_things_do_not_overlap(self, kind):
        layout = draw_layout(np.random.default_rng(11), kind, (640, 480), False)
        ends = np.array([bounds([p], np.eye(3)) for thing in layout.things for p in thing.parts])
        owner = np.repeat(np.arange(len(layout.things)), [len(t.parts) for t in layout.things])
        low, high = ends[:, 0], ends[:, 1]
        shared = (np.minimum(high[:, None], high) - np.maximum(low[:, None], low)).min(axis=2)
        assert len(layout.things) >= 5
        assert shared[owner[:, None] != owner].max() < 1e-5

    def test_whole_means_seen_almost_whole(self):
        items = [item for seed in range(4) for item in generate(seed, colours=False).truth.objects]
        for item in items:
            assert 0 < item.visible_share <= 1
            assert item.whole == (item.visible_share > 0.95 and not item.touches_border)
        assert 0.3 < np.mean([item.whole for item in items]) < 0.85

    def test_repeated_captions(self):
        most = []
        for seed in range(4):
            captions = [
                item.caption
                for item in generate(seed, repeated_captions=True, colours=False).frame.objects
            ]
            most.append(max(captions.count(caption) for caption in captions))
        assert max(most) >= 3

    def test_gravity_only_where_asked(self, room):
        assert room.frame.gravity is None
        given = generate(3, kind="room", with_gravity=True, colours=False)
        assert given.frame.gravity == pytest.approx(given.truth.gravity, abs=1e-6)

    def test_written_folder_holds_frames_and_truth(self, tmp_path):
        write_sample("rooms", tmp_path / "rooms", count=2, seed=7)
        records = (tmp_path / "rooms" / "metadata.jsonl").read_text().splitlines()
        truths = (tmp_path / "rooms" / "truth.jsonl").read_text().splitlines()
        assert len(records) == len(truths) == 2
        first, made = json.loads(truths[0]), generate(7)
        assert first["id"] == json.loads(records[0])["id"] == "room-000007"
        assert [item["caption"] for item in first["objects"]] == json.loads(records[0])["objects"][
            "caption"
        ]
        assert first["gaps"] == pytest.approx(np.array(made.truth.gaps), abs=1e-6)

    def test_without_mujoco_the_error_names_the_extra(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "mujoco", None)
        with pytest.raises(MissingExtraError, match=r"pip install 'calipers\[sim\]'"):
            generate(0)


def flat_frame(depth):
    height, width = depth.shape
    camera = Camera(500, 500, (width - 1) / 2, (height - 1) / 2, width, height)
    return Frame("flat", "flat.png", width, height, depth_m=depth.astype(np.float32), camera=camera)


def spoil(depth, **changes):
    settings = {name: getattr(CLEAN, name) for name in CLEAN.__slots__} | changes
    frame = apply_faults(flat_frame(depth), Faults(**settings), np.random.default_rng(0))
    return frame.depth_m


class TestFaults:
    @pytest.mark.parametrize(("depth", "sigma"), [(1.0, 0.00142), (2.0, 0.00568), (5.0, 0.0355)])
    def test_noise_grows_with_the_square_of_distance(self, depth, sigma):
        noisy = spoil(np.full((300, 400), depth), axial_noise=1.42e-3)
        assert noisy.std() == pytest.approx(sigma, rel=0.02)
        assert noisy.mean() == pytest.approx(depth, abs=4e-4)

    def test_depth_comes_in_quanta(self):
        quantised = spoil(np.linspace(1, 1.01, 1100).reshape(10, 110), quantum_m=0.002)
        assert np.unique(np.round(quantised * 1e6)).tolist() == [
            1000000, 1002000, 1004000, 1006000, 1008000, 1010000
        ]  # fmt: skip

    def test_no_faults_leave_everything(self):
        depth = np.linspace(1, 3, 1200).reshape(30, 40)
        assert np.array_equal(spoil(depth), depth.astype(np.float32))

    def test_mixed_pixels_stay_within_two_of_the_edge_and_between_the_sides(self):
        depth = np.full((100, 100), 1.0)
        depth[:, 50:] = 2.0
        mixed = spoil(depth, mixed_pixels=True)
        columns = np.flatnonzero((mixed != depth).any(axis=0))
        assert columns.tolist() == [48, 49, 50, 51]
        assert mixed.min() >= 1
        assert mixed.max() <= 2
        assert (mixed[:, 48:52] != depth[:, 48:52]).mean() == pytest.approx(0.5, abs=0.08)

    def test_blobs_take_their_share(self):
        depth = spoil(np.full((480, 640), 2.0), hole_share=0.05)
        assert 0.05 <= np.isnan(depth).mean() < 0.06

    def test_grazing_surfaces_are_lost(self):
        # a floor 0.1 m below a level camera is seen at a cosine of 0.1 / (range)
        v = np.arange(480)[:, None] - 239.5
        depth = np.where(v > 2, 0.1 * 500 / np.maximum(v, 1), 5.0) * np.ones((1, 640))
        lost = np.isnan(spoil(depth, hole_share=1e-9))
        assert lost[239 + 40, 320]  # 40 px below the middle: cosine 0.08
        assert not lost[239 + 150, 320]  # cosine 0.29

    @pytest.mark.parametrize(("pixels", "side"), [(2, 14), (1, 12), (-2, 6), (0, 10)])
    def test_masks_grow_and_shrink_by_whole_pixels(self, pixels, side):
        mask = np.zeros((40, 50), dtype=bool)
        mask[10:20, 20:30] = True
        changed = grow(mask, pixels)
        rows, columns = np.nonzero(changed)
        assert changed.sum() == side**2
        assert (rows.min(), columns.min()) == (10 - pixels, 20 - pixels)
        assert (rows.max(), columns.max()) == (19 + pixels, 29 + pixels)

    def test_frame_masks_and_boxes_change_together(self, room):
        fat = apply_faults(room.frame, Faults(mask_px=2), np.random.default_rng(0))
        for item, exact in zip(fat.objects, room.frame.objects, strict=True):
            assert item.caption == exact.caption
            mask = decode_mask(item.rle)
            assert np.array_equal(mask, grow(decode_mask(exact.rle).copy(order="C"), 2))
            assert item.bbox_xywh[0] == max(0, exact.bbox_xywh[0] - 2)
        assert np.array_equal(room.frame.depth_m, room.truth.depth_m)

    def test_mask_that_would_vanish_stays(self):
        frame = flat_frame(np.ones((20, 20)))
        dot = np.zeros((20, 20), dtype=bool)
        dot[3, 3] = True
        frame.objects = [FrameObject((3, 3, 1, 1), "dot", encode_mask(dot))]
        spoiled = apply_faults(frame, Faults(mask_px=-2), np.random.default_rng(0))
        assert spoiled.objects == frame.objects

    def test_wrong_settings_and_a_frame_without_depth_are_refused(self):
        with pytest.raises(DataError, match="hole_share=2"):
            Faults(hole_share=2)
        with pytest.raises(DataError, match="no depth"):
            apply_faults(Frame("a", "a.png", 4, 4), Faults(), np.random.default_rng(0))
