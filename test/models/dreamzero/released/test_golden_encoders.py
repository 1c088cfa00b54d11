"""The text and image encoders give the numbers of the reference implementation."""

import pytest

torch = pytest.importorskip("torch")

from wam_ros.models.dreamzero.released.clip import ImageEncoder, ImageEncoderConfig  # noqa: E402
from wam_ros.models.dreamzero.released.umt5 import (  # noqa: E402
    PromptEncoder,
    TextEncoderConfig,
    relative_buckets,
)

TEXT, IMAGE = "action_head.text_encoder.", "action_head.image_encoder.model."


def recorder(found):
    """Makes hooks that note what a layer returns."""
    return lambda name: lambda module, inputs, output: found.update({name: output})


@pytest.mark.parametrize("short", [True, False])
def test_umt5_equals_the_reference(golden, short):
    case = golden("t5")
    c = case.info["config"]
    config = TextEncoderConfig(
        vocabulary=c["vocab"],
        dim=c["dim"],
        attention_dim=c["dim_attn"],
        ffn_dim=c["dim_ffn"],
        num_heads=c["num_heads"],
        num_layers=c["num_layers"],
        num_buckets=c["num_buckets"],
    )
    encoder = PromptEncoder(config).eval().requires_grad_(False)
    encoder.load_state_dict(case.weights(TEXT))
    ids, mask, found = case["in.ids"], case["in.mask"], {}
    note = recorder(found)
    for i, block in enumerate(encoder.blocks):
        block.attn.register_forward_hook(note(f"mid.block{i}.attn"))
        block.register_forward_hook(note(f"mid.block{i}"))
    found["raw"] = encoder(ids, mask)
    for block in encoder.blocks:
        block._forward_hooks.clear()
        block.attn._forward_hooks.clear()
    found["prompt_emb"] = encoder.embed(ids, mask, short)
    reach = (len(case["bucket_of_rel_pos"]) - 1) // 2
    found["bucket_of_rel_pos"] = relative_buckets(
        torch.arange(-reach, reach + 1), c["num_buckets"], 128
    )
    length = ids.shape[1]
    found["rel_pos_bias.block0"] = encoder.blocks[0].pos_embedding(length)[0][:, [0, length // 2]]
    # The reference cuts a batch at its shortest prompt; ours does not, so its cut is made here.
    found["prompt_emb_batched_reference"] = (
        found["prompt_emb"] * (torch.arange(length) < mask.sum(1).min())[:, None]
    )
    case.check(found, inputs=("in.", TEXT))
    assert bool((found["prompt_emb"][mask == 0] == 0).all())


def test_clip_equals_the_reference(golden):
    case = golden("clip")
    c = case.info["config"]
    config = ImageEncoderConfig(
        image_size=c["image_size"],
        patch=c["patch_size"],
        dim=c["vision_dim"],
        num_heads=c["vision_heads"],
        num_layers=c["vision_layers"],
        mlp_ratio=c["mlp_ratio"],
        embed_dim=c["embed_dim"],
        eps=c["norm_eps"],
    )
    encoder = ImageEncoder(config).eval().requires_grad_(False)
    encoder.load_state_dict(case.weights(IMAGE))
    images, found = case["in.image"].flatten(0, 1), {}
    note = recorder(found)
    encoder.visual.pre_norm.register_forward_hook(note("mid.pre_norm"))
    encoder.visual.transformer[0].register_forward_hook(note("mid.block0"))
    encoder.visual.transformer[0].attn.register_forward_hook(note("mid.block0.attn"))
    found["tokens"] = encoder(images)
    found["preprocessed_sub4"] = encoder.preprocess(images)[:, :, ::4, ::4]
    case.check(found, inputs=("in.", IMAGE))
