"""Low-rank updates and base models: merged while they are loaded, and refused by name where
something is missing.
"""

import json

import pytest

torch = pytest.importorskip("torch")

from safetensors.torch import save_file  # noqa: E402

from wam_ros.core.errors import WamError  # noqa: E402
from wam_ros.models.dreamzero.released.checkpoint import (  # noqa: E402
    PREFIX,
    describe,
    load_base,
    open_checkpoint,
)

from .released import TINY, same, tiny_network  # noqa: E402

CPU = torch.device("cpu")
NAME = f"{PREFIX}model.blocks.1.ffn.0.weight"


@pytest.fixture(scope="module")
def network():
    return tiny_network()


def low_rank(network, rank=2):
    """Factors for one weight as training writes them, and the weight that they make of it."""
    weight = network.state_dict()[NAME.removeprefix(PREFIX)]
    a, b = torch.randn(rank, weight.shape[1]), torch.randn(weight.shape[0], rank)
    stem = f"{PREFIX}model.base_model.model.blocks.1.ffn.0"
    return {
        f"{stem}.lora_A.default.weight": a,
        f"{stem}.lora_B.default.weight": b,
    }, weight + 0.5 * (b @ a)


def write_lora(folder, tensors):
    folder.mkdir(exist_ok=True)
    config = describe(TINY)
    config["action_head_cfg"]["config"] |= {
        "lora_rank": 2,
        "lora_alpha": 1,
        "train_architecture": "lora",
    }
    (folder / "config.json").write_text(json.dumps(config))
    save_file({n: t.contiguous() for n, t in tensors.items()}, folder / "model.safetensors")


def test_low_rank_updates_beside_wrapped_weights_are_merged(tmp_path, network):
    factors, merged = low_rank(network)
    tensors = {f"{PREFIX}{n}": t for n, t in network.state_dict().items()}
    wrapped = f"{PREFIX}model.base_model.model.blocks.1.ffn.0.base_layer.weight"
    tensors[wrapped] = tensors.pop(NAME)
    write_lora(tmp_path, tensors | factors)
    restored = open_checkpoint(tmp_path, TINY.dit).load(CPU, torch.float32)
    torch.testing.assert_close(restored.get_parameter(NAME.removeprefix(PREFIX)), merged)
    same(restored.vae, network.vae)


def base_model(folder, network):
    """A base Wan folder: transformer as safetensors, towers as .pth, no action parts."""
    folder.mkdir(exist_ok=True)
    state = network.state_dict()

    def part(prefix):
        return {
            n.removeprefix(prefix): t.clone(memory_format=torch.contiguous_format)
            for n, t in state.items()
            if n.startswith(prefix)
        }

    dit = {n: t for n, t in part("model.").items() if not n.startswith(("state_", "action_"))}
    save_file(dit, folder / "diffusion_pytorch_model.safetensors")
    torch.save(part("text_encoder."), folder / "models_t5_umt5-xxl-enc-bf16.pth")
    clip = part("image_encoder.model.") | {"textual.weight": torch.zeros(3)}
    torch.save(clip, folder / "models_clip_open-clip-xlm-roberta-large-vit-huge-14.pth")
    save_file(part("vae.model."), folder / "Wan2.1_VAE.safetensors")


def test_low_rank_updates_alone_take_the_base_model(tmp_path, network):
    base_model(tmp_path / "base", network)
    factors, merged = low_rank(network)
    parts = {
        n: t
        for n, t in network.state_dict().items()
        if n.startswith(("model.state_", "model.action_"))
    }
    write_lora(tmp_path / "lora", factors | {f"{PREFIX}{n}": t for n, t in parts.items()})
    checkpoint = open_checkpoint(tmp_path / "lora", TINY.dit)
    restored = checkpoint.load(CPU, torch.float32, base=tmp_path / "base")
    torch.testing.assert_close(restored.get_parameter(NAME.removeprefix(PREFIX)), merged)
    same(restored.text_encoder, network.text_encoder)
    same(restored.model.action_encoder, network.model.action_encoder)
    with pytest.raises(
        WamError, match="lacks tensor .* low-rank updates need the base model, as 'base'"
    ):
        checkpoint.load(CPU, torch.float32)


@pytest.mark.parametrize("drop", ["lora_A", "lora_B"])
def test_half_a_low_rank_update_is_refused(tmp_path, network, drop):
    factors = {n: t for n, t in low_rank(network)[0].items() if drop not in n}
    write_lora(tmp_path, {f"{PREFIX}{n}": t for n, t in network.state_dict().items()} | factors)
    with pytest.raises(WamError, match="low-rank tensors of 'model.blocks.1.ffn.0.weight'"):
        open_checkpoint(tmp_path, TINY.dit).load(CPU, torch.float32)


def test_a_base_model_fills_all_but_the_action_parts(tmp_path, network):
    base_model(tmp_path, network)
    fresh = tiny_network(seed=7)
    before = {n: t.clone() for n, t in fresh.model.action_decoder.state_dict().items()}
    load_base(tmp_path, fresh, CPU, torch.float32)
    same(fresh.vae, network.vae)
    same(fresh.image_encoder, network.image_encoder)
    same(fresh.model.blocks, network.model.blocks)
    assert all(
        torch.equal(before[n], t) for n, t in fresh.model.action_decoder.state_dict().items()
    )
