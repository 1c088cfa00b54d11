"""`sensor_msgs` images to RGB arrays and back; `convert` is where the rest of the code finds
them.
"""

from __future__ import annotations

import array
import functools
import re
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from rclpy.serialization import deserialize_message, serialize_message
from sensor_msgs.msg import CompressedImage, Image

from wam_ros.core.errors import WamError
from wam_ros.core.types import NS
from wam_ros.ros.fields import CDR_ORDER, ENCAPSULATION, ns_to_time, read_string

# Encodings that say which colour a number is: bytes per pixel. 16UC1, 32FC1 ... are depth, not
# pictures.
PIXEL_BYTES = {
    **{"rgb8": 3, "bgr8": 3, "rgba8": 4, "bgra8": 4, "mono8": 1},
    **{"rgb16": 6, "bgr16": 6, "rgba16": 8, "bgra16": 8, "mono16": 2},
    **{f"bayer_{pattern}8": 1 for pattern in ("rggb", "bggr", "gbrg", "grbg")},
    **{"uyvy": 2, "yuyv": 2, "yuv422": 2, "yuv422_yuy2": 2},
}
# Planes of brightness above planes of half as many colours: OpenCV's name of the way to RGB.
PLANES = {
    "nv12": "COLOR_YUV2RGB_NV12",
    "nv21": "COLOR_YUV2RGB_NV21",
    "i420": "COLOR_YUV2RGB_I420",
    "yuv420": "COLOR_YUV2RGB_I420",
    "yv12": "COLOR_YUV2RGB_YV12",
}
BARE = re.compile(r"(8|16|32|64)[USF]C\d*")  # numbers without a meaning
# what a whole file of a format ends with, but for padding
ENDS = {b"\xff\xd8": b"\xff\xd9", b"\x89PNG": b"IEND\xaeB`\x82"}
PADDING = 1024  # bytes behind the end of a file that are nobody's business


@dataclass(frozen=True)
class ImageView:
    """A `sensor_msgs/Image` whose pixels still lie in the bytes that came; rclpy would copy them
    twice more.
    """

    height: int
    width: int
    encoding: str
    is_bigendian: int
    step: int
    data: memoryview


@functools.cache
def _bridge() -> Any | None:
    """cv_bridge where ROS brings it, else None: then rosbags-image converts, to the same pixels.

    Also None where it is installed but was compiled for another numpy: that shows only when it
    converts.
    """
    try:
        from cv_bridge import CvBridge

        bridge = CvBridge()
        bridge.imgmsg_to_cv2(Image(height=1, width=1, encoding="mono8", step=1, data=b"\0"), "rgb8")
    except Exception:
        return None
    return bridge


def image_from_wire(data: bytes, compressed: bool = False) -> ImageView | Image | CompressedImage:
    """What a raw subscription to images heard.

    Raises:
        WamError: the bytes are no such message.
    """
    kind = CompressedImage if compressed else Image
    try:
        order = CDR_ORDER.get(data[:2])
        return (
            deserialize_message(data, kind) if compressed or order is None else _view(data, order)
        )
    except (struct.error, ValueError, RuntimeError) as error:
        raise WamError(f"no {kind.__name__}: {' '.join(str(error).split())}") from error


def _view(data: bytes, order: str) -> ImageView:
    """The fields of a plain CDR message; behind the encoding of four bytes and the stamp of eight
    is the frame id.
    """
    _, at = read_string(data, 12, order)
    at += -at % 4
    height, width = struct.unpack_from(order + "II", data, at)
    encoding, at = read_string(data, at + 8, order)
    (is_bigendian,) = struct.unpack_from("B", data, at)
    at += 1 + -(at + 1) % 4
    step, size = struct.unpack_from(order + "II", data, at)
    if size > len(data) - at - 8:
        raise ValueError("it ends before its pixels do")
    return ImageView(
        height=height,
        width=width,
        encoding=encoding,
        is_bigendian=is_bigendian,
        step=step,
        data=memoryview(data)[at + 8 : at + 8 + size],
    )


def image_to_numpy(msg: ImageView | Image | CompressedImage) -> np.ndarray:
    """Pixels of a raw or compressed image, (H, W, 3) uint8 RGB.

    Raises:
        WamError: unknown encoding, or a size that does not match; names the field.
    """
    if isinstance(msg, CompressedImage):
        return _decompressed(msg)
    if msg.encoding.lower() in PLANES:
        return _from_planes(msg)
    rows = _checked_rows(msg)
    if msg.encoding == "rgb8":
        return rows.reshape(msg.height, msg.width, 3)
    if msg.encoding in ("bgr8", "bgra8", "rgba8"):
        pixels = rows.reshape(msg.height, msg.width, -1)
        return np.ascontiguousarray(
            pixels[:, :, 2::-1] if msg.encoding[0] == "b" else pixels[:, :, :3]
        )
    return _from_library(msg, rows)


def numpy_to_image(frame: np.ndarray, stamp_ns: int, frame_id: str) -> Image:
    """Image message of (H, W, 3) uint8 RGB.

    Raises:
        WamError: another shape or type.
    """
    height, width = _require_rgb(frame)
    msg = Image(height=height, width=width, encoding="rgb8", step=3 * width)
    msg.header.stamp = ns_to_time(stamp_ns)
    msg.header.frame_id = frame_id
    # any other type is copied number by number, 2000 times slower
    msg.data = array.array("B", frame.tobytes())
    return msg


def image_to_wire(frame: np.ndarray, stamp_ns: int, frame_id: str) -> bytes:
    """What a publisher sends for `numpy_to_image(frame, stamp_ns, frame_id)`: a large picture is
    copied once here, and four times on its way through a message.

    Raises:
        WamError: as there.
    """
    height, width = _require_rgb(frame)
    order, head = _head_of(height, width, frame_id)
    stamp = struct.pack(order + "iI", *divmod(stamp_ns, NS))
    size = struct.pack(order + "I", frame.size)
    pixels = np.ascontiguousarray(frame).data
    return b"".join((head[:ENCAPSULATION], stamp, head[ENCAPSULATION + 8 : -4], size, pixels))


@functools.lru_cache(maxsize=16)
def _head_of(height: int, width: int, frame_id: str) -> tuple[str, bytes]:
    """Order of bytes, and the bytes of an image without pixels: the last four are their number."""
    msg = Image(height=height, width=width, encoding="rgb8", step=3 * width)
    msg.header.frame_id = frame_id
    data = serialize_message(msg)
    return CDR_ORDER[data[:2]], data


def _require_rgb(frame: np.ndarray) -> tuple[int, int]:
    """Height and width; raises `WamError` for what is not (H, W, 3) uint8."""
    if frame.ndim != 3 or frame.shape[2] != 3 or frame.dtype != np.uint8:
        raise WamError(f"image: expected (H, W, 3) uint8, found {frame.shape} {frame.dtype}")
    return frame.shape[0], frame.shape[1]


def _checked_rows(msg: ImageView | Image) -> np.ndarray:
    """The bytes of the pixels, (H, bytes per row) uint8, without the padding at the end of each
    row.
    """
    if msg.encoding not in PIXEL_BYTES:
        raise WamError(
            f"Image.encoding: '{msg.encoding[:40]}' is not one of "
            f"{', '.join([*PIXEL_BYTES, *PLANES])}{_meaning(msg.encoding)}"
        )
    if not msg.height or not msg.width:
        raise WamError(f"Image: {msg.width} x {msg.height} pixels is empty")
    row = msg.width * PIXEL_BYTES[msg.encoding]
    if msg.step < row:
        raise WamError(
            f"Image.step: expected at least {row} bytes for {msg.width} {msg.encoding}, found "
            f"{msg.step}"
        )
    if len(msg.data) != msg.step * msg.height:
        raise WamError(f"Image.data: expected {msg.step * msg.height} bytes, found {len(msg.data)}")
    return np.frombuffer(msg.data, np.uint8).reshape(msg.height, msg.step)[:, :row]


def _from_library(msg: ImageView | Image, rows: np.ndarray) -> np.ndarray:
    packed = Image(
        height=msg.height, width=msg.width, encoding=msg.encoding, is_bigendian=msg.is_bigendian
    )
    packed.data = array.array("B", rows.tobytes())
    packed.step = rows.shape[1]
    if bridge := _bridge():
        return _guarded(msg.encoding, lambda: bridge.imgmsg_to_cv2(packed, "rgb8"))
    from rosbags.image import message_to_cvimage

    if not msg.encoding.endswith("16"):
        return _guarded(msg.encoding, lambda: message_to_cvimage(packed, "rgb8"))
    wide = _guarded(msg.encoding, lambda: message_to_cvimage(packed, "rgb16"))
    # cv_bridge rounds where rosbags-image would cut off
    return np.rint(wide * (255 / 65535)).astype(np.uint8)


def _meaning(encoding: str) -> str:
    """What to do about numbers of which the encoding does not say what they are."""
    if encoding in ("8UC3", "8UC4"):
        return ": set the camera's encoding to bgr8 or rgb8, which says the order of the colours"
    return ": that is depth or another measurement, no picture" if BARE.match(encoding) else ""


def _from_planes(msg: ImageView | Image) -> np.ndarray:
    """Brightness (H, W), and below it colours of every second pixel, each row padded alike."""
    import cv2

    height = msg.height
    width = msg.width
    step = msg.step
    if not height or not width or height % 2 or width % 2 or step % 2 or step < width:
        raise WamError(
            f"Image: {width} x {height} pixels in steps of {step} bytes are no {msg.encoding}"
        )
    if len(msg.data) != step * height * 3 // 2:
        raise WamError(
            f"Image.data: expected {step * height * 3 // 2} bytes of {msg.encoding}, found "
            f"{len(msg.data)}"
        )
    rows = np.frombuffer(msg.data, np.uint8).reshape(height * 3 // 2, step)
    colours = rows[height:]
    if msg.encoding.lower().startswith("nv"):
        colours = colours[:, :width]
    else:  # two planes of half rows
        colours = colours.reshape(height, step // 2)[:, : width // 2].reshape(height // 2, width)
    packed = np.ascontiguousarray(np.concatenate([rows[:height, :width], colours]))
    return cv2.cvtColor(packed, getattr(cv2, PLANES[msg.encoding.lower()]))


def _require_whole(msg: CompressedImage) -> None:
    """Raise `WamError` for a file that was cut: decoders fill the rest with grey or say nothing."""
    data = msg.data
    head = bytes(data[:4])
    for begin, end in ENDS.items():
        if head.startswith(begin) and bytes(data[-PADDING:]).rfind(end) < 0:
            raise WamError(
                f"image '{msg.format[:40]}' is cut off: its {len(data)} bytes have no end; the "
                "connection loses data"
            )


def _decompressed(msg: CompressedImage) -> np.ndarray:
    if not len(msg.data):
        raise WamError("CompressedImage.data is empty")
    original = msg.format.partition(";")[0].strip()
    if ";" in msg.format and original not in PIXEL_BYTES and not original.startswith("8UC"):
        raise WamError(
            f"CompressedImage.format: '{msg.format[:60]}' is of '{original[:40]}'"
            f"{_meaning(original) or ', which is not known'}"
        )
    _require_whole(msg)
    if original.startswith("bayer_"):
        return _from_mosaic(msg, original)
    if bridge := _bridge():
        return _guarded(msg.format, lambda: bridge.compressed_imgmsg_to_cv2(msg, "rgb8"))
    from rosbags.image import compressed_image_to_cvimage

    def decode() -> np.ndarray:
        image = compressed_image_to_cvimage(msg)
        return np.repeat(image[:, :, None], 3, axis=2) if image.ndim == 2 else image[:, :, ::-1]

    return np.ascontiguousarray(_guarded(msg.format, decode))


def _from_mosaic(msg: CompressedImage, pattern: str) -> np.ndarray:
    """A compressed mosaic is one number a pixel; what a transport coloured before is a picture."""
    import cv2

    def decode() -> np.ndarray:
        found = cv2.imdecode(np.frombuffer(msg.data, np.uint8), cv2.IMREAD_UNCHANGED)
        if found is None:
            raise WamError("no known format of pictures")
        return found

    found = _guarded(msg.format, decode)
    if found.ndim == 3:
        return np.ascontiguousarray(found[:, :, 2::-1])
    if found.dtype != np.uint8:
        raise WamError(f"image '{msg.format[:40]}' has {found.dtype} pixels, expected uint8")
    height, width = found.shape
    view = ImageView(
        height=height,
        width=width,
        encoding=pattern,
        is_bigendian=0,
        step=width,
        data=memoryview(found.tobytes()),
    )
    return image_to_numpy(view)


def _guarded(kind: str, decode: Callable[[], np.ndarray]) -> np.ndarray:
    """Whatever the library throws at hostile bytes is one line to the caller."""
    try:
        return np.asarray(decode())
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise WamError(f"image '{kind[:40]}' cannot be decoded: {reason[:200]}") from error
