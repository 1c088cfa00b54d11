"""A chunk leaves before its frames are there; they follow."""

import re
import threading
from dataclasses import replace

import numpy as np
import pytest

from wam_ros.core.errors import WamError
from wam_ros.core.policy import Abilities, PolicyOutput
from wam_ros.core.types import Conditioning
from wam_ros.runtime.engine import InferenceEngine

from .test_engine import MS, WAIT_S, observation


class PainterPolicy:
    """Knows its chunk at once; its frames are painted for as long as the test likes, where they may
    be left out, else at once.
    """

    name, checkpoint_hash, abilities = "painter", "1" * 16, Abilities(candidates=2)

    def __init__(self):
        self.paint, self.begun = threading.Semaphore(0), threading.Semaphore(0)
        self.failure, self.views = None, 1

    def reset(self, instruction):
        pass

    def output(self, observation, n_frames):
        frames = np.repeat(observation.frames[None] + 7, n_frames, 0)[:, : self.views]
        offsets = (400 * MS,) * n_frames
        return PolicyOutput(np.full((4, 2), 0.5), frames, offsets, Conditioning.REAL, 2)

    def predict(self, observation, request=None):
        if not request.apart:
            return self.output(observation, 1)

        def decode():
            self.begun.release()
            assert self.paint.acquire(timeout=WAIT_S)
            if self.failure:
                raise self.failure
            return self.output(observation, 1)

        chunk = self.output(observation, 0)
        return replace(chunk, frames=observation.frames[None][:0], decode=decode)


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
    policy.paint.release()
    assert heard()
    assert engine.take() is None, "a chunk is told once"
    second = engine.take_imagined()
    assert second.observation is first.observation
    assert (second.output.frames == 7).all()
    assert second.inference_s == first.inference_s, "that of the chunk"
    assert engine.take_imagined() is None


def test_the_next_chunk_does_not_wait_for_the_frames_before_it(make_engine):
    policy, engine, heard = make_engine()
    chunks = []
    for stamp in (100, 200, 300):
        engine.submit(observation(stamp))
        assert heard()
        chunks.append(engine.take())
        assert chunks[1:] or policy.begun.acquire(timeout=WAIT_S)
    assert [c.observation.stamp_ns for c in chunks] == [100 * MS, 200 * MS, 300 * MS]
    assert engine.take_imagined() is None
    policy.paint.release(2)
    assert heard()
    assert heard()
    newest = engine.take_imagined()
    assert newest.observation is chunks[2].observation, "those between are never seen"


@pytest.mark.parametrize(
    ("failure", "views", "words"),
    [
        (WamError("out of paint"), 1, "out of paint"),
        (ValueError("dry"), 1, "ValueError: dry"),
        (None, 0, r"frames uint8 \(1, 0,"),
    ],
)
def test_frames_that_fail_are_said_and_chunks_go_on(make_engine, failure, views, words):
    policy, engine, heard = make_engine()
    policy.failure, policy.views = failure, views
    policy.paint.release(2)
    engine.submit(observation(100))
    assert heard()
    assert engine.take().output is not None
    assert heard()
    assert re.search(words, engine.status().error)
    assert engine.take_imagined() is None
    policy.failure, policy.views = None, 1
    engine.submit(observation(200))
    assert heard()
    assert heard()
    assert engine.take().output is not None
    assert engine.take_imagined() is not None
    assert engine.status().error == ""


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
