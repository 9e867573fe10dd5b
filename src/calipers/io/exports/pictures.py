"""The pictures of an export: copied, linked or handed over as bytes, upright, with marks drawn."""

from __future__ import annotations

import io
from pathlib import Path, PurePosixPath
from typing import IO

from PIL import Image

from calipers.errors import Skip, UsageError
from calipers.io.exif import ORIENTATION
from calipers.io.exports.conversations import Conversation, Seen
from calipers.io.exports.marks import draw_marks
from calipers.io.images import PIL_ERRORS, PNG_EXIF_KEYS, decode_picture, open_image
from calipers.io.inputs.files import in_container, open_within

MODES = ("copy", "link", "embed")
JPEG_QUALITY = 95


class Pictures:
    """Hands out the picture of each conversation; makes those of a scene once in a row.

    A picture that EXIF turns is written anew, upright, because trainers differ in whether they
    turn it, and boxes count in the upright one.

    Args:
        root: the folder that scenes' pictures are in.
        out: the folder of the export.
        mode: one of `MODES`. "link" makes ``images`` of the export a link to `root`.

    Raises:
        UsageError: `root` is not there.
    """

    def __init__(self, root: Path, out: Path, mode: str) -> None:
        if not root.is_dir():
            raise UsageError(f"the pictures are not at {root} any more; say where: --frames FOLDER")
        self.root, self.out, self.mode = root, out, mode
        self._scene: Seen | None = None
        self._made: dict[bool, tuple[str, bytes] | Skip] = {}
        if mode == "link":
            (out / "images").symlink_to(root.resolve(), target_is_directory=True)

    def of(self, conversation: Conversation) -> tuple[str, bytes]:
        """Its picture's path in the export, and its bytes where the mode is "embed".

        Raises:
            Skip: the picture cannot be read.
        """
        scene, marked = conversation.scene, conversation.marked
        if scene is not self._scene:
            self._scene, self._made = scene, {}
        if marked not in self._made:
            try:
                self._made[marked] = self._make(scene, marked)
            except Skip as skip:
                self._made[marked] = skip
        made = self._made[marked]
        if isinstance(made, Skip):
            raise Skip(made.reason, made.detail)
        return made

    def _make(self, scene: Seen, marked: bool) -> tuple[str, bytes]:
        if marked:
            return self._put(f"marked/{scene.image}.jpg", self._marked(scene))
        if self.mode == "link" and in_container(self.root, scene.image):
            raise UsageError(f"--images link: {scene.image} is no file of its own; use copy")
        suffix = PurePosixPath(scene.image).suffix.lower()
        with open_within(self.root, scene.image, "missing_file") as file:
            if self.mode == "link" and suffix != ".png" and not _is_turned(file, scene.image):
                return f"images/{scene.image}", b""
            file.seek(0)
            data = file.read()
        if is_turned(data, scene.image):
            return self._put(f"upright/{scene.image}.jpg", self._upright(scene))
        if self.mode == "link":
            return f"images/{scene.image}", b""
        return self._put(f"images/{scene.image}", data)

    def _put(self, name: str, data: bytes) -> tuple[str, bytes]:
        if self.mode == "embed":
            return name, data
        path = self.out / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return name, b""

    def _upright(self, scene: Seen) -> bytes:
        return _jpeg(self._open(scene))

    def _marked(self, scene: Seen) -> bytes:
        return _jpeg(draw_marks(self._open(scene), scene.objects))

    def _open(self, scene: Seen) -> Image.Image:
        with open_within(self.root, scene.image, "missing_file") as file:
            picture = decode_picture(file, scene.image, pixels=True)
        if picture.rgb is None or picture.size_wh != scene.size_wh:
            detail = f"{scene.image}: is {picture.size_wh}, was {scene.size_wh}"
            raise Skip("image_changed", detail)
        return Image.fromarray(picture.rgb)


def is_turned(data: bytes, name: str) -> bool:
    """Whether EXIF says that a picture has to be turned or mirrored to stand upright.

    Raises:
        Skip: it is no picture.
    """
    if data[:4] == b"\x89PNG" and not any(key in data for key in PNG_EXIF_KEYS):
        return False
    return _is_turned(io.BytesIO(data), name)


def _is_turned(file: IO[bytes], name: str) -> bool:
    try:
        return open_image(file, name).getexif().get(ORIENTATION, 1) in range(2, 9)
    except PIL_ERRORS as error:
        raise Skip("truncated_image", f"{name}: {error}") from error


def _jpeg(image: Image.Image) -> bytes:
    sink = io.BytesIO()
    image.save(sink, "JPEG", quality=JPEG_QUALITY, subsampling=0)
    return sink.getvalue()
