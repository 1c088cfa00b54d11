"""Low-rank updates and base models: merged while they are loaded, and refused by name where
something is missing.
"""

import json

import pytest

torch = pytest.importorskip("torch")

import yaml  # noqa: E402
from safetensors.torch import save_file  # noqa: E402

from testing.released import TINY, same, tiny_network  # noqa: E402
from wam_ros.core.errors import WamError  # noqa: E402
from wam_ros.models.dreamzero.released.checkpoint import (  # noqa: E402
    PREFIX,
    describe,
    load_base,
    open_checkpoint,
    save_checkpoint,
)

CPU = torch.device("cpu")
NAME = f"{PREFIX}model.blocks.1.ffn.0.weight"
FITTING = "relative_action: true\nrelative_action_keys: [joint_position]\n"


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


def write_lora(folder, tensors, base="", **head):
    """A checkpoint of updates of strength 1/2 that were trained on `base` (empty: base Wan)."""
    folder.mkdir(exist_ok=True)
    config = describe(TINY)
    said = {"lora_rank": 2, "lora_alpha": 1, "train_architecture": "lora"} | head
    config["action_head_cfg"]["config"] |= {k: v for k, v in said.items() if v is not None}
    (folder / "config.json").write_text(json.dumps(config))
    save_file({n: t.contiguous() for n, t in tensors.items()}, folder / "model.safetensors")
    if base is not None:
        (folder / "experiment_cfg").mkdir(exist_ok=True)
        conf = yaml.safe_load(FITTING) | {"pretrained_model_path": base or None}
        path = folder / "experiment_cfg/conf.yaml"
        path.unlink(missing_ok=True)
        path.write_text(yaml.safe_dump(conf))


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


def action_parts(network):
    """What training writes whole beside low-rank updates."""
    kept = ("model.state_", "model.action_")
    return {f"{PREFIX}{n}": t for n, t in network.state_dict().items() if n.startswith(kept)}


def test_low_rank_updates_alone_take_the_base_model(tmp_path, network):
    factors, merged = low_rank(network)
    write_lora(tmp_path, factors | action_parts(network))
    checkpoint = open_checkpoint(tmp_path, TINY.dit)
    with pytest.raises(
        WamError, match="lacks tensor .* low-rank updates need the base model, as 'base'"
    ):
        checkpoint.load(CPU, torch.float32)
    base_model(tmp_path / "base", network)
    restored = checkpoint.load(CPU, torch.float32)
    torch.testing.assert_close(restored.get_parameter(NAME.removeprefix(PREFIX)), merged)
    same(restored.text_encoder, network.text_encoder)
    same(restored.model.action_encoder, network.model.action_encoder)


def released_base(folder, seed=0):
    """A released checkpoint as the model below: with action parts of its own."""
    network = tiny_network(seed)
    save_checkpoint(folder, network, TINY)
    return network


@pytest.mark.parametrize("place", ["linked", "cached", "inside"])
def test_updates_of_a_released_checkpoint_take_that_checkpoint(tmp_path, network, place):
    """Its weights with the updates; action parts and whatever else was trained are the updates'."""
    names = {
        "linked": "models/DreamZero-AgiBot",
        "cached": "hub/models--GEAR-Dreams--DreamZero-AgiBot/snapshots/0123abcd",
        "inside": "lora/base/DreamZero-AgiBot",
    }
    below = released_base(tmp_path / names[place], seed=5)
    factors, _ = low_rank(below)
    write_lora(
        tmp_path / "lora", factors | action_parts(network), "/data/checkpoints/DreamZero-AgiBot/"
    )
    if place != "inside":
        (tmp_path / "lora/base").symlink_to(tmp_path / names[place])
    restored = open_checkpoint(tmp_path / "lora", TINY.dit).load(CPU, torch.float32)
    stem = f"{PREFIX}model.base_model.model.blocks.1.ffn.0.lora"
    update = 0.5 * (factors[f"{stem}_B.default.weight"] @ factors[f"{stem}_A.default.weight"])
    name = NAME.removeprefix(PREFIX)
    torch.testing.assert_close(restored.get_parameter(name), below.get_parameter(name) + update)
    same(restored.model.blocks[0], below.model.blocks[0])
    same(restored.text_encoder, below.text_encoder)
    same(restored.model.action_encoder, network.model.action_encoder)


@pytest.mark.parametrize(
    ("trained_on", "given", "message"),
    [
        ("/d/DreamZero-AgiBot", "wan", "is a base Wan model, but .* trained on '/d/DreamZero-AgiB"),
        ("", "DreamZero-AgiBot", "is a released checkpoint, but .* trained on a base Wan model"),
        ("GEAR/DreamZero-DROID", "DreamZero-AgiBot", "does not say that it is 'GEAR/DreamZero-DR"),
        (None, "wan", "nothing says which model .* write pretrained_model_path"),
        ("/d/DreamZero-AgiBot", "lora", "holds low-rank updates itself"),
        ("/d/DreamZero-AgiBot", "nothing", "holds no model, or several"),
    ],
)
def test_updates_on_another_model_than_they_were_trained_on_are_refused(
    tmp_path, network, trained_on, given, message
):
    base = tmp_path / "lora/base"
    base.mkdir(parents=True)
    if given == "wan":
        base_model(base, network)
    elif given == "lora":
        write_lora(base, low_rank(network)[0])
    elif given != "nothing":
        released_base(base / given)
    write_lora(tmp_path / "lora", low_rank(network)[0] | action_parts(network), trained_on)
    with pytest.raises(WamError, match=message):
        open_checkpoint(tmp_path / "lora", TINY.dit).load(CPU, torch.float32)


@pytest.mark.parametrize(
    ("head", "message"),
    [
        (
            {"lora_rank": 4},
            r"lora_A.default.weight' is \[2, 48\], of rank 2, but .*config.json says",
        ),
        ({"lora_rank": None, "lora_alpha": None}, "lora_rank must be a whole number.*found None"),
        ({"lora_alpha": None}, "found 2 and None"),
        ({"lora_rank": 2.0}, "found 2.0 and 1"),
        ({"use_rslora": "yes"}, "use_rslora must be true or false, found 'yes'"),
    ],
)
def test_rank_and_strength_of_updates_are_those_of_the_tensors_or_refused(
    tmp_path, network, head, message
):
    base_model(tmp_path / "base", network)
    write_lora(tmp_path, low_rank(network)[0] | action_parts(network), **head)
    with pytest.raises(WamError, match=message):
        open_checkpoint(tmp_path, TINY.dit).load(CPU, torch.float32)


def test_rank_stabilised_updates_are_divided_by_the_root_of_the_rank(tmp_path, network):
    base_model(tmp_path / "base", network)
    factors, merged = low_rank(network)
    write_lora(tmp_path, factors | action_parts(network), use_rslora=True)
    restored = open_checkpoint(tmp_path, TINY.dit).load(CPU, torch.float32)
    name = NAME.removeprefix(PREFIX)
    weight = network.get_parameter(name)
    wanted = weight + 2**0.5 * (merged - weight)
    torch.testing.assert_close(restored.get_parameter(name), wanted)


def test_two_updates_of_one_weight_are_refused(tmp_path, network):
    factors = low_rank(network)[0]
    factors |= {n.replace("default", "second"): t.clone() for n, t in factors.items()}
    write_lora(tmp_path, {f"{PREFIX}{n}": t for n, t in network.state_dict().items()} | factors)
    with pytest.raises(WamError, match="is a second update of 'model.blocks.1.ffn.0.weight'"):
        open_checkpoint(tmp_path, TINY.dit).load(CPU, torch.float32)


def peft_folder(folder, network, **said):
    """What `save_pretrained` of PEFT writes for the transformer, on a released checkpoint."""
    below = released_base(folder / "base/DreamZero-DROID", seed=5)
    factors, merged = low_rank(below)
    stem = f"{PREFIX}model."
    tensors = {n.removeprefix(stem).replace(".default", ""): t for n, t in factors.items()}
    tensors |= {n.removeprefix(stem): t for n, t in action_parts(network).items()}
    save_file({n: t.contiguous() for n, t in tensors.items()}, folder / "adapter_model.safetensors")
    config = {
        "peft_type": "LORA",
        "r": 2,
        "lora_alpha": 1,
        "base_model_name_or_path": "GEAR-Dreams/DreamZero-DROID",
    }
    (folder / "adapter_config.json").write_text(json.dumps(config | said))
    return merged


def test_a_folder_that_peft_wrote_is_taken(tmp_path, network):
    merged = peft_folder(tmp_path, network)
    restored = open_checkpoint(tmp_path, TINY.dit).load(CPU, torch.float32)
    torch.testing.assert_close(restored.get_parameter(NAME.removeprefix(PREFIX)), merged)
    same(restored.model.action_encoder, network.model.action_encoder)


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"use_dora": True}, "adapter_config.json: use_dora is True, which is not read"),
        ({"rank_pattern": {"ffn": 8}}, "rank_pattern"),
        ({"peft_type": "LOHA"}, "peft_type is 'LOHA', only LORA is read"),
        ({"r": 8}, "of rank 2, but .*adapter_config.json says rank 8"),
        ({"base_model_name_or_path": None}, "nothing says which model"),
        ({"base_model_name_or_path": "GEAR-Dreams/DreamZero-AgiBot"}, "does not say that it is"),
    ],
)
def test_what_peft_did_otherwise_is_refused(tmp_path, network, said, message):
    peft_folder(tmp_path, network, **said)
    with pytest.raises(WamError, match=message):
        open_checkpoint(tmp_path, TINY.dit).load(CPU, torch.float32)


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
