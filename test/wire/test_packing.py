"""Messages of openpi's wire: what is packed comes back, what is hostile is refused in words."""

import contextlib
import struct
import tracemalloc

import msgpack
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from wam_ros.wire.packing import (
    DTYPES,
    MOST_BYTES,
    MOST_CONTAINERS,
    MOST_DEPTH,
    MOST_ITEMS,
    WireError,
    pack,
    unpack,
)


def array(**changed):
    """The map of an array as openpi_client packs it, some of it changed."""
    a = np.arange(6, dtype="<f4").reshape(2, 3)
    found = {b"__ndarray__": True, b"data": a.tobytes(), b"dtype": "<f4", b"shape": [2, 3]}
    return found | {name.encode(): value for name, value in changed.items()}


@settings(max_examples=60, deadline=None)
@given(
    hnp.arrays(
        st.sampled_from(sorted(DTYPES)),
        hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5),
    )
)
def test_an_array_comes_back_bit_for_bit(a):
    back = unpack(pack({"a": a}))["a"]
    assert (back.dtype, back.shape) == (a.dtype, a.shape)
    assert back.tobytes() == a.tobytes()


def test_a_message_comes_back_as_it_was():
    message = {"a": [1, 2.5, None, True], "b": {"c": "déjà vu"}, "n": np.float32(0.5)}
    assert unpack(pack(message)) == message


def test_an_array_in_any_memory_order_is_packed_row_by_row():
    a = np.arange(12).reshape(3, 4)
    assert (unpack(pack(a.T)) == a.T).all()


@pytest.mark.parametrize("value", [object(), np.array([object()]), np.array(["text"]), 1j, {1, 2}])
def test_what_has_no_place_in_a_message_is_not_sent(value):
    with pytest.raises(WireError, match="cannot be packed"):
        pack({"a": value})


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"dtype": "|O"}, r"arrays of '\|O' are not read; there are <f2"),
        ({"dtype": "O8"}, "are not read"),
        ({"dtype": "|V8"}, "are not read"),
        ({"dtype": "<c8"}, "are not read"),
        ({"dtype": "<U3"}, "are not read"),
        ({"dtype": "f4,f4"}, "are not read"),
        ({"dtype": [["a", "<f4"]]}, "are not read"),
        ({"dtype": None}, "are not read"),
        ({"shape": [2, 4]}, "is 32 bytes, found 24 bytes"),
        ({"shape": [1 << 40, 1 << 40]}, "found 24 bytes"),
        # the product is 0 in 64 bits
        ({"shape": [1 << 32, 1 << 32]}, "found 24 bytes"),
        ({"shape": [-2, -3]}, "whole numbers"),
        ({"shape": [2.0, 3]}, "whole numbers"),
        ({"shape": [True, 6]}, "whole numbers"),
        ({"shape": "23"}, "is a list"),
        ({"shape": [1] * 40}, "at most 8"),
        ({"data": "x" * 24}, "found str"),
        ({"data": None}, "found NoneType"),
        ({"more": 1}, "exactly the keys"),
    ],
)
def test_an_array_that_is_not_what_it_says_is_refused(changed, words):
    with pytest.raises(WireError, match=words):
        unpack(msgpack.packb({"a": array(**changed)}))


def nested(depth):
    return b"\x91" * depth + b"\xc0"


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "no message"),
        (b"\xc1", "no message"),
        (pack({"a": 1})[:-1], "no message"),
        (pack(1) + pack(2), "no message"),
        (nested(MOST_DEPTH + 1), "lists or maps in each other"),
        (nested(400), "lists or maps in each other"),
        (nested(100_000), "no message|lists and maps"),
        (b"\xdd" + struct.pack(">I", 1 << 31), "exceeds"),
        (b"\xdf" + struct.pack(">I", 1 << 31), "exceeds"),
        (b"\xc6" + struct.pack(">I", 1 << 31), "no message"),
        (msgpack.packb([0] * (MOST_ITEMS + 1)), "exceeds"),
        (msgpack.packb([[]] * (MOST_CONTAINERS + 1)), "lists and maps"),
        (msgpack.packb("x" * 5000), "exceeds"),
        (msgpack.packb(msgpack.ExtType(5, b"x")), "exceeds|extension"),
        (b"\xc7\x00\x05", "extension"),
        (msgpack.packb({"t": msgpack.Timestamp(1)}), "exceeds|extension"),
        (msgpack.packb({1: 2}), "not allowed for map key"),
        (msgpack.packb({b"a": 2}), "keys of a map are text"),
        (msgpack.packb({"a": b"raw"}), "bytes has no place"),
        (b"\x82\xa1a\x01\xa1a\x02", "a key came twice"),
        (msgpack.packb({b"__npgeneric__": True, b"data": [1], b"dtype": "<f4"}), "a number"),
        (b"\xa2\xff\xff", "no message"),
    ],
)
def test_what_is_no_message_is_refused_in_words(data, words):
    with pytest.raises(WireError, match=words):
        unpack(data)


def test_a_message_that_is_too_large_is_not_looked_at():
    with pytest.raises(WireError, match=f"at most {MOST_BYTES} are read"):
        unpack(b"\xc1" * (MOST_BYTES + 1))


def test_headers_that_claim_much_take_no_memory():
    """A list claims its items before they are there, a thousand times in each other."""
    claim = b"\xdc" + struct.pack(">H", MOST_ITEMS)
    tracemalloc.start()
    with pytest.raises(WireError):
        unpack(claim * 300_000)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 32 << 20


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200), st.integers(0, 60), st.binary(max_size=6))
def test_noise_is_read_or_refused(noise, at, piece):
    whole = pack({"a": np.arange(3.0), "b": [1, {"c": "d"}]})
    for data in (noise, whole[:at] + piece + whole[at + len(piece) :]):
        with contextlib.suppress(WireError):
            unpack(data)


def test_openpi_s_own_bytes_are_read():
    """Packed by `openpi_client.msgpack_numpy` 0.1.2."""
    packed = bytes.fromhex(
        "81a161"  # {"a":
        "84c40b5f5f6e6461727261795f5fc3c40464617461c40401020304c4056474797065a37c7531c4057368617065"
        "92"
        "02"
        "02"
    )
    assert unpack(packed)["a"].tolist() == [[1, 2], [3, 4]]
    assert pack({"a": np.array([[1, 2], [3, 4]], np.uint8)}) == packed
