"""Known answers of flow matching."""

import itertools

import pytest

torch = pytest.importorskip("torch")

from wam_ros.models.sampling import euler, noised, schedule  # noqa: E402


def test_schedule_runs_from_noise_to_data_and_shift_moves_it_towards_noise():
    assert schedule(4, 1.0) == pytest.approx([1, 0.75, 0.5, 0.25, 0])
    assert schedule(2, 3.0) == pytest.approx([1, 0.75, 0])
    levels = schedule(7, 5.0)
    assert all(a > b for a, b in itertools.pairwise(levels))


@pytest.mark.parametrize("steps", [1, 2, 5])
def test_euler_recovers_data_exactly_when_the_flow_is_straight(steps):
    generator = torch.Generator().manual_seed(0)
    data, noise = torch.randn(2, 3, 4, generator=generator, dtype=torch.float64)
    seen = []

    def velocity(video, action, level):
        seen.append(level)
        torch.testing.assert_close(video, noised(data, noise, torch.tensor(level, dtype=torch.float64)))
        return noise - data, noise - data

    video, action = euler(velocity, noise, noise, schedule(steps, 3.0))
    torch.testing.assert_close(video, data)
    torch.testing.assert_close(action, data)
    assert seen == schedule(steps, 3.0)[:-1]


def test_level_broadcasts_over_trailing_axes():
    data, noise = torch.zeros(2, 3, 4, 5), torch.ones(2, 3, 4, 5)
    level = torch.tensor([[0.0, 0.25, 1.0], [0.5, 0.5, 0.5]])
    assert torch.equal(noised(data, noise, level)[..., 0, 0], level)
