"""The closed loop of the released models beyond what the reference does, at a small size."""

import dataclasses

import pytest

torch = pytest.importorskip("torch")

from wam_ros.core.errors import WamError  # noqa: E402
from wam_ros.models.dreamzero.released.history import History  # noqa: E402
from wam_ros.models.dreamzero.released.rollout import Anchor, Rollout, Sampling  # noqa: E402
from wam_ros.models.dreamzero.released.speedups import SpeedUps  # noqa: E402

from .test_causal_dit import CONFIG, make_model  # noqa: E402

FEW = Sampling(steps=2, evaluations=2)


class Towers:
    """Random answers that depend on what is asked; frames are (1, T) numbers."""

    def __init__(self):
        self.prompts, self.anchored = 0, []

    def randn(self, seed, *shape):
        return torch.randn(1, *shape, generator=torch.Generator().manual_seed(seed))

    def prompt(self, instruction):
        self.prompts += 1
        embedded = self.randn(len(instruction), 6, 20)
        embedded[:, 1 + len(instruction) % 5 :] = 0.0  # beyond it
        return embedded

    def anchor(self, frames, index):
        self.anchored.append(int(frames[0, index]))
        seed = self.anchored[-1]
        latents = self.randn(seed, 4, 2, 4, 6)
        # the same at every position
        grey = latents[:, :, 1:].expand(-1, -1, CONFIG.window_frames - 1, -1, -1)
        return Anchor(self.randn(seed, 9, 12), torch.cat([latents[:, :, :1], grey], 2))

    def observed(self, frames):
        return self.randn(100 + int(frames[0, -1]), 4, 3, 4, 6)


def make_rollout(history="sliding", sampling=FEW, config=CONFIG, speedups=None):
    return Rollout(make_model(config, speedups), Towers(), "blurry", sampling, history)


def play(rollout, calls, instruction="pick"):
    state = torch.zeros(1, 1, CONFIG.state_dim)
    return [
        rollout.chunk(torch.arange(8 * k, 8 * k + 8)[None], state, instruction)
        for k in range(calls)
    ]


def planned(rollout, rows=2, value=0.3):
    """A chunk that begins with actions that it is told."""
    state = torch.zeros(1, 1, CONFIG.state_dim)
    plan = torch.full((1, rows, CONFIG.action_dim), value)
    return rollout.chunk(torch.arange(1)[None], state, "pick", plan)


def turns(rule, frames):
    history = History(rule, window_frames=9, frames_per_block=2)
    return [history.turn(n, "pick") for n in frames]


def test_eight_frames_are_anchored_on_the_oldest_only_by_the_reference():
    assert [turns(rule, [8])[0].anchor for rule in ("reference", "newest", "sliding")] == [0, 7, 7]


def test_a_sliding_window_never_starts_anew_by_itself():
    found = turns("sliding", [8] * 9)
    assert [t.reset for t in found] == [True] + [False] * 8
    assert [t.slide for t in found] == [False] * 4 + [True] * 5
    assert [t.start for t in found] == [1, 3, 5, 7] + [7] * 5
    assert [t.start for t in turns("newest", [8] * 9)] == [1, 3, 5, 7, 1, 3, 5, 7, 1]


def test_a_new_prompt_or_a_single_frame_starts_every_window_anew():
    history = History("sliding", window_frames=9, frames_per_block=2)
    assert [
        history.turn(*call).reset for call in [(8, "a"), (8, "a"), (8, "b"), (8, "b"), (1, "b")]
    ] == [
        True,
        False,
        True,
        False,
        True,
    ]


def test_an_unknown_rule_is_refused_with_the_choices():
    with pytest.raises(WamError, match="Did you mean 'sliding'"):
        History("slidng", 9, 2)


@pytest.mark.parametrize("speedups", [SpeedUps(), SpeedUps.none()], ids=["fast", "plain"])
def test_after_sliding_the_memory_is_that_of_the_first_frame_and_the_newest_blocks(speedups):
    """With one layer keys depend on the frame alone, so a fresh window of the same frames must
    answer the same.
    """
    one_layer = dataclasses.replace(
        CONFIG, transformer=dataclasses.replace(CONFIG.transformer, num_layers=1)
    )
    slid = make_rollout(config=one_layer, speedups=speedups)
    last = play(slid, 6)[-1]  # 3 blocks a window: two have been dropped
    fresh = make_rollout(config=one_layer, speedups=speedups)
    state = torch.zeros(1, 1, CONFIG.state_dim)
    for first in (0, 32, 40):
        again = fresh.chunk(torch.arange(first, first + 8)[None], state, "pick")
    torch.testing.assert_close(last.action, again.action, atol=1e-5, rtol=0)
    torch.testing.assert_close(last.video, again.video, atol=1e-5, rtol=0)


def test_a_sliding_window_remembers_what_the_reference_forgets():
    """The fourth chunk of a window of three blocks."""
    assert not play(make_rollout("sliding"), 4)[-1].reset
    assert play(make_rollout("newest"), 4)[-1].reset


@pytest.mark.parametrize("off", [f.name for f in dataclasses.fields(SpeedUps)])
def test_every_speed_up_gives_the_chunks_of_the_plain_path(off):
    fast, slow = (
        make_rollout(),
        make_rollout(speedups=dataclasses.replace(SpeedUps(), **{off: False})),
    )
    for a, b in zip(play(fast, 5), play(slow, 5), strict=True):
        torch.testing.assert_close(a.action, b.action, atol=1e-5, rtol=0)
        torch.testing.assert_close(a.video, b.video, atol=1e-5, rtol=0)


def test_prompts_are_encoded_once_unless_told_otherwise():
    cached, plain = make_rollout(), make_rollout(speedups=SpeedUps.none())
    play(cached, 3)
    play(plain, 3)
    assert (cached.encoders.prompts, plain.encoders.prompts) == (2, 6)


def test_without_guidance_only_the_prompt_is_run_and_actions_stay_the_same():
    guided = play(make_rollout(sampling=dataclasses.replace(FEW, steps=1, evaluations=1)), 1)[0]
    alone = play(
        make_rollout(sampling=dataclasses.replace(FEW, steps=1, evaluations=1, guidance=1.0)), 1
    )[0]
    # guidance is on video only; one step feeds nothing back
    torch.testing.assert_close(guided.action, alone.action)
    assert (guided.video - alone.video).abs().max() > 1e-3


def test_chunks_depend_on_the_instruction_and_on_what_was_observed():
    rollout = make_rollout()
    pick = play(rollout, 2)
    other = play(make_rollout(), 2, instruction="put it down")
    assert (pick[0].action - other[0].action).abs().max() > 1e-4
    seen = make_rollout()
    state = torch.zeros(1, 1, CONFIG.state_dim)
    seen.chunk(torch.arange(8)[None], state, "pick")
    differently = seen.chunk(torch.arange(80, 88)[None], state, "pick")
    assert (pick[1].action - differently.action).abs().max() > 1e-5


def test_actions_that_it_is_told_are_kept_and_the_video_follows_from_them():
    chunk, other = (planned(make_rollout(), value=value) for value in (0.3, -0.3))
    assert (chunk.action[:, :2] == 0.3).all()
    assert (chunk.action[:, 2:] != 0.3).any()
    assert (chunk.video - other.video).abs().max() > 1e-4
    whole = planned(make_rollout(), rows=CONFIG.actions_per_block)
    assert (whole.action == 0.3).all()


def test_turning_velocities_skip_the_network():
    chunk = play(make_rollout(sampling=Sampling(evaluations=0)), 1)[0]
    assert 2 <= chunk.evaluations < 16


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"solver": "eulr"}, "Did you mean 'euler'"),
        ({"evaluations": 9}, "no table"),
        ({"solver": "euler", "last_video_level": 0.8}, "unipc"),
    ],
)
def test_samplings_that_do_not_exist_are_refused(changes, message):
    with pytest.raises(WamError, match=message):
        make_rollout(sampling=dataclasses.replace(Sampling(), **changes))
