"""Packing depth: every value that a codec holds, bytes worked out by hand, and what is refused."""

from __future__ import annotations

import doctest
import io
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from calipers.depth_codec import (
    RANGE_M,
    Depth,
    decode,
    encode,
    from_disparity,
    from_relative,
    from_units,
    pad,
    resize,
    steps_m,
)
from calipers.errors import DataError

DOCS = Path(__file__).parents[1] / "docs"
NAN = np.nan
MILLIMETRES = {"packed24": 8_191_999, "spatialbot": 131_071, "spatialbot16": 65_535}
STEPS = ("linear8", "log8", "inverse8")


def metres(values: object) -> Depth:
    return np.array(values, np.float32)


# Bytes by hand: 1520 = 1024 + 15 * 32 + 16; 70000 = 68 * 1024 + 11 * 32 + 16;
# 131071 = 127 * 1024 + 31 * 32 + 31; 65535 = 63 * 1024 + 31 * 32 + 31.
@pytest.mark.parametrize(
    ("codec", "depth_m", "rgb"),
    [
        ("packed24", NAN, (0, 0, 0)),
        ("packed24", 0.001, (0, 0, 1)),
        ("packed24", 1.52, (0, 5, 240)),
        ("packed24", 70.0, (1, 17, 112)),
        ("packed24", 8191.999, (124, 255, 255)),
        ("spatialbot", NAN, (0, 0, 0)),
        ("spatialbot", 0.001, (0, 0, 8)),
        ("spatialbot", 1.52, (2, 120, 128)),
        ("spatialbot", 70.0, (136, 88, 128)),
        ("spatialbot", 131.071, (254, 248, 248)),
        ("spatialbot16", NAN, (0, 0, 0)),
        ("spatialbot16", 0.001, (0, 0, 8)),
        ("spatialbot16", 1.52, (4, 120, 128)),
        ("spatialbot16", 65.535, (252, 248, 248)),
        ("linear8", NAN, (0, 0, 0)),
        ("linear8", 0.1, (1, 1, 1)),
        ("linear8", 10.05, (128, 128, 128)),  # the middle of 0.1 and 20
        ("linear8", 20.0, (255, 255, 255)),
        ("log8", 0.1, (1, 1, 1)),
        ("log8", 2.0**0.5, (128, 128, 128)),  # the root of 0.1 times 20
        ("log8", 20.0, (255, 255, 255)),
        ("inverse8", 0.1, (255, 255, 255)),
        ("inverse8", 40 / 201, (128, 128, 128)),  # 1/d = 5.025, the middle of 0.05 and 10
        ("inverse8", 20.0, (1, 1, 1)),
    ],
)
def test_bytes_worked_out_by_hand(codec: str, depth_m: float, rgb: tuple[int, ...]) -> None:
    packed = encode(metres([[depth_m]]), codec)
    assert packed.dtype == np.uint8
    assert packed.tolist() == [[list(rgb)]]
    np.testing.assert_allclose(decode(packed, codec), [[depth_m]], rtol=1e-6)


def test_the_paper_and_the_public_code_differ_in_red_only() -> None:
    depth = metres([[0.5, 1.52, 65.0]])
    paper, code = encode(depth, "spatialbot"), encode(depth, "spatialbot16")
    assert (paper[..., 0] * 2 == code[..., 0]).all()
    assert (paper[..., 1:] == code[..., 1:]).all()


@pytest.mark.parametrize("codec", MILLIMETRES)
def test_every_millimetre_comes_back(codec: str) -> None:
    most = MILLIMETRES[codec]
    assert RANGE_M[codec] == (0.001, most / 1000)
    for start in range(1, most + 1, 1 << 20):
        millimetres = np.arange(start, min(start + (1 << 20), most + 1), dtype=np.float64)[None]
        depth = (millimetres / 1000).astype(np.float32)
        packed = encode(depth, codec)
        back = decode(packed, codec)
        assert np.array_equal(back, depth)
        assert np.array_equal(np.rint(back.astype(np.float64) * 1000), millimetres)
        if codec == "packed24":
            value = packed.astype(np.int64) @ [65536, 256, 1]
            assert np.array_equal(value, millimetres)


@pytest.mark.parametrize("codec", MILLIMETRES)
def test_every_picture_of_bytes_is_read_or_refused(codec: str) -> None:
    """Of all 2^24 colours, as many are codes as there are millimetres, and "no reading"."""
    green, blue = np.meshgrid(np.arange(256), np.arange(256), indexing="ij")
    codes = 0
    for red in range(256):
        image = np.stack([np.full_like(green, red), green, blue], axis=-1).astype(np.uint8)
        shifts = {"packed24": (0, 0, 0), "spatialbot": (1, 3, 3), "spatialbot16": (2, 3, 3)}
        unused = [(1 << left) - 1 for left in shifts[codec]]
        valid = ~(image & np.uint8(unused)).any(axis=2)
        if codec == "packed24":
            valid = red * 65536 + green * 256 + blue <= 8_191_999
        if not valid.all():
            with pytest.raises(DataError, match=f"image: {np.count_nonzero(~valid)} of 65536"):
                decode(image, codec)
        image[~valid] = 0
        depth = decode(image, codec)
        assert np.array_equal(encode(depth, codec), image)
        codes += np.count_nonzero(valid)
    assert codes == MILLIMETRES[codec] + 1


@pytest.mark.parametrize("codec", STEPS)
def test_every_step_comes_back(codec: str) -> None:
    image = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, axis=2)
    depth = decode(image, codec)
    assert np.array_equal(depth[0], steps_m(codec), equal_nan=True)
    assert np.isnan(depth[0, 0])
    assert np.array_equal(encode(depth, codec), image)
    even_in = {"linear8": depth, "log8": np.log(depth), "inverse8": 1 / depth}[codec]
    steps = np.diff(even_in[0, 1:].astype(np.float64))
    np.testing.assert_allclose(steps, steps[0], rtol=2e-3)


def test_gray_codecs_refuse_colours() -> None:
    image = np.full((2, 3, 3), 7, np.uint8)
    image[0, 1, 2] = 8
    with pytest.raises(DataError, match="image: 1 of 6 pixels hold nothing that log8 packs"):
        decode(image, "log8")


@given(
    arrays.arrays(
        np.float32,
        arrays.array_shapes(min_dims=2, max_dims=2, min_side=0, max_side=20),
        elements=st.floats(float(np.float32(0.1)), 20, width=32) | st.just(NAN),
    ),
    st.sampled_from(list(RANGE_M)),
)
def test_what_is_packed_is_the_nearest_that_the_codec_holds(depth: Depth, codec: str) -> None:
    back = decode(encode(depth, codec), codec)
    assert np.array_equal(np.isnan(back), np.isnan(depth))
    if codec in MILLIMETRES:
        apart = np.abs(back.astype(np.float64) - depth)
        assert np.nanmax(apart, initial=0) <= 0.0005 + 1e-6
    else:
        even_in = {"linear8": np.positive, "log8": np.log, "inverse8": np.reciprocal}[codec]
        apart = np.abs(even_in(back.astype(np.float64)) - even_in(depth.astype(np.float64)))
        whole = np.ptp(even_in(np.float64(RANGE_M[codec])))
        assert np.nanmax(apart, initial=0) <= whole / 254 / 2 * (1 + 1e-4)
    assert np.array_equal(encode(back, codec), encode(depth, codec))


@given(st.integers(1, 131_071), st.integers(1, 131_071))
def test_codes_of_spatialbot_can_be_added(one: int, other: int) -> None:
    """What "ordinal codes cannot": the decoded sum is the sum."""
    total = decode(encode(metres([[one / 1000, other / 1000]]), "spatialbot"), "spatialbot").sum()
    assert total == pytest.approx((one + other) / 1000, rel=1e-6)


@pytest.mark.parametrize("codec", RANGE_M)
def test_what_is_out_of_range_is_refused_or_clipped(codec: str) -> None:
    near_m, far_m = RANGE_M[codec]
    beyond = {"packed24": 8192.01}.get(codec, far_m * 1.001)
    for wrong in (near_m * 0.4, beyond, np.inf):
        depth = metres([[1.0, NAN], [wrong, 2.0]])
        with pytest.raises(DataError, match=f"depth: {codec} holds {near_m} to {far_m} m, got"):
            encode(depth, codec)
        clipped = decode(encode(depth, codec, "clip"), codec)
        expected = far_m if wrong > 1 else near_m
        assert clipped[1, 0] == pytest.approx(expected, rel=1e-6)
        assert np.isnan(clipped[0, 1])
        assert clipped[1, 1] == pytest.approx(2.0, rel=0.04)  # inverse8 is coarse there


def test_the_error_says_what_was_found() -> None:
    with pytest.raises(DataError) as caught:
        encode(metres([[NAN, 0.5, 70.2]]), "spatialbot16")
    assert str(caught.value) == (
        "depth: spatialbot16 holds 0.001 to 65.535 m, got 0.5 to 70.2 m; "
        "NaN is no reading, and out_of_range='clip' takes the nearest value"
    )


@pytest.mark.parametrize("codec", RANGE_M)
@pytest.mark.parametrize("wrong", [0.0, -0.0, -1.0, -np.inf])
def test_zero_and_negative_depth_is_no_depth(codec: str, wrong: float) -> None:
    with pytest.raises(DataError, match="holds"):
        encode(metres([[1.0, wrong, NAN]]), codec)
    with pytest.raises(DataError, match="wanted positive metres, NaN for no reading"):
        encode(metres([[1.0, wrong, NAN]]), codec, "clip")


@pytest.mark.parametrize("codec", RANGE_M)
def test_no_reading_at_all_is_black(codec: str) -> None:
    nothing = np.full((3, 2), NAN, np.float32)
    assert not encode(nothing, codec).any()
    assert not encode(nothing, codec, "clip").any()
    assert encode(nothing[:0], codec).shape == (0, 2, 3)
    assert decode(np.zeros((0, 2, 3), np.uint8), codec).shape == (0, 2)


def test_any_floats_in_any_layout_are_taken() -> None:
    depth = np.arange(1, 61, dtype=np.float64).reshape(6, 10)
    expected = encode(depth.astype(np.float32), "spatialbot")
    assert np.array_equal(encode(depth, "spatialbot"), expected)
    assert np.array_equal(encode(np.asfortranarray(depth), "spatialbot"), expected)
    assert np.array_equal(encode(depth.astype(np.float16), "spatialbot"), expected)
    assert np.array_equal(encode(depth[::2, ::-1], "spatialbot"), expected[::2, ::-1])
    assert np.array_equal(decode(expected[::2, ::-1], "spatialbot"), depth[::2, ::-1])


def test_pictures_larger_than_a_block_are_packed_alike() -> None:
    depth = np.linspace(0.2, 19, 300 * 301, dtype=np.float32).reshape(300, 301)
    for codec in RANGE_M:
        packed = encode(depth, codec)
        rows = np.concatenate([encode(row[None], codec) for row in depth])
        assert np.array_equal(packed, rows)
    depth[-1, -1] = 1e9
    with pytest.raises(DataError, match=r"got 0\.2 to 1e\+09 m"):
        encode(depth, "packed24")


@pytest.mark.parametrize("codec", RANGE_M)
def test_survives_a_png_file(codec: str) -> None:
    depth = np.random.default_rng(0).uniform(0.1, 20, (40, 50)).astype(np.float32)
    depth[5:10, 5:10] = NAN
    packed = encode(depth, codec)
    file = io.BytesIO()
    Image.fromarray(packed).save(file, "PNG")
    with Image.open(file) as picture:
        assert picture.mode == "RGB"
        assert np.array_equal(np.asarray(picture), packed)


def ramp(width: int, place: np.ndarray) -> np.ndarray:
    """1 to 6 m over `width` pixel centres, at other places."""
    return np.tile(1 + 5 * place / (width - 1), (len(place), 1))


def test_what_resizing_and_jpeg_do_after_packing_is_found_out() -> None:
    picture = Image.fromarray(encode(ramp(640, np.arange(640)), "spatialbot"))
    bicubic = np.asarray(picture.resize((384, 384), Image.Resampling.BICUBIC))
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=95)
    for broken in (bicubic, np.asarray(Image.open(file)), np.full((2, 2, 3), 127, np.uint8)):
        with pytest.raises(DataError, match="was it resized, padded in gray or compressed"):
            decode(broken, "spatialbot")


def test_resizing_before_and_after_packing_as_documented() -> None:
    source = ramp(640, np.arange(640))
    truth = ramp(640, (np.arange(384) + 0.5) * 640 / 384 - 0.5)
    packed = Image.fromarray(encode(source, "spatialbot16"))
    red, green, blue = np.moveaxis(
        np.asarray(packed.resize((384, 384), Image.Resampling.BICUBIC)).astype(int), 2, 0
    )
    off = np.abs((red // 4 * 1024 + green // 8 * 32 + blue // 8) / 1000 - truth)
    assert (off > 0.005).mean() == pytest.approx(0.34, abs=0.005)
    assert off.max() == pytest.approx(0.83, abs=0.005)
    for method, most in (("nearest", 0.004), ("edge", 0.0006)):
        kept = decode(encode(resize(source, (384, 384), method), "spatialbot16"), "spatialbot16")
        assert np.abs(kept - truth)[:, 1:-1].max() <= most


def test_the_page_says_what_is_so() -> None:
    page = DOCS / "depth.md"
    failed, tried = doctest.testfile(str(page), module_relative=False)
    assert (failed, tried) == (0, 8)
    rows = re.findall(r"^\| `(\w+)` \|.*\| ([\d.]+) m \| ([\d.]+) m \|$", page.read_text(), re.M)
    assert {name: (float(near), float(far)) for name, near, far in rows} == dict(RANGE_M)


@pytest.mark.parametrize(
    "wrong", [np.ones((2, 2), np.uint16), np.ones((2, 2, 1), np.float32), np.ones(4, np.float32)]
)
def test_only_floats_in_a_plane_are_depth(wrong: np.ndarray) -> None:
    with pytest.raises(DataError, match=r"depth: wanted floats \(H, W\), got"):
        encode(wrong, "spatialbot")


@pytest.mark.parametrize(
    "wrong",
    [np.ones((2, 2), np.uint8), np.ones((2, 2, 4), np.uint8), np.ones((2, 2, 3), np.uint16)],
)
def test_only_three_bytes_a_pixel_are_packed_depth(wrong: np.ndarray) -> None:
    with pytest.raises(DataError, match=r"image: wanted uint8 \(H, W, 3\), got"):
        decode(wrong, "spatialbot")


def test_unknown_names_are_refused() -> None:
    depth = metres([[1.0]])
    names = "packed24, spatialbot, spatialbot16, linear8, log8, inverse8"
    with pytest.raises(DataError, match=f"codec: wanted {names}, got 'jet'"):
        encode(depth, "jet")
    with pytest.raises(DataError, match=f"codec: wanted {names}, got 'jet'"):
        decode(np.zeros((1, 1, 3), np.uint8), "jet")
    with pytest.raises(DataError, match="codec: wanted one of 8 bits, got 'packed24'"):
        steps_m("packed24")
    with pytest.raises(DataError, match="out_of_range: wanted 'error' or 'clip', got 'wrap'"):
        encode(depth, "packed24", "wrap")  # type: ignore[arg-type]
    with pytest.raises(DataError, match="method: wanted 'nearest' or 'edge', got 'cubic'"):
        resize(depth, (2, 2), "cubic")  # type: ignore[arg-type]
    with pytest.raises(DataError, match="at: wanted 'centre' or 'top_left', got 'left'"):
        pad(depth, (2, 2), "left")  # type: ignore[arg-type]


def test_nearest_takes_the_nearest_pixel_centre() -> None:
    depth = metres([[1, 2, 3, 4]])
    assert resize(depth, (8, 2)).tolist() == [[1, 1, 2, 2, 3, 3, 4, 4]] * 2
    assert resize(depth, (2, 1)).tolist() == [[2, 4]]  # centres 0.5 and 2.5, the later one
    assert resize(depth, (3, 1)).tolist() == [[1, 3, 4]]  # centres 0.17, 1.5 and 2.83
    assert resize(depth, (4, 1)).tolist() == [[1, 2, 3, 4]]
    assert resize(metres([[5]]), (3, 2)).tolist() == [[5, 5, 5]] * 2


@pytest.mark.parametrize("size_wh", [(64, 48), (17, 11), (640, 480), (1000, 3), (1, 1)])
def test_two_surfaces_stay_two(size_wh: tuple[int, int]) -> None:
    depth = np.full((48, 64), 1.5, np.float32)
    depth[10:30, 20:50] = 1.2
    resized = resize(depth, size_wh, "edge")
    assert resized.shape == size_wh[::-1]
    assert set(np.unique(resized)) <= {np.float32(1.2), np.float32(1.5)}
    assert np.array_equal(resized, resize(depth, size_wh, "nearest"))


@pytest.mark.parametrize("size_wh", [(384, 384), (641, 483), (1280, 960), (320, 240)])
def test_planes_stay_planes(size_wh: tuple[int, int]) -> None:
    """1/d of a plane is linear in the pixel."""

    def inverse(width: int, height: int) -> np.ndarray:
        x = (np.arange(width) + 0.5) / width
        y = (np.arange(height) + 0.5) / height
        return 0.2 + 0.3 * x[None] + 0.4 * y[:, None]

    depth = (1 / inverse(640, 480)).astype(np.float32)
    resized = resize(depth, size_wh, "edge")
    inside = np.s_[2:-2, 2:-2]  # beyond the outermost centres it stays level
    expected = 1 / inverse(*size_wh)
    np.testing.assert_allclose(resized[inside], expected[inside], rtol=2e-6)
    nearest = np.abs(resize(depth, size_wh) - expected)[inside]
    if size_wh != (1280, 960):
        assert nearest.max() > 10 * np.abs(resized - expected)[inside].max()


@given(
    arrays.arrays(
        np.float32,
        arrays.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=8),
        elements=st.floats(0.5, 4, width=32) | st.sampled_from([1.0, 1.01, NAN]),
    ),
    st.tuples(st.integers(1, 20), st.integers(1, 20)),
)
def test_edge_stays_near_the_nearest_reading(depth: Depth, size_wh: tuple[int, int]) -> None:
    nearest, edge = resize(depth, size_wh), resize(depth, size_wh, "edge")
    assert np.array_equal(np.isnan(nearest), np.isnan(edge))
    seen = ~np.isnan(nearest)
    assert set(nearest[seen]) <= set(depth[~np.isnan(depth)])
    assert (np.abs(edge - nearest)[seen] <= 0.0201 * nearest[seen]).all()


def test_resizing_to_the_same_size_changes_nothing() -> None:
    depth = np.random.default_rng(1).uniform(1, 1.01, (7, 9)).astype(np.float32)
    assert np.array_equal(resize(depth, (9, 7)), depth)
    assert np.array_equal(resize(depth, (9, 7), "edge"), depth)


def test_a_size_of_nothing_is_refused() -> None:
    with pytest.raises(DataError, match=r"wanted sizes of 1 or more, got \(2, 1\) to \(0, 3\)"):
        resize(metres([[1, 2]]), (0, 3))
    with pytest.raises(DataError, match="wanted sizes of 1 or more"):
        resize(np.zeros((0, 2), np.float32), (2, 2))


def test_padding_is_no_reading_before_and_after_packing() -> None:
    depth = metres([[1, 2, 3]])
    padded = pad(depth, (6, 4))
    assert padded.shape == (4, 6)
    assert padded[1, 1:4].tolist() == [1, 2, 3]
    assert np.isnan(padded).sum() == 24 - 3
    assert pad(depth, (6, 4), "top_left")[0, :3].tolist() == [1, 2, 3]
    for codec in RANGE_M:
        black = np.zeros((4, 6, 3), np.uint8)
        black[1, 1:4] = encode(depth, codec)[0]
        assert np.array_equal(encode(padded, codec), black)
    with pytest.raises(DataError, match=r"a frame of at least \(3, 1\), got \(2, 4\)"):
        pad(depth, (2, 4))


@pytest.mark.parametrize(
    ("raw", "unit", "expected"),
    [
        (np.uint16([[0, 1, 1520, 65535]]), "mm", [NAN, 0.001, 1.52, 65.535]),
        (np.uint16([[0, 5000, 7600]]), "tum", [NAN, 1.0, 1.52]),
        (np.uint16([[0, 256, 20480]]), "kitti", [NAN, 1.0, 80.0]),
        (np.float32([[0, -1, NAN, np.inf, 1.5]]), "m", [NAN, NAN, NAN, NAN, 1.5]),
        (np.float16([[1.5]]), "m", [1.5]),
        (np.float64([[150]]), 0.01, [1.5]),
        (np.int32([[-1, 15]]), 0.1, [NAN, 1.5]),
        (np.float64([[1e300, 1e-300]]), "m", [NAN, NAN]),
    ],
)
def test_units_become_metres(raw: np.ndarray, unit: str | float, expected: list[float]) -> None:
    depth = from_units(raw, unit)
    assert depth.dtype == np.float32
    assert np.array_equal(depth, metres([expected]), equal_nan=True)


@pytest.mark.parametrize(
    "wrong", [np.ones((2, 2), np.uint8), np.ones((2, 2), bool), np.ones((2, 2, 3), np.uint16)]
)
def test_pictures_are_no_depth(wrong: np.ndarray) -> None:
    with pytest.raises(DataError, match="integers of 16 bits or floats, got"):
        from_units(wrong, "mm")


@pytest.mark.parametrize("unit", ["cm", 0, -0.001, np.inf, NAN])
def test_a_unit_is_a_name_or_positive(unit: str | float) -> None:
    with pytest.raises(DataError, match="unit: wanted m, mm, tum, kitti or metres per unit"):
        from_units(np.ones((1, 1), np.uint16), unit)


def test_disparity_becomes_metres() -> None:
    # Middlebury's motorcycle at full size: f 3979.911 px, baseline 0.193001 m, doffs 124.343 px:
    # 3979.911 * 0.193001 / (175.657 + 124.343) = 768.1268 / 300.
    disparity = np.float32([[175.657, 0, -1, NAN, np.inf]])
    depth = from_disparity(disparity, 3979.911, 0.193001, 124.343)
    assert depth[0, 0] == pytest.approx(768.1268 / 300, rel=1e-6)
    assert np.isnan(depth[0, 1:]).all()
    with pytest.raises(DataError, match="baseline_m: wanted a positive number, got 0"):
        from_disparity(disparity, 500, 0)


def test_relative_inverse_depth_becomes_metres_by_two_anchors() -> None:
    # A = 1/0.5 - 1/10 = 1.9, B = 0.1: r = 0 is 10 m, 0.5 is 1/1.05, 1 is 0.5 m; -0.1 reaches
    # 1/(-0.19 + 0.1) < 0: infinitely far.
    relative = np.float32([[0, 0.5, 1, -0.1, NAN]])
    depth = from_relative(relative, 0.5, 10)
    np.testing.assert_allclose(depth, [[10, 1 / 1.05, 0.5, NAN, NAN]], rtol=1e-6)
    scaled = from_relative(relative * 200 + 55, 0.5, 10, low=55, high=255)
    np.testing.assert_allclose(scaled, depth, rtol=1e-5)
    assert from_relative(np.uint8([[255]]), 0.5, 10, 0, 255).tolist() == [[0.5]]


def test_anchors_the_wrong_way_round_are_refused() -> None:
    relative = np.zeros((1, 1))
    for anchors in ((3, 1, 0, 1), (1, 1, 0, 1), (1, 3, 1, 0), (1, 3, 0, NAN)):
        with pytest.raises(DataError, match="anchors: wanted"):
            from_relative(relative, *anchors)
    with pytest.raises(DataError, match="near_m: wanted a positive number, got 0"):
        from_relative(relative, 0, 1)
