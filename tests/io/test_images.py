"""Pictures of every mode, orientation and fault, and depth files of every kind."""

import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from calipers.errors import Skip
from calipers.io.depth import read_depth, to_metres
from calipers.io.exif import ORIENTATIONS, camera_from_focal
from calipers.io.images import inside, open_file, read_picture
from calipers.types import Camera

RAMP = np.arange(12 * 16, dtype=np.uint8).reshape(12, 16)
COLOUR = np.stack([RAMP, RAMP[::-1], RAMP[:, ::-1]], axis=2)
TRANSPOSE_OF = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def _read(path, *, pixels=True):
    return read_picture(path, path.name, pixels=pixels)


def _reason(call):
    with pytest.raises(Skip) as caught:
        call()
    return caught.value.reason


def _png(width, height, bits=8, colour=2, pixels=b""):
    def chunk(kind, data):
        check = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", check)

    head = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    body = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(pixels)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


@pytest.mark.parametrize(
    ("mode", "suffix", "expected"),
    [
        ("RGB", "png", [10, 20, 30]),
        ("RGBA", "png", [10, 20, 30]),
        ("L", "png", [18, 18, 18]),
        ("LA", "png", [18, 18, 18]),
        ("1", "png", [0, 0, 0]),
        ("P", "png", [10, 20, 30]),
        ("CMYK", "tif", [10, 20, 30]),
        ("RGB", "webp", [10, 20, 30]),
        ("RGB", "bmp", [10, 20, 30]),
        ("P", "gif", [10, 20, 30]),
    ],
)
def test_every_mode_becomes_rgb(tmp_path, mode, suffix, expected):
    image = Image.new("RGB", (5, 4), (10, 20, 30))
    if mode == "P":
        image = image.quantize(4)
    elif mode != "RGB":
        image = image.convert(mode, dither=Image.Dither.NONE)
    path = tmp_path / f"a.{suffix}"
    image.save(path, **({"lossless": True} if suffix == "webp" else {}))
    picture = _read(path)
    assert picture.size_wh == (5, 4)
    assert picture.rgb.shape == (4, 5, 3)
    assert picture.rgb.dtype == np.uint8
    assert picture.rgb[3, 4].tolist() == expected
    assert _read(path, pixels=False).rgb is None


def test_sixteen_bit_grey_keeps_its_upper_eight_bits(tmp_path):
    Image.fromarray(np.array([[0, 255, 256, 65535]], dtype=np.uint16)).save(tmp_path / "a.png")
    assert _read(tmp_path / "a.png").rgb[0, :, 1].tolist() == [0, 0, 1, 255]


def test_a_cmyk_jpeg_has_its_colours(tmp_path):
    Image.new("CMYK", (8, 8), (255, 0, 0, 0)).save(tmp_path / "a.jpg", quality=100)
    assert np.abs(_read(tmp_path / "a.jpg").rgb[4, 4].astype(int) - [0, 255, 255]).max() <= 3


@pytest.mark.parametrize("size", [(1, 1), (4000, 3000)])
def test_the_smallest_and_a_twelve_megapixel_picture(tmp_path, size):
    Image.new("RGB", size, (1, 2, 3)).save(tmp_path / "a.png", compress_level=1)
    assert _read(tmp_path / "a.png").rgb[-1, -1].tolist() == [1, 2, 3]
    assert _read(tmp_path / "a.png", pixels=False).size_wh == size


@pytest.mark.parametrize("suffix", ["png", "tif", "webp"])
@pytest.mark.parametrize("orientation", range(2, 9))
def test_exif_turns_the_picture_as_pillow_does(tmp_path, orientation, suffix):
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = Image.fromarray(COLOUR)
    options = {"lossless": True} if suffix == "webp" else {}
    stored.save(tmp_path / f"a.{suffix}", exif=exif, **options)
    upright = np.asarray(stored.transpose(TRANSPOSE_OF[orientation]))
    picture = _read(tmp_path / f"a.{suffix}")
    assert np.array_equal(picture.rgb, upright)
    assert picture.size_wh == upright.shape[1::-1]
    assert picture.turn == ORIENTATIONS[orientation]
    unread = _read(tmp_path / f"a.{suffix}", pixels=False)
    assert (unread.size_wh, unread.turn) == (picture.size_wh, picture.turn)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_points_boxes_cameras_and_gravity_turn_with_the_pixels(orientation):
    turn = ORIENTATIONS[orientation]
    stored = np.zeros((12, 16), dtype=int)
    stored[3, 5] = 1  # the pixel x=5, y=3
    (row,), (column,) = np.nonzero(turn.array(stored))
    upright_wh = turn.size((16, 12))
    assert turn.box((5, 3, 1, 1), upright_wh) == (column, row, 1, 1)
    camera = turn.camera(Camera(100, 200, 5, 3, 16, 12), upright_wh)
    assert (camera.cx, camera.cy) == (column, row)
    assert (camera.width, camera.height) == upright_wh
    # A ray through the stored pixel (9, 4), turned as a direction, hits where that pixel goes.
    stored[:] = 0
    stored[4, 9] = 1
    (row,), (column,) = np.nonzero(turn.array(stored))
    x, y, _ = turn.vector(np.array([(9 - 5) / 100, (4 - 3) / 200, 1], dtype=np.float32))
    assert camera.fx * x + camera.cx == pytest.approx(column, abs=1e-5)
    assert camera.fy * y + camera.cy == pytest.approx(row, abs=1e-5)


def test_the_focal_length_of_exif_is_read(tmp_path):
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0xA405] = 26
    Image.new("RGB", (40, 30)).save(tmp_path / "a.jpg", exif=exif)
    assert _read(tmp_path / "a.jpg", pixels=False).focal_35mm == 26
    camera = camera_from_focal(26, (40, 30))
    assert camera.fx == pytest.approx(26 * 50 / 43.2666, rel=1e-5)
    assert (camera.cx, camera.cy) == (19.5, 14.5)


@pytest.mark.parametrize("pixels", [True, False])
@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "tif", "bmp"])
def test_a_picture_cut_short_is_refused(tmp_path, suffix, pixels):
    path = tmp_path / f"a.{suffix}"
    noise = np.random.default_rng(0).integers(0, 255, (40, 50, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) * 2 // 3])
    assert _reason(lambda: _read(path, pixels=pixels)) in {"truncated_image", "not_an_image"}
    if suffix in ("png", "jpg", "bmp"):
        assert _reason(lambda: _read(path, pixels=pixels)) == "truncated_image"


@pytest.mark.parametrize("kind", [{"progressive": True}, {"restart_marker_rows": 1}, {}])
def test_a_jpeg_is_followed_to_its_end_mark_without_decoding(tmp_path, kind):
    """Whole, with bytes behind its end, or cut anywhere among the pixels, thumbnail or not."""
    noise = np.random.default_rng(0).integers(0, 255, (40, 50, 3), dtype=np.uint8)
    path, thumbnail = tmp_path / "a.jpg", io.BytesIO()
    Image.fromarray(noise[:8, :8]).save(thumbnail, "JPEG")
    app = b"\xff\xe1" + (2 + thumbnail.tell()).to_bytes(2, "big") + thumbnail.getvalue()
    Image.fromarray(noise).save(path, **kind)
    whole = path.read_bytes()
    for data in (whole, whole[:2] + app + whole[2:], whole + b"more \xff\xe0"):
        path.write_bytes(data)
        assert _read(path, pixels=False).size_wh == (50, 40)
    for data in (whole, whole[:2] + app + whole[2:]):
        for cut in (1, 2, 100, 500):
            path.write_bytes(data[:-cut])
            assert _reason(lambda: _read(path, pixels=False)) == "truncated_image"


def test_a_flipped_bit_in_a_png_is_seen_without_decoding(tmp_path):
    path = tmp_path / "a.png"
    Image.fromarray(COLOUR).save(path)
    broken = bytearray(path.read_bytes())
    broken[60] ^= 1  # in the pixels
    path.write_bytes(broken)
    assert _reason(lambda: _read(path, pixels=False)) == "truncated_image"


@pytest.mark.parametrize("content", [b"", b"hello", b"%!PS-Adobe-3.0 EPSF-3.0\n", b"\0" * 300])
def test_what_is_no_picture_is_refused(tmp_path, content):
    (tmp_path / "a.png").write_bytes(content)
    assert _reason(lambda: _read(tmp_path / "a.png")) == "not_an_image"


@pytest.mark.parametrize("size", [(11_000, 10_000), (20_000, 20_000), (2**31 - 1, 2**31 - 1)])
def test_a_decompression_bomb_is_refused_without_decoding(tmp_path, size):
    (tmp_path / "a.png").write_bytes(_png(*size))
    assert _reason(lambda: _read(tmp_path / "a.png")) == "decompression_bomb"
    (tmp_path / "d.png").write_bytes(_png(*size, bits=16, colour=0))
    assert _reason(lambda: read_depth(tmp_path / "d.png", "d.png")) == "decompression_bomb"


def test_float_pixels_are_no_picture(tmp_path):
    Image.fromarray(RAMP.astype(np.float32)).save(tmp_path / "a.tif")
    assert _reason(lambda: _read(tmp_path / "a.tif")) == "unsupported_image_mode"


def test_paths_stay_inside(tmp_path):
    root = (tmp_path / "frames").resolve()
    root.mkdir()
    (tmp_path / "secret.png").write_bytes(b"")
    (tmp_path / "frames-2").mkdir()
    (root / "link.png").symlink_to(tmp_path / "secret.png")
    (root / "loop.png").symlink_to(root / "loop.png")
    (root / "sub").mkdir()
    for name in ("../secret.png", "sub/../../secret.png", str(tmp_path / "secret.png"), "link.png"):
        assert _reason(lambda name=name: inside(root, name, "missing_file")) == (
            "path_outside_folder"
        )
    for name in ("none.png", "sub", "loop.png", "x" * 3000):
        assert _reason(lambda name=name: inside(root, name, "missing_file")) == "missing_file"
    (root / "near.png").symlink_to(root / "real.png")
    (root / "real.png").write_bytes(b"")
    assert inside(root, "near.png", "missing_file") == root / "real.png"


def test_a_file_that_the_system_will_not_open_is_refused(tmp_path):
    assert _reason(lambda: open_file(tmp_path, "a.png")) == "unreadable_file"


DEPTH = np.array([[0, 1, 1500], [65535, 2, 3]])


@pytest.mark.parametrize("kind", ["png", "tif", "i-tif", "npy16", "npy32"])
def test_whole_numbers_are_millimetres(tmp_path, kind):
    path = tmp_path / f"d.{kind[-3:]}" if "npy" not in kind else tmp_path / "d.npy"
    if "npy" in kind:
        np.save(path, DEPTH.astype("u2" if kind == "npy16" else "i4"))
    else:
        Image.fromarray(DEPTH.astype(np.int32 if kind == "i-tif" else np.uint16)).save(path)
    depth = to_metres(read_depth(path, path.name), None)
    assert depth.dtype == np.float32
    assert depth[0].tolist()[1:] == [np.float32(0.001), np.float32(1.5)]
    assert np.isnan(depth[0, 0])
    assert depth[1].tolist() == np.float32([65.535, 0.002, 0.003]).tolist()
    assert to_metres(read_depth(path, path.name), 0.0001)[0, 2] == np.float32(0.15)


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", ">f4"])
def test_floats_are_metres_and_what_is_no_reading_is_nan(tmp_path, dtype):
    path = tmp_path / "d.npy"
    np.save(path, np.array([[0, -1, np.nan], [np.inf, -np.inf, 2.5]], dtype=dtype))
    depth = to_metres(read_depth(path, "d.npy"), None)
    assert depth.dtype == np.float32
    assert np.isnan(depth).tolist() == [[True] * 3, [True, True, False]]
    assert depth[1, 2] == 2.5


def test_a_fortran_array_keeps_its_rows(tmp_path):
    np.save(tmp_path / "d.npy", np.asfortranarray([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]))
    assert to_metres(read_depth(tmp_path / "d.npy", "d"), None).tolist() == [[1, 2, 3], [4, 5, 6]]


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((2, 3), dtype=np.uint8),
        np.zeros((2, 3), dtype=np.bool_),
        np.zeros((2, 3), dtype=np.complex64),
        np.zeros((2, 3, 1), dtype=np.float32),
        np.zeros(6, dtype=np.float32),
        np.array([["a", "b"]]),
    ],
)
def test_an_array_that_is_no_depth_is_refused(tmp_path, array):
    np.save(tmp_path / "d.npy", array)
    assert _reason(lambda: read_depth(tmp_path / "d.npy", "d")) == "wrong_depth_format"


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P", "1"])
def test_a_picture_that_is_no_depth_is_refused(tmp_path, mode):
    Image.new(mode, (3, 2)).save(tmp_path / "d.png")
    assert _reason(lambda: read_depth(tmp_path / "d.png", "d")) == "wrong_depth_format"


def test_pickles_and_broken_arrays_are_refused(tmp_path):
    path = tmp_path / "d.npy"
    np.save(path, np.array([[{"a": 1}, None]], dtype=object), allow_pickle=True)
    assert _reason(lambda: read_depth(path, "d")) == "unreadable_depth"
    np.save(path, np.ones((20, 30)))
    whole = path.read_bytes()
    for broken in (whole[:-1], whole[:100], whole[:5], b"", b"PK\x03\x04", whole[1:]):
        path.write_bytes(broken)
        assert _reason(lambda: read_depth(path, "d")) == "unreadable_depth"
    path.write_bytes(whole.replace(b"(20, 30)", b"(2 ,9**9)"))
    assert _reason(lambda: read_depth(path, "d")) == "unreadable_depth"


def test_a_depth_picture_cut_short_is_refused(tmp_path):
    noise = np.random.default_rng(0).integers(0, 65535, (40, 50), dtype=np.uint16)
    Image.fromarray(noise).save(tmp_path / "d.png")
    whole = (tmp_path / "d.png").read_bytes()
    for broken in (whole[: len(whole) // 2], b"", b"text"):
        (tmp_path / "d.png").write_bytes(broken)
        assert _reason(lambda: read_depth(tmp_path / "d.png", "d")) == "unreadable_depth"


def _bytes(image_format):
    file = io.BytesIO()
    if image_format == "npy":
        np.save(file, RAMP.astype(np.float32))
    else:
        Image.fromarray(COLOUR).save(file, image_format)
    return file.getvalue()


WHOLE = {name: _bytes(name) for name in ("png", "jpeg", "webp", "tiff", "bmp", "gif", "npy")}


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(sorted(WHOLE)),
    st.lists(st.tuples(st.floats(0, 0.999), st.integers(0, 255)), max_size=6),
    st.floats(0.1, 1),
)
def test_damaged_files_are_read_or_refused_and_nothing_else(tmp_path_factory, name, bytes_, part):
    data = bytearray(WHOLE[name])
    for where, value in bytes_:
        data[int(where * len(data))] = value
    path = tmp_path_factory.getbasetemp() / f"damaged.{name}"
    path.write_bytes(data[: int(part * len(data))])
    reader = read_depth if name == "npy" else lambda p, n: read_picture(p, n, pixels=True)
    outcome = None
    try:
        outcome = reader(path, path.name)
    except Skip as skip:
        outcome = skip.detail
    assert outcome is not None
