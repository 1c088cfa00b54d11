"""Joint values to the network's range and back."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from wam_ros.core.errors import WamError  # noqa: E402
from wam_ros.models.dreamzero.small.normalise import Normaliser  # noqa: E402

RELATIVE = np.array([1.0, 1.0, 0.0])


def fitted(seed=0):
    rng = np.random.default_rng(seed)
    states = rng.normal(size=(20, 31, 3)).cumsum(1) * 0.1
    actions = states[:, 1:] + 0.01 * rng.normal(size=(20, 30, 3))
    # the last row of an episode has no action
    rows = [
        (s, np.vstack([a, a[-1]]), np.arange(31) < 30) for s, a in zip(states, actions, strict=True)
    ]
    return Normaliser.fit(rows, RELATIVE, horizon=8), states, actions


@given(st.integers(0, 2**31))
def test_actions_within_range_survive_the_round_trip(seed):
    normaliser, *_ = fitted()
    rng = np.random.default_rng(seed)
    state = torch.tensor(rng.normal(size=3), dtype=torch.float32)
    wanted = torch.tensor(rng.uniform(-1.4, 1.4, (8, 3)), dtype=torch.float32)
    again = normaliser.actions(normaliser.to_joints(wanted, state), state)
    torch.testing.assert_close(again, wanted, atol=1e-4, rtol=0)


def test_arm_targets_move_with_the_observed_joints_and_the_gripper_stays_absolute():
    normaliser, *_ = fitted()
    actions = torch.zeros(8, 3)
    moved = normaliser.to_joints(actions, torch.full((3,), 0.5)) - normaliser.to_joints(
        actions, torch.zeros(3)
    )
    torch.testing.assert_close(moved, torch.tensor([0.5, 0.5, 0.0]).expand(8, 3))


def test_one_and_ninetynine_percent_of_the_data_map_to_minus_one_and_one():
    normaliser, states, actions = fitted()
    state = normaliser.state(torch.tensor(states, dtype=torch.float32))
    for joint in range(3):
        assert float((state[..., joint] <= -1).float().mean()) == pytest.approx(0.01, abs=0.003)
        assert float((state[..., joint] >= 1).float().mean()) == pytest.approx(0.01, abs=0.003)
    offsets = np.concatenate([actions[:, o : o + 23] - RELATIVE * states[:, :23] for o in range(8)])
    low = torch.tensor(np.quantile(offsets.reshape(-1, 3), 0.01, 0), dtype=torch.float32)
    torch.testing.assert_close(normaliser.action_low, low)


def test_actions_that_are_not_there_and_short_episodes_do_not_count():
    normaliser, states, actions = fitted()
    rows = [
        (s, np.vstack([a, a[-1]]), np.arange(31) < 30) for s, a in zip(states, actions, strict=True)
    ]
    video = (states[0], np.full((31, 3), 100.0), np.zeros(31, bool))
    again = Normaliser.fit([*rows, video, tuple(x[:8] for x in rows[0])], RELATIVE, horizon=8)
    torch.testing.assert_close(again.action_high, normaliser.action_high)
    with pytest.raises(WamError, match="no episode is longer than a chunk of 8 steps, with act"):
        Normaliser.fit([video], RELATIVE, horizon=8)


@pytest.mark.parametrize(
    "bad", [{}, {"relative": [1.0, 0.0]}, {"relative": [1.0, float("nan"), 0.0]}]
)
def test_missing_or_wrong_statistics_are_refused_by_name(bad):
    with pytest.raises(WamError, match="statistics 'relative' must be 3 finite numbers"):
        Normaliser.from_lists(bad, 3)
