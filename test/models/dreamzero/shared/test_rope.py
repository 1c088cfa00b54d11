"""Rotary positions."""

import pytest

torch = pytest.importorskip("torch")

from wam_ros.models.dreamzero.shared.rope import (  # noqa: E402
    rope_angles,
    rotate,
    rotate_as_complex,
    rotate_as_halves,
)


def test_rotary_scores_depend_on_position_differences_only():
    generator = torch.Generator().manual_seed(0)
    q, k = torch.randn(2, 1, 7, 2, 24, generator=generator, dtype=torch.float64)
    positions = torch.rand(7, 3, generator=generator, dtype=torch.float64) * 5

    def scores(shift):
        angles = rope_angles(positions + torch.tensor(shift), 24, 10000.0)[:, None]
        rope = angles.cos(), angles.sin()
        return torch.einsum("blnd,bmnd->bnlm", rotate(q, rope), rotate(k, rope))

    torch.testing.assert_close(scores([0.0, 0, 0]), scores([500.0, 3, 2]), atol=1e-9, rtol=0)
    assert (scores([0.0, 0, 0]) - torch.einsum("blnd,bmnd->bnlm", q, k)).abs().max() > 0.1


def test_rotations_as_complex_numbers_and_as_halves_are_the_same():
    generator = torch.Generator().manual_seed(0)
    x, angles = (
        torch.randn(2, 7, 3, 8, generator=generator),
        torch.randn(7, 1, 4, generator=generator),
    )
    rope = angles.cos(), angles.sin()
    torch.testing.assert_close(rotate_as_complex(x, rope), rotate_as_halves(x, rope, x.dtype))
    narrow = x.bfloat16()
    assert torch.equal(rotate(narrow, rope), rotate_as_halves(narrow.float(), rope, narrow.dtype))
