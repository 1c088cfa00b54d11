"""The video autoencoders give the numbers of the reference implementation."""

import pytest

torch = pytest.importorskip("torch")

from wam_ros.models.dreamzero.released.vae import VaeConfig, WanVae  # noqa: E402

PREFIX = "action_head.vae.model."
# Where a recorded intermediate is found; #k is the k-th piece of the stream.
RECORDED = {
    "enc_conv1": "encoder.conv1",
    "enc_down0": "encoder.downsamples.0",
    "enc_mid_attn": "encoder.middle.1",
    "enc_out": "encoder",
    "dec_mid_attn": "decoder.middle.1",
    "dec_up0": "decoder.upsamples.0",
    "dec_out": "decoder",
}


def config_of(case):
    c = case.info["config"]
    return VaeConfig(
        encoder_dim=c["dim"],
        decoder_dim=c.get("dec_dim", c["dim"]),
        latent_channels=c["z_dim"],
        multipliers=tuple(c["dim_mult"]),
        residual_blocks=c["num_res_blocks"],
        time_levels=tuple(c["temperal_downsample"]),
        patch=c.get("patchify", 1),
        shortcuts="dec_dim" in c,
    )


def build(case):
    """The network with the case's weights, and whether these reach as far as the decoder."""
    vae = WanVae(config_of(case)).eval().requires_grad_(False)
    missing, unexpected = vae.load_state_dict(case.weights(PREFIX), strict=False)
    assert unexpected == []
    assert all(name.startswith(("decoder.", "conv2.")) for name in missing)
    assert not missing or all(
        name.startswith(("decoder.", "conv2.")) == (name in missing) for name in vae.state_dict()
    )
    return vae, not missing


def record(vae, found):
    """Note every piece that passes the recorded places."""
    for name, place in RECORDED.items():

        def note(module, inputs, output, name=name):
            done = sum(n.startswith(f"mid.{name}#") for n in found)
            found[f"mid.{name}#{done}"] = output

        yield vae.get_submodule(place).register_forward_hook(note)


@pytest.mark.parametrize("name", ["vae21", "vae22"])
def test_streaming_encoder_and_decoder_equal_the_reference(golden, name):
    case = golden(name)
    vae, decodes = build(case)
    mean, std = vae.statistics(case["latents"])
    found = {"latent_mean": mean.flatten(), "latent_std": std.flatten()}
    video = case["in.clip"]
    hooks = list(record(vae, found))
    found["latents"] = vae.encode(video)
    if decodes:
        frames = vae.decode(case["latents"])
        found |= {"decoded_unclamped": frames, "decoded": frames.clamp(-1, 1)}
    for hook in hooks:
        hook.remove()
    raw = [found[f"mid.enc_out#{k}"] for k in range(case["latents"].shape[2])]
    found["mid.quant_conv1"] = vae.conv1(torch.cat(raw, 2), {})
    found["latents_first_frame_only"] = vae.encode(video[:, :, :1])
    found["latents_first_plus_zeros"] = vae.encode(
        torch.cat([video[:, :, :1], torch.zeros_like(video[:, :, 1:])], 2)
    )
    if "in.random_latents" in case and decodes:
        found["decoded_random_unclamped"] = vae.decode(case["in.random_latents"])
    case.check(found, inputs=("in.", PREFIX))
