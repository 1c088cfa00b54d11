import io
import json
import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from testing.wire import unpack
from wam_ros.view.wire import Column, Encoder, encode, pack, to_json


def noise(height, width, seed=3):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def test_small_frames_travel_without_loss():
    frame = noise(64, 64)
    assert (np.asarray(Image.open(io.BytesIO(encode(frame)))) == frame).all()


def test_large_frames_travel_small():
    smooth = np.linspace(0, 255, 320 * 240).reshape(240, 320, 1).repeat(3, axis=2).astype(np.uint8)
    data = encode(smooth)
    assert data[:2] == b"\xff\xd8"
    assert len(data) < smooth.size / 20
    back = np.asarray(Image.open(io.BytesIO(data))).astype(int)
    assert np.abs(back - smooth).mean() < 2


def test_a_frame_that_is_shown_twice_is_encoded_once(monkeypatch):
    done = []
    monkeypatch.setattr("wam_ros.view.wire.encode", lambda frame: done.append(1) or b"x")
    encoder = Encoder()
    kept, new = noise(8, 8)[None].repeat(2, axis=0), noise(8, 8, 4)[None]
    assert encoder.encode([Column("observed", kept), Column("imagined", new)]) == [
        [b"x", b"x"],
        [b"x"],
    ]
    encoder.encode([Column("observed", kept)])
    assert len(done) == 3
    encoder.encode([Column("observed", kept.copy())])
    assert len(done) == 5


@given(st.lists(st.binary(max_size=50), max_size=5), st.text(max_size=20))
def test_what_is_packed_is_unpacked(blobs, text):
    head, found = unpack(pack({"type": "moment", "text": text}, blobs))
    assert found == blobs
    assert (head["type"], head["text"]) == ("moment", text)


def test_what_is_not_finite_is_null_as_browsers_want():
    value = {
        "a": math.nan,
        "b": [1.0, math.inf],
        "c": np.array([[0.1, np.nan]]),
        "d": (1, "x", None, True),
        "e": np.float64(-math.inf),
    }
    found = json.loads(to_json(value))
    assert found == {
        "a": None,
        "b": [1.0, None],
        "c": [[0.1, None]],
        "d": [1, "x", None, True],
        "e": None,
    }
