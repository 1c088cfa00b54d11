"""Guided denoising: what is committed is met, what is not known is left alone, and nothing
overshoots.
"""

import itertools

import pytest

torch = pytest.importorskip("torch")

from wam_ros.models.guidance import Guided, Known, guidance_weight, soft_mask  # noqa: E402
from wam_ros.models.sampling import Euler, integrate, noised, schedule  # noqa: E402


@pytest.mark.parametrize("steps", [1, 2, 4, 16])
@pytest.mark.parametrize("shift", [1.0, 3.0])
def test_a_correction_never_exceeds_the_error_nor_beta(steps, shift):
    levels = schedule(steps, shift)
    for a, b in itertools.pairwise(levels):
        weight = guidance_weight(a, a - b, float(steps))
        assert 0 < weight <= steps and weight * (a - b) <= 1 + 1e-12


def test_the_mask_is_one_while_committed_and_falls_to_nothing_at_the_end_of_the_plan():
    mask = soft_mask(2, 5, 8)[:, 0]
    assert mask[:2].tolist() == [1, 1] and mask[5:].tolist() == [0, 0, 0]
    assert (mask[1:5].diff() < 0).all() and mask[4] > 0


def run(mask, target, steps=8):
    """A model that always predicts the data 0, from noise."""
    noise = torch.randn(1, 8, 2, generator=torch.Generator().manual_seed(0))
    inner = Euler(schedule(steps, 1.0))
    guided = Guided(inner, target, mask)

    def velocity(video, action, t_video, t_action):
        return video / (t_video / 1000), action / (t_action / 1000)

    return integrate(velocity, noise, noise, inner, guided)[1]


def test_the_target_is_approached_where_it_binds_and_ignored_where_it_does_not():
    target = torch.full((1, 8, 2), 5.0)
    action = run(soft_mask(2, 5, 8), target)
    assert (action[:, :2] - 5).abs().max() < 1.5
    assert (action[:, 5:]).abs().max() < 1e-5
    assert (action[0, :5, 0].diff() <= 1e-5).all() and action.max() <= 5 + 1e-5


def test_without_a_mask_nothing_changes():
    torch.testing.assert_close(
        run(torch.zeros(8, 1), torch.full((1, 8, 2), 5.0)), torch.zeros(1, 8, 2)
    )


def test_known_rows_are_on_their_path_at_every_level_and_the_others_as_without_them():
    data, noise = torch.randn(2, 1, 2, 3, generator=torch.Generator().manual_seed(1))
    noise = torch.cat([noise, torch.ones(1, 2, 3)], 1)
    levels = schedule(4, 5.0)
    solver = Known(Euler(levels), data, noise)
    x = y = noise
    for i, level in enumerate(levels[1:]):
        v = torch.full_like(x, 0.1 * i)
        x = solver.step(i, x, v)
        y = Euler(levels).step(i, y, v)
        torch.testing.assert_close(x[:, :2], noised(data, noise[:, :2], torch.tensor(level)))
        assert torch.equal(x[:, 2:], y[:, 2:])
    assert torch.equal(x[:, :2], data)
