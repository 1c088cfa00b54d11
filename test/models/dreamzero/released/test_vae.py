"""The video autoencoders stream: what they make of a video does not depend on how it is handed
over.
"""

import dataclasses

import pytest

torch = pytest.importorskip("torch")

from wam_ros.models.dreamzero.released.checkpoint import ReleasedConfig, ReleasedModel  # noqa: E402
from wam_ros.models.dreamzero.released.clip import ImageEncoder, ImageEncoderConfig  # noqa: E402
from wam_ros.models.dreamzero.released.dit_config import load_dit_config  # noqa: E402
from wam_ros.models.dreamzero.released.vae import WAN21, WAN22, WanVae, fold, unfold  # noqa: E402


@pytest.fixture(scope="module", params=[WAN21, WAN22], ids=["2.1", "2.2"])
def vae(request):
    torch.manual_seed(0)
    small = dataclasses.replace(request.param, encoder_dim=4, decoder_dim=4, residual_blocks=1)
    return WanVae(small).eval().requires_grad_(False)


def test_a_longer_video_begins_with_the_same_latents_and_frames(vae):
    s = vae.config.pixels
    video = torch.randn(2, 3, 9, 2 * s, 3 * s)
    z = vae.encode(video)
    assert z.shape == (2, vae.config.latent_channels, 3, 2, 3)
    torch.testing.assert_close(vae.encode(video[:, :, :5]), z[:, :, :2])
    frames = vae.decode(z)
    assert frames.shape == video.shape
    torch.testing.assert_close(vae.decode(z[:, :, :2]), frames[:, :, :5])


def test_a_copied_memory_is_a_branch_of_the_stream(vae):
    z = torch.randn(1, vae.config.latent_channels, 3, 2, 2)
    memory = {}
    vae.decode_next(z[:, :, :1], memory)
    branch = dict(memory)
    vae.decode_next(z[:, :, 1:2], branch)
    found = vae.decode_next(z[:, :, 2:], memory)
    torch.testing.assert_close(found, vae.decode(z[:, :, [0, 2]])[:, :, 1:])


def test_earlier_frames_are_remembered(vae):
    s = vae.config.pixels
    a, b = torch.randn(2, 1, 3, 9, s, s)
    b[:, :, 5:] = a[:, :, 5:]
    assert (vae.encode(a)[:, :, 2] - vae.encode(b)[:, :, 2]).abs().max() > 1e-4


def test_folding_pixels_is_undone():
    x = torch.randn(1, 3, 2, 4, 6)
    assert fold(x, 2).shape == (1, 12, 2, 2, 3)
    assert torch.equal(unfold(fold(x, 2), 2), x)


@pytest.mark.parametrize(
    ("name", "parameters"), [("dreamzero-14b", 16_484_292_448), ("dreamzero-5b", 5_606_692_832)]
)
def test_full_size_networks_have_the_published_sizes(name, parameters):
    def count(network):
        return sum(p.numel() for p in network.parameters())

    with torch.device("meta"):
        network = ReleasedModel(ReleasedConfig(load_dit_config(name)))
    assert count(network.model) == parameters
    assert count(network.text_encoder) == 5_680_910_336
    assert round(count(network.vae) / 1e9, 3) == 0.127


def test_the_image_tower_has_the_published_shapes():
    with torch.device("meta"):
        state = ImageEncoder(ImageEncoderConfig()).state_dict()
    shapes = {name: tuple(t.shape) for name, t in state.items()}
    assert shapes["visual.patch_embedding.weight"] == (1280, 3, 14, 14)
    assert shapes["visual.pos_embedding"] == (1, 257, 1280)
    assert shapes["visual.transformer.31.attn.to_qkv.weight"] == (3840, 1280)
    assert shapes["visual.transformer.31.mlp.0.weight"] == (5120, 1280)
    assert shapes["visual.head"] == (1280, 1024) and shapes["log_scale"] == ()
