"""A chunk leaves before its frames are there; they follow."""

import threading

import numpy as np
import pytest

from wam_ros.core.errors import WamError
from wam_ros.core.policy import Abilities, PolicyOutput, Request
from wam_ros.core.types import Conditioning
from wam_ros.runtime.engine import InferenceEngine
from wam_ros.runtime.prediction import predict

from .test_engine import MS, WAIT_S, observation


class PainterPolicy:
    """Knows its chunk at once and paints for as long as the test likes."""

    name, checkpoint_hash, abilities = "painter", "1" * 16, Abilities(candidates=2)

    def __init__(self):
        self.paint, self.failure, self.joints = threading.Semaphore(0), None, 2

    def reset(self, instruction):
        pass

    def output(self, observation, n_frames):
        frames = np.repeat(observation.frames[None] + 7, n_frames, 0)
        offsets = (400 * MS,) * n_frames
        return PolicyOutput(np.full((4, self.joints), 0.5), frames, offsets, Conditioning.REAL, 2)

    def predict(self, observation, request=None):
        if request.early is not None:
            request.early(self.output(observation, 0))
        assert self.paint.acquire(timeout=WAIT_S)
        if self.failure:
            raise self.failure
        return self.output(observation, 1)


@pytest.fixture
def make_engine():
    made = []

    def make(**more):
        policy, events = PainterPolicy(), threading.Semaphore(0)
        engine = InferenceEngine(policy, max_gap_ns=300 * MS, on_event=events.release, **more)
        made.append((policy, engine))
        assert engine.reset("red").result(WAIT_S).ok
        assert events.acquire(timeout=WAIT_S)
        return policy, engine, lambda: events.acquire(timeout=WAIT_S)

    yield make
    for policy, engine in made:
        policy.paint.release(100)
        assert engine.close(WAIT_S)


def test_the_chunk_is_there_while_its_frames_are_painted_and_they_follow_once(make_engine):
    policy, engine, heard = make_engine()
    engine.submit(observation(100))
    assert heard()
    first = engine.take()
    assert first.output.positions.shape == (4, 2)
    assert not len(first.output.frames)
    assert engine.take_imagined() is None
    assert engine.status().busy_s > 0
    policy.paint.release()
    assert heard()
    assert engine.take() is None, "a chunk is told once"
    second = engine.take_imagined()
    assert second.observation is first.observation
    assert (second.output.frames == 7).all()
    assert second.inference_s > first.inference_s
    assert engine.take_imagined() is None


def test_frames_that_fail_are_an_error_after_a_chunk_that_is_good(make_engine):
    policy, engine, heard = make_engine()
    policy.failure = WamError("out of paint")
    engine.submit(observation(100))
    assert heard()
    assert engine.take().output is not None
    policy.paint.release()
    assert heard()
    failed = engine.take()
    assert (failed.output, failed.error) == (None, "out of paint")
    assert engine.take_imagined() is None


def test_an_observation_that_was_seen_before_is_answered_without_a_chunk_or_frames(make_engine):
    policy, engine, heard = make_engine()
    same = observation(100)
    policy.paint.release()
    engine.submit(same)
    assert heard()
    assert heard()
    assert engine.take_imagined() is not None
    assert engine.take() is not None
    engine.submit(same)
    assert heard()
    again = engine.take()
    assert (again.output, again.error) == (None, "")
    assert engine.take_imagined() is None


def test_frames_of_an_older_instruction_are_not_given_out(make_engine):
    policy, engine, heard = make_engine()
    engine.submit(observation(100))
    assert heard()
    again = engine.reset("blue")
    policy.paint.release()
    assert again.result(WAIT_S).ok
    assert engine.take() is None
    assert engine.take_imagined() is None


def test_who_chooses_by_what_is_imagined_waits_for_it(make_engine):
    policy, engine, heard = make_engine(value=lambda found: [len(c.frames) for c in found])
    policy.paint.release()
    engine.submit(observation(100))
    assert heard()
    assert len(engine.take().output.frames) == 1
    assert engine.take_imagined() is None


def test_an_early_chunk_that_does_not_fit_is_refused_before_anybody_is_told():
    policy, told = PainterPolicy(), []
    policy.joints = 3
    with pytest.raises(WamError, match=r"positions \(4, 3\)"):
        predict(policy, observation(100), Request(early=told.append))
    assert not told
