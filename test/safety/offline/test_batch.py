"""The filter on a file of chunks: the answers are its own, and what makes no sense is named."""

from __future__ import annotations

import io
import zipfile

import numpy as np
import pytest

from testing.tools import make_chunk
from wam_ros.core.errors import WamError
from wam_ros.core.types import Decision, KinematicState
from wam_ros.safety.offline.batch import KEYS, START_NS, answers, judge, read_batch, worst_first

from .conftest import run


def test_the_answers_are_those_of_the_filter(panda, arrays, file, tmp_path, capsys):
    out = tmp_path / "answers"
    assert run("filter", "--embodiment", "panda", file, out) == 0
    found = dict(np.load(out, allow_pickle=False))
    assert list(found["decision"]) == ["pass", "pass", "truncated", "reject", "reject"]
    assert list(found["reasons"])[3:] == ["nonfinite", "discontinuity"]
    assert "position" in str(found["reasons"][2])
    for i, (q, q0) in enumerate(zip(arrays["positions"], arrays["q0"], strict=True)):
        chunk = make_chunk(panda.model.joint_names, q, age=0, now=START_NS)
        verdict = panda.filter(chunk, KinematicState.at_rest(q0), START_NS, now_ns=START_NS)
        assert found["sentence"][i] == verdict.sentence
        assert found["steps_accepted"][i] == verdict.steps_accepted
        n = 0 if verdict.trajectory is None else len(verdict.trajectory.t)
        assert found["samples"][i] == n
        if n:
            assert np.array_equal(found["q"][i, :n], verdict.trajectory.q)
            assert np.array_equal(found["ddq"][i, :n], verdict.trajectory.ddq)
            assert np.array_equal(found["t"][:n], verdict.trajectory.t)
        else:
            assert np.isnan(found["q"][i]).all()
    told = capsys.readouterr().out
    assert "position of panda_joint3 at step 4 is nan" in told
    assert "truncated" in told


def test_what_is_emitted_ends_at_rest_within_the_efforts(model, file, tmp_path):
    assert run("filter", file, tmp_path / "out.npz") == 0
    found = dict(np.load(tmp_path / "out.npz", allow_pickle=False))
    emitted = found["samples"] > 0
    assert emitted.sum() == 3
    for i in np.flatnonzero(emitted):
        n = found["samples"][i]
        assert not found["dq"][i, n - 1 :].any()
        assert not found["ddq"][i, n - 1 :].any()
        assert np.array_equal(
            found["q"][i, n - 1 :], np.repeat(found["q"][i, n - 1 : n], len(found["t"]) - n + 1, 0)
        )
    assert (np.abs(found["tau"][emitted]) <= model.limits.effort * 0.9).all()


def test_the_joints_may_come_in_any_order(model, arrays, file, tmp_path):
    order = np.random.default_rng(1).permutation(8)
    shuffled = {k: arrays[k][..., order] for k in ("positions", "q0", "dq0", "joint_names")}
    np.savez(tmp_path / "other.npz", **{**arrays, **shuffled})
    assert (
        run("filter", file, tmp_path / "a.npz")
        == run("filter", tmp_path / "other.npz", tmp_path / "b.npz")
        == 0
    )
    a, b = (dict(np.load(tmp_path / f"{k}.npz", allow_pickle=False)) for k in "ab")
    assert list(b["joint_names"]) == [model.joint_names[k] for k in order]
    for key in ("q", "dq", "ddq", "tau"):
        assert np.array_equal(a[key][..., order], b[key], equal_nan=True)
    assert list(a["sentence"]) == list(b["sentence"])


def test_the_worst_come_first(panda, file):
    batch = read_batch(file)
    verdicts = list(judge(panda, batch))
    assert [verdicts[i].decision for i in worst_first(verdicts)] == [
        Decision.REJECT,
        Decision.REJECT,
        Decision.TRUNCATED,
        Decision.PASS,
        Decision.PASS,
    ]


def test_no_chunks_are_no_answers(panda, arrays, tmp_path):
    empty = {k: arrays[k][:0] for k in ("positions", "q0", "dq0")}
    np.savez(tmp_path / "in.npz", **{**arrays, **empty})
    batch = read_batch(tmp_path / "in.npz")
    assert answers(panda, batch, list(judge(panda, batch)))["q"].shape == (0, 0, 8)
    assert (
        run("filter", tmp_path / "in.npz", tmp_path / "out.npz", "--picture", tmp_path / "none.png")
        == 0
    )


@pytest.mark.parametrize("key", KEYS)
def test_a_missing_array_is_named(arrays, tmp_path, key):
    np.savez(tmp_path / "in.npz", **{k: v for k, v in arrays.items() if k != key})
    with pytest.raises(WamError, match=f"array '{key}' is missing"):
        read_batch(tmp_path / "in.npz")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"dq_0": np.zeros(3)}, "unknown array 'dq_0'. Did you mean 'dq0'"),
        ({"positions": np.zeros((5, 8))}, "positions must be numbers of shape"),
        ({"positions": np.zeros((5, 8, 7))}, "shapes differ"),
        ({"q0": np.zeros((4, 8))}, "shapes differ"),
        ({"dq0": np.array([["x"] * 8] * 5)}, "dq0 must be numbers"),
        ({"step_period": np.array(0.0)}, "step_period must be one positive number"),
        ({"step_period": np.array(np.nan)}, "step_period must be one positive number"),
        ({"step_period": np.array([0.1, 0.1])}, "step_period must be one positive number"),
        ({"joint_names": np.arange(8)}, "joint_names must be a list of strings"),
        ({"q0": np.array([[None] * 8] * 5, dtype=object)}, "not an .npz file of plain arrays"),
    ],
)
def test_an_array_that_makes_no_sense_is_named(arrays, tmp_path, changes, words):
    np.savez(tmp_path / "in.npz", **{**arrays, **changes})
    with pytest.raises(WamError, match=words.replace("(", r"\(").replace(")", r"\)")):
        read_batch(tmp_path / "in.npz")


@pytest.mark.parametrize(("offset", "value"), [(6, 0xB0), (8, 0x01), (10, 0x63), (-90, 0xFF)])
def test_damage_is_one_line_whatever_it_does_to_who_reads_the_file(arrays, tmp_path, offset, value):
    """A version that no zip file has, a password, a way to compress that nobody knows, data that do
    not unpack.
    """
    np.savez_compressed(tmp_path / "in.npz", **arrays)
    raw = bytearray((tmp_path / "in.npz").read_bytes())
    raw[raw.index(b"PK\x01\x02") + offset] = value  # of the list of what is in the file
    (tmp_path / "in.npz").write_bytes(raw)
    with pytest.raises(WamError, match="not an .npz file of plain arrays"):
        read_batch(tmp_path / "in.npz")


def test_nothing_in_a_file_is_executed(tmp_path, arrays):
    """An array of objects is a pickle; it must not even be opened."""
    buffer = io.BytesIO()
    np.save(buffer, np.array([print], dtype=object), allow_pickle=True)
    np.savez(tmp_path / "in.npz", **{k: v for k, v in arrays.items() if k != "q0"})
    with zipfile.ZipFile(tmp_path / "in.npz", "a") as file:
        file.writestr("q0.npy", buffer.getvalue())
    with pytest.raises(WamError, match="not an .npz file of plain arrays"):
        read_batch(tmp_path / "in.npz")
