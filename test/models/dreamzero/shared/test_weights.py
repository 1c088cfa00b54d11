"""Weights are written whole or not at all."""

import pytest

torch = pytest.importorskip("torch")

from safetensors.torch import load_file  # noqa: E402

from wam_ros.core.errors import WamError  # noqa: E402
from wam_ros.models.dreamzero.shared.weights import write_tensors  # noqa: E402


def test_a_checkpoint_that_does_not_fit_leaves_the_one_before(small_disk):
    path = small_disk / "tiny.safetensors"
    write_tensors(path, {"w": torch.ones(3)}, {"format": "pt"})
    with pytest.raises(WamError, match=r"tiny\.safetensors cannot be written: .*(space|large)"):
        write_tensors(path, {"w": torch.zeros(1_000_000)}, {"format": "pt"})
    assert torch.equal(load_file(path)["w"], torch.ones(3))
    assert list(small_disk.iterdir()) == [path]
