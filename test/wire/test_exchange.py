"""What our own ends say beyond a contract's keys."""

from dataclasses import replace

import numpy as np
import pytest

from testing.policies import RememberingPolicy, observation
from wam_ros.core.appraisal import Outlook
from wam_ros.core.errors import WamError
from wam_ros.core.policy import Abilities, Request
from wam_ros.core.types import Conditioning
from wam_ros.wire.exchange import (
    answer_keys,
    describe_abilities,
    read_abilities,
    read_asked,
    read_output,
    request_keys,
)
from wam_ros.wire.packing import WireError, pack, unpack

SEEN = observation()
NO_FRAMES = np.zeros((0, *SEEN.frames.shape), np.uint8)


def test_a_request_comes_back_with_its_plan_bit_for_bit():
    plan = np.random.default_rng(0).normal(size=(5, 8))
    asked = read_asked(
        unpack(pack(request_keys(Request(step=12, plan=plan, committed=2, prefix=True), 0.8))), 8
    )
    assert (asked.request.plan == plan).all()
    r = asked.request
    assert (r.step, r.committed, r.prefix, r.predict) == (12, 2, True, True)
    assert (asked.deadline_s, asked.imagined) == (0.8, True)


def test_a_foreign_client_has_the_defaults():
    asked = read_asked({}, 8)
    assert asked.request == Request()
    assert (asked.deadline_s, asked.imagined) == (None, False)


@pytest.mark.parametrize(
    "said",
    [
        {"step": -1},
        {"step": 1.5},
        {"step": True},
        {"step": 1 << 60},
        {"committed": "2"},
        {"predict": 1},
        {"plan": np.zeros((2, 7))},
        {"plan": np.full((2, 8), np.nan)},
        {"plan": [[0.0] * 8]},
        {"deadline_s": 0},
        {"deadline_s": float("nan")},
        {"deadline_s": "1"},
        {"deadline_s": True},
    ],
)
def test_a_request_out_of_range_is_refused_by_its_key(said):
    with pytest.raises(WireError, match=f"'{next(iter(said))}'"):
        read_asked(said, 8)


def test_an_answer_comes_back_with_its_imagined_frames_bit_for_bit():
    policy = RememberingPolicy()
    policy.reset("go")
    out = policy.predict(SEEN, Request(0))
    back = read_output(unpack(pack(answer_keys(out, True))), out.positions, NO_FRAMES)
    assert (back.frames == out.frames).all()
    assert back.frame_offsets_ns == out.frame_offsets_ns
    assert (back.conditioning, back.evaluations) == (Conditioning.REAL, 3)
    assert back.timing_s == pytest.approx(out.timing_s)


def test_what_a_model_makes_of_the_task_travels_and_what_it_does_not_say_stays_unknown():
    policy = RememberingPolicy()
    policy.reset("go")
    out = replace(policy.predict(SEEN, Request(0)), outlook=Outlook(done=0.25, failed_ahead=1.0))
    back = read_output(unpack(pack(answer_keys(out, False))), out.positions, NO_FRAMES).outlook
    assert (back.done, back.failed_ahead) == (0.25, 1.0)
    assert np.isnan([back.failed, back.done_ahead]).all()


def test_who_imagines_nothing_shows_nothing():
    out = read_output({}, np.zeros((8, 8)), NO_FRAMES)
    assert out.frames.shape == NO_FRAMES.shape
    assert out.conditioning is Conditioning.UNKNOWN


@pytest.mark.parametrize(
    "said",
    [
        {"imagined_frames": np.zeros((1, 2, 3), np.uint8), "imagined_ns": [1]},
        {"imagined_frames": np.zeros((1, *SEEN.frames.shape)), "imagined_ns": [1]},
        {"imagined_frames": np.zeros((1, *SEEN.frames.shape), np.uint8), "imagined_ns": []},
        {"imagined_frames": np.zeros((1, *SEEN.frames.shape), np.uint8), "imagined_ns": [-1]},
        {"imagined_frames": np.zeros((1, *SEEN.frames.shape), np.uint8), "imagined_ns": [0.5]},
        {"conditioning": "REAL"},
        {"guided": 1},
        {"outlook": [0.5]},
        {"outlook": {"done": 1.5}},
        {"outlook": {"done": float("nan")}},
        {"outlook": {"over": 0.5}},
    ],
)
def test_an_answer_out_of_range_is_refused(said):
    with pytest.raises(WireError):
        read_output(said, np.zeros((8, 8)), NO_FRAMES)


def test_abilities_travel_but_for_what_stays_with_the_model():
    told = unpack(pack(describe_abilities(RememberingPolicy.abilities)))
    assert read_abilities(told) == RememberingPolicy.abilities
    wide = Abilities(ahead=(4, 8), candidates=16)
    assert read_abilities(describe_abilities(wide)) == Abilities()
    assert read_abilities(None) == Abilities()
    for lie in ({"frame_stride": -1}, {"candidates": 9}, {"flies": True}, "all"):
        with pytest.raises(WamError):
            read_abilities(lie if isinstance(lie, str) else told | lie)
