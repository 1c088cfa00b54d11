"""Known answers of flow matching."""

import itertools
import math

import pytest

torch = pytest.importorskip("torch")

from wam_ros.core.errors import WamError  # noqa: E402
from wam_ros.models.reuse import FixedSteps  # noqa: E402
from wam_ros.models.sampling import Euler, UniPC, integrate, noised, schedule  # noqa: E402


def test_schedule_runs_from_noise_to_data_and_shift_moves_it_towards_noise():
    assert schedule(4, 1.0) == pytest.approx([1, 0.75, 0.5, 0.25, 0])
    assert schedule(2, 3.0) == pytest.approx([1, 0.75, 0])
    levels = schedule(7, 5.0)
    assert all(a > b for a, b in itertools.pairwise(levels))


@pytest.mark.parametrize("steps", [1, 2, 5])
@pytest.mark.parametrize("solver", [Euler, UniPC])
def test_solvers_recover_data_exactly_when_the_flow_is_straight(steps, solver):
    generator = torch.Generator().manual_seed(0)
    data, noise = torch.randn(2, 3, 4, generator=generator, dtype=torch.float64)
    levels = [0.9, *schedule(steps, 3.0)[1:]]
    start = noised(data, noise, torch.tensor(0.9, dtype=torch.float64))
    seen = []

    def velocity(video, action, t_video, t_action):
        assert t_video == t_action
        seen.append(t_video)
        return noise - data, noise - data

    video, action = integrate(velocity, start, start, solver(levels), solver(levels))
    torch.testing.assert_close(video, data)
    torch.testing.assert_close(action, data)
    wanted = [1000 * level for level in levels[:-1]]
    assert seen == pytest.approx(wanted if solver is Euler else [int(t) for t in wanted])


def test_unipc_is_of_second_order_and_euler_of_first():
    """dx/d(level) = x on a curved flow: halving the steps divides the error by about 4, or 2."""

    def error(solver, steps):
        levels = [0.8 - 0.6 * i / steps for i in range(steps + 1)]
        x = torch.ones(1, dtype=torch.float64)
        s = solver(levels)
        for i in range(steps):
            x = s.step(i, x, x)
        return abs(float(x) - math.exp(-0.6))

    assert error(Euler, 16) / error(Euler, 32) == pytest.approx(2, rel=0.1)
    assert error(UniPC, 16) / error(UniPC, 32) > 3.5
    assert error(UniPC, 16) < error(Euler, 16) / 10


def test_skipped_steps_use_the_last_velocities_again():
    calls = []

    def velocity(video, action, t_video, t_action):
        calls.append(t_video)
        return torch.full_like(video, len(calls)), torch.zeros_like(action)

    solver = Euler(schedule(16, 1.0))
    video, _ = integrate(
        velocity=velocity,
        video=torch.zeros(1),
        action=torch.zeros(1),
        of_video=solver,
        of_action=solver,
        reuse=FixedSteps(5),
    )
    assert len(calls) == 5
    # Steps 0, 1, 2-6, 7-11, 12-15 with velocities 1 .. 5.
    torch.testing.assert_close(video, torch.tensor([-(1 + 2 + 5 * 3 + 5 * 4 + 4 * 5) / 16]))


def test_a_number_of_evaluations_without_a_table_is_refused_with_the_choices():
    with pytest.raises(WamError, match="choose 16 or one of 5, 6, 7, 8"):
        FixedSteps(9)
    with pytest.raises(WamError, match="choose 4$"):
        FixedSteps(3, steps=4)


def test_level_broadcasts_over_trailing_axes():
    data, noise = torch.zeros(2, 3, 4, 5), torch.ones(2, 3, 4, 5)
    level = torch.tensor([[0.0, 0.25, 1.0], [0.5, 0.5, 0.5]])
    assert torch.equal(noised(data, noise, level)[..., 0, 0], level)
