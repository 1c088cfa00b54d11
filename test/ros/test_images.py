"""Camera images: the same pixels whatever the encoding, padding or library; hostile ones refused by
field.
"""

import array
import contextlib
import struct
import sys
import types

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("rclpy")

import cv2
from rclpy.serialization import deserialize_message, serialize_message
from sensor_msgs.msg import CompressedImage, Image

from wam_ros.core.errors import WamError
from wam_ros.core.types import NS
from wam_ros.ros import images
from wam_ros.ros.convert import image_from_wire, image_to_numpy, image_to_wire, numpy_to_image

pytestmark = [pytest.mark.ros, pytest.mark.untimed]
RNG = np.random.default_rng(7)
PIXELS = RNG.integers(0, 256, (6, 8, 3), dtype=np.uint8)
ALPHA = np.dstack([PIXELS, RNG.integers(0, 256, (6, 8), dtype=np.uint8)])
GRAY = PIXELS[:, :, 0]


def image(encoding, pixels, padding=0, bigendian=False):
    """A message whose rows end in `padding` bytes of rubbish."""
    height, width = pixels.shape[:2]
    pixels = pixels.astype(pixels.dtype.newbyteorder(">" if bigendian else "<"))
    rows = np.frombuffer(pixels.tobytes(), np.uint8).reshape(height, -1)
    rows = np.hstack([rows, np.full((height, padding), 0xEE, np.uint8)])
    msg = Image(
        height=height,
        width=width,
        encoding=encoding,
        step=rows.shape[1],
        is_bigendian=int(bigendian),
    )
    msg.data = array.array("B", rows.tobytes())
    return msg


@pytest.mark.parametrize("padding", [0, 5])
@pytest.mark.parametrize(
    ("encoding", "pixels", "expected"),
    [
        ("rgb8", PIXELS, PIXELS),
        ("bgr8", PIXELS[:, :, ::-1], PIXELS),
        ("rgba8", ALPHA, PIXELS),
        ("bgra8", ALPHA[:, :, [2, 1, 0, 3]], PIXELS),
        ("mono8", GRAY, np.dstack([GRAY] * 3)),
    ],
)
def test_eight_bit_images_keep_their_pixels(encoding, pixels, expected, padding):
    np.testing.assert_array_equal(
        image_to_numpy(image(encoding, np.ascontiguousarray(pixels), padding)), expected
    )


@pytest.mark.parametrize("bigendian", [False, True])
@pytest.mark.parametrize("encoding", ["rgb16", "bgr16", "mono16"])
def test_sixteen_bits_are_rounded_to_eight(encoding, bigendian):
    wide = RNG.integers(0, 2**16, (6, 8, 3), dtype=np.uint16)
    rounded = np.rint(wide / 257).astype(np.uint8)
    sent = {"rgb16": wide, "bgr16": wide[:, :, ::-1], "mono16": wide[:, :, 0]}[encoding]
    expected = np.dstack([rounded[:, :, 0]] * 3) if encoding == "mono16" else rounded
    np.testing.assert_array_equal(image_to_numpy(image(encoding, sent, 4, bigendian)), expected)


def test_a_bayer_image_of_one_colour_is_that_colour():
    mosaic = np.zeros((6, 8), np.uint8)
    mosaic[0::2, 0::2], mosaic[0::2, 1::2], mosaic[1::2, 0::2], mosaic[1::2, 1::2] = (
        200,
        100,
        100,
        50,
    )
    found = image_to_numpy(image("bayer_rggb8", mosaic))
    np.testing.assert_array_equal(found, np.broadcast_to([200, 100, 50], (6, 8, 3)))


@pytest.mark.parametrize("encoding", ["uyvy", "yuv422", "yuyv", "yuv422_yuy2"])
def test_gray_in_yuv_is_gray(encoding):
    luma = np.full((6, 8), 126, np.uint8)
    chroma = np.full((6, 8), 128, np.uint8)
    pair = (chroma, luma) if encoding in ("uyvy", "yuv422") else (luma, chroma)
    found = image_to_numpy(image(encoding, np.dstack(pair))).astype(int)
    assert np.ptp(found) == 0
    assert abs(found[0, 0, 0] - 128) <= 1


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_compressed_images_come_out_in_rgb(suffix):
    colour = np.broadcast_to(np.array([250, 10, 60], np.uint8), (16, 16, 3))
    data = cv2.imencode(suffix, np.ascontiguousarray(colour[:, :, ::-1]))[1]
    msg = CompressedImage(
        format=f"rgb8; {suffix[1:]} compressed", data=array.array("B", data.tobytes())
    )
    np.testing.assert_allclose(
        image_to_numpy(msg).astype(int), colour, atol=0 if suffix == ".png" else 4
    )


def test_a_compressed_gray_image_has_three_equal_channels():
    data = cv2.imencode(".png", GRAY)[1]
    msg = CompressedImage(format="mono8; png compressed", data=array.array("B", data.tobytes()))
    np.testing.assert_array_equal(image_to_numpy(msg), np.dstack([GRAY] * 3))


def changed(**fields):
    msg = image("rgb8", PIXELS)
    for name, value in fields.items():
        setattr(msg, name, value)
    return msg


@pytest.mark.parametrize(
    ("msg", "error"),
    [
        (changed(encoding="32FC1"), "Image.encoding: '32FC1' is not one of rgb8, bgr8"),
        (changed(encoding=""), "Image.encoding"),
        (changed(height=0), "Image: 8 x 0 pixels is empty"),
        (changed(width=2**32 - 1), "Image.step: expected at least 12884901885 bytes"),
        (changed(height=2**32 - 1), "Image.data: expected 103079215080 bytes, found 144"),
        (changed(step=23), "Image.step: expected at least 24 bytes for 8 rgb8, found 23"),
        (changed(step=0), "Image.step"),
        (changed(data=array.array("B", bytes(143))), "Image.data: expected 144 bytes, found 143"),
        (CompressedImage(format="jpeg"), "CompressedImage.data is empty"),
        (
            CompressedImage(format="jpeg", data=array.array("B", b"\xff\xd8 not a picture")),
            "image 'jpeg' is cut off",
        ),
    ],
)
def test_hostile_images_are_refused_by_field(msg, error):
    with pytest.raises(WamError, match=f"^{error}"):
        image_to_numpy(msg)


@pytest.mark.parametrize("frame_id", ["", "a", "ab", "abc", "front_optical_frame"])
@pytest.mark.parametrize("encoding", ["rgb8", "bgra8", "mono16"])
def test_bytes_that_travelled_hold_the_image_that_was_sent(frame_id, encoding):
    pixels = {"rgb8": PIXELS, "bgra8": ALPHA, "mono16": GRAY.astype(np.uint16)}[encoding]
    msg = image(encoding, pixels, padding=3, bigendian=encoding == "mono16")
    msg.header.frame_id = frame_id
    found = image_from_wire(serialize_message(msg))
    for name in ("height", "width", "encoding", "is_bigendian", "step"):
        assert getattr(found, name) == getattr(msg, name)
    assert bytes(found.data) == msg.data.tobytes()
    np.testing.assert_array_equal(image_to_numpy(found), image_to_numpy(msg))


def test_big_endian_bytes_are_read_as_such():
    order = ">"
    text = struct.pack(order + "I", 4) + b"cam\0"
    encoding = struct.pack(order + "I", 5) + b"rgb8\0"
    body = (
        struct.pack(order + "iI", 1, 2)
        + text
        + struct.pack(order + "II", 6, 8)
        + encoding
        + b"\0"
        + b"\0\0"
    )
    body += struct.pack(order + "II", 24, PIXELS.size) + PIXELS.tobytes()
    found = image_from_wire(b"\0\0\0\0" + body)
    np.testing.assert_array_equal(image_to_numpy(found), PIXELS)


def test_compressed_bytes_are_read_and_what_is_no_image_is_not():
    msg = CompressedImage(
        format="png", data=array.array("B", cv2.imencode(".png", PIXELS)[1].tobytes())
    )
    found = image_from_wire(serialize_message(msg), compressed=True)
    np.testing.assert_array_equal(image_to_numpy(found), PIXELS[:, :, ::-1])
    with pytest.raises(WamError, match="no CompressedImage"):
        image_from_wire(b"\0\1\0\0" + bytes(3), compressed=True)


@given(
    cut=st.integers(0, 300),
    noise=st.lists(st.tuples(st.integers(0, 60), st.integers(0, 255)), max_size=4),
)
def test_damaged_bytes_are_an_image_or_a_clear_error(cut, noise):
    data = bytearray(serialize_message(image("rgb8", PIXELS))[:cut])
    for at, value in noise:
        if at < len(data):
            data[at] = value
    with contextlib.suppress(WamError):
        pixels = image_to_numpy(image_from_wire(bytes(data)))
        assert pixels.ndim == 3
        assert pixels.dtype == np.uint8


def test_a_frame_becomes_a_message_and_comes_back():
    msg = numpy_to_image(PIXELS, 1_500_000_000, "front")
    assert (msg.header.stamp.sec, msg.header.stamp.nanosec, msg.header.frame_id) == (
        1,
        500_000_000,
        "front",
    )
    assert (msg.encoding, msg.step, msg.height, msg.width) == ("rgb8", 24, 6, 8)
    np.testing.assert_array_equal(image_to_numpy(msg), PIXELS)
    np.testing.assert_array_equal(
        image_to_numpy(numpy_to_image(PIXELS[:, ::-1], 0, "")), PIXELS[:, ::-1]
    )


@pytest.mark.parametrize(
    "frame", [np.zeros((2, 2, 4), np.uint8), np.zeros((2, 2), np.uint8), np.zeros((2, 2, 3))]
)
def test_another_kind_of_array_is_refused(frame):
    for made in (numpy_to_image, image_to_wire):
        with pytest.raises(WamError, match=r"expected \(H, W, 3\) uint8"):
            made(frame, 0, "")


@pytest.mark.parametrize("frame_id", ["", "a", "ab", "abc", "é", "cell/front"])
def test_the_bytes_of_a_frame_are_those_of_its_message(frame_id):
    for k, frame in enumerate((PIXELS, PIXELS[:5, ::-1], PIXELS[:, :3])):
        stamp_ns = (1_700_000_000 + k) * NS + 7 * k
        wire = image_to_wire(frame, stamp_ns, frame_id)
        message = numpy_to_image(frame, stamp_ns, frame_id)
        assert deserialize_message(wire, Image) == message
        assert len(wire) == len(serialize_message(message))


class OpenCvBridge:
    """What cv_bridge does to colour images, in OpenCV's words."""

    def __init__(self):
        self.sizes = []

    def imgmsg_to_cv2(self, msg, encoding):
        self.sizes.append((msg.width, msg.height))
        assert encoding == "rgb8"
        kind = np.uint16 if msg.encoding.endswith("16") else np.uint8
        rows = np.frombuffer(msg.data, np.uint8).reshape(msg.height, msg.step)
        n = images.PIXEL_BYTES[msg.encoding] // np.dtype(kind).itemsize
        pixels = rows[:, : msg.width * images.PIXEL_BYTES[msg.encoding]].copy().view(kind)
        pixels = pixels.reshape(msg.height, msg.width, n)
        code = {
            "mono8": cv2.COLOR_GRAY2RGB,
            "mono16": cv2.COLOR_GRAY2RGB,
            "bgr16": cv2.COLOR_BGR2RGB,
            "bayer_rggb8": cv2.COLOR_BayerBG2RGB,
            "uyvy": cv2.COLOR_YUV2RGB_UYVY,
        }[msg.encoding]
        pixels = cv2.cvtColor(pixels, code)
        return np.rint(pixels * (255 / 65535)).astype(np.uint8) if kind is np.uint16 else pixels


@pytest.mark.parametrize("encoding", ["mono8", "mono16", "bgr16", "bayer_rggb8", "uyvy"])
def test_cv_bridge_is_used_where_it_is_and_the_pixels_are_the_same(encoding, monkeypatch):
    dtype = np.uint16 if encoding.endswith("16") else np.uint8
    channels = images.PIXEL_BYTES[encoding] // np.dtype(dtype).itemsize
    pixels = RNG.integers(0, np.iinfo(dtype).max, (6, 8, channels), dtype=dtype)
    msg = image(encoding, pixels, padding=4)
    without = image_to_numpy(msg)
    monkeypatch.setitem(sys.modules, "cv_bridge", types.SimpleNamespace(CvBridge=OpenCvBridge))
    images._bridge.cache_clear()
    try:
        np.testing.assert_array_equal(image_to_numpy(msg), without)
        assert images._bridge().sizes[-1] == (8, 6)
    finally:
        monkeypatch.undo()
        images._bridge.cache_clear()


def test_a_cv_bridge_that_cannot_convert_here_is_not_used(monkeypatch):
    class Broken:
        def imgmsg_to_cv2(self, msg, encoding):
            raise AttributeError("_ARRAY_API not found")

    monkeypatch.setitem(sys.modules, "cv_bridge", types.SimpleNamespace(CvBridge=Broken))
    images._bridge.cache_clear()
    try:
        np.testing.assert_array_equal(image_to_numpy(image("mono8", GRAY)), np.dstack([GRAY] * 3))
    finally:
        monkeypatch.undo()
        images._bridge.cache_clear()


BARS = np.repeat(
    np.array([[220, 30, 30], [30, 200, 40], [40, 50, 210], [230, 220, 40]], np.uint8), 8, 0
)[None].repeat(16, 0)


def planes(encoding, padding=0):
    """The bars as brightness and colours, each row padded alike."""
    i420 = cv2.cvtColor(BARS, cv2.COLOR_RGB2YUV_I420)
    h, w = BARS.shape[:2]
    u, v = i420[h:].reshape(2, h // 2, w // 2)
    u, v = (v, u) if encoding in ("nv21", "yv12") else (u, v)

    def padded(rows, n):
        return np.hstack([rows, np.full((len(rows), n), 0xEE, np.uint8)]).tobytes()

    if encoding.startswith("nv"):
        colours = padded(np.dstack([u, v]).reshape(h // 2, w), padding)
    else:
        colours = padded(u, padding // 2) + padded(v, padding // 2)
    data = padded(i420[:h], padding) + colours
    return Image(
        height=h, width=w, step=w + padding, encoding=encoding, data=array.array("B", data)
    )


@pytest.mark.parametrize("padding", [0, 4])
@pytest.mark.parametrize("encoding", ["nv12", "nv21", "i420", "yuv420", "yv12", "NV12"])
def test_pictures_in_planes_keep_their_colours(encoding, padding):
    msg = planes(encoding.lower(), padding)
    msg.encoding = encoding
    found = image_to_numpy(image_from_wire(serialize_message(msg))).astype(int)
    assert np.abs(found - BARS)[:, 2::4].max() < 12


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"height": 15}, "15 pixels"),
        ({"width": 31}, "31 x 16"),
        ({"step": 30}, "in steps of 30 bytes"),
        ({"height": 14}, "expected 672 bytes of nv12, found 768"),
        ({"height": 0}, "32 x 0 pixels"),
    ],
)
def test_planes_that_do_not_fit_are_refused_by_size(change, error):
    msg = planes("nv12")
    for name, value in change.items():
        setattr(msg, name, value)
    with pytest.raises(WamError, match=error):
        image_to_numpy(msg)


@pytest.mark.parametrize("pattern", ["rggb", "bggr", "gbrg", "grbg"])
def test_a_compressed_mosaic_is_what_the_raw_one_is(pattern):
    mosaic = RNG.integers(0, 256, (12, 16), dtype=np.uint8)
    data = cv2.imencode(".png", mosaic)[1].tobytes()
    name = f"bayer_{pattern}8"
    msg = CompressedImage(format=f"{name}; png compressed ", data=array.array("B", data))
    np.testing.assert_array_equal(image_to_numpy(msg), image_to_numpy(image(name, mosaic)))


def test_a_mosaic_that_the_transport_coloured_is_a_picture():
    data = cv2.imencode(".png", BARS[:, :, ::-1])[1].tobytes()
    msg = CompressedImage(format="bayer_rggb8; png compressed bgr8", data=array.array("B", data))
    np.testing.assert_array_equal(image_to_numpy(msg), BARS)


@pytest.mark.parametrize("kind", ["16UC1; png compressed 16UC1", "32FC1; compressedDepth png"])
def test_compressed_depth_is_no_picture(kind):
    data = cv2.imencode(".png", np.arange(192, dtype=np.uint16).reshape(12, 16))[1].tobytes()
    with pytest.raises(WamError, match=r"CompressedImage.format.*depth or another measurement"):
        image_to_numpy(CompressedImage(format=kind, data=array.array("B", data)))


@pytest.mark.parametrize(
    ("encoding", "words"), [("8UC3", "to bgr8 or rgb8"), ("32FC1", "depth or another measurement")]
)
def test_bare_numbers_are_refused_with_what_to_do(encoding, words):
    with pytest.raises(WamError, match=words):
        image_to_numpy(Image(height=1, width=1, encoding=encoding, step=4, data=b"1234"))


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.97])
def test_a_file_that_was_cut_says_so_and_padding_does_no_harm(suffix, share):
    noise = RNG.integers(0, 256, (96, 128, 3), dtype=np.uint8)
    data = cv2.imencode(suffix, noise)[1].tobytes()
    whole = CompressedImage(format=suffix[1:], data=array.array("B", data + bytes(64)))
    assert image_to_numpy(whole).shape == (96, 128, 3)
    cut = data[: int(share * len(data))]
    with pytest.raises(WamError, match=f"is cut off: its {len(cut)} bytes have no end"):
        image_to_numpy(CompressedImage(format=suffix[1:], data=array.array("B", cut)))
