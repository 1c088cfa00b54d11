"""The optimiser of the block matrices: torch's numbers, in the precision that is asked for."""

import pytest

torch = pytest.importorskip("torch")

from wam_ros.train.muon import Muon, orthogonal  # noqa: E402

SHAPES = [(24, 16), (16, 24), (16, 16)]


def trained(make):
    """Matrices after five steps with the same gradients."""
    generator = torch.Generator().manual_seed(0)
    matrices = [torch.nn.Parameter(torch.randn(*s, generator=generator)) for s in SHAPES]
    unused = torch.nn.Parameter(torch.ones(2, 2))
    optimiser = make([*matrices, unused])
    for _ in range(5):
        for p in matrices:
            p.grad = torch.randn(p.shape, generator=generator)
        optimiser.step()
    assert torch.equal(unused, torch.ones(2, 2))
    return matrices


def ours(dtype):
    return trained(lambda p: Muon(p, lr=2e-3, weight_decay=0.01, dtype=dtype))


def torchs():
    return trained(
        lambda p: torch.optim.Muon(p, lr=2e-3, weight_decay=0.01, adjust_lr_fn="match_rms_adamw")
    )


def test_in_bfloat16_it_is_torch_to_the_bit():
    for found, wanted in zip(ours(torch.bfloat16), torchs(), strict=True):
        assert torch.equal(found, wanted)


def test_in_float32_it_differs_by_the_rounding_of_bfloat16():
    start = trained(lambda p: Muon(p, lr=0.0, weight_decay=0.0, dtype=torch.float32))
    for found, other, before in zip(ours(torch.float32), torchs(), start, strict=True):
        moved = (found - before).norm()
        assert 0 < (found - other).norm() < 0.02 * moved


@pytest.mark.parametrize("shape", SHAPES)
def test_a_step_turns_as_the_gradient_does_and_is_as_large_in_every_direction(shape):
    torch.manual_seed(0)
    x = torch.randn(*shape)
    u, _, v = torch.linalg.svd(x, full_matrices=False)
    values = torch.linalg.svdvals(orthogonal(x, torch.float32))
    assert values.min() > 0.5 and values.max() < 1.5
    turned = u.T @ orthogonal(x, torch.float32) @ v.T
    assert (turned - turned.diag().diag()).abs().max() < 1e-4
