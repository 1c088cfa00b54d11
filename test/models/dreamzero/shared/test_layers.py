"""The layers of the transformers: patches, and attention beside torch's own."""

import pytest

torch = pytest.importorskip("torch")

from wam_ros.models.dreamzero.shared.layers import PatchEmbedding, attend, unpatch  # noqa: E402


@pytest.mark.parametrize("patch", [1, 2, 4])
def test_patches_are_the_inverse_of_unpatching(config, inputs, patch):
    channels = config.tokenizer.latent_channels
    width = patch**2 * channels
    embed = PatchEmbedding(channels, width, patch)
    # the head's order: row, column, channel
    order = torch.arange(width).view(channels, patch**2).T.flatten()
    embed.weight.data = torch.eye(width)[order].view_as(embed.weight)
    embed.bias.data.zero_()
    rows = config.latent_size[0] // patch
    torch.testing.assert_close(
        unpatch(embed(inputs["video"]), rows, patch), inputs["video"], atol=0, rtol=0
    )


@pytest.mark.parametrize("tokens", [5, 300])  # few scores and many go different ways
def test_attention_equals_the_library(tokens):
    generator = torch.Generator().manual_seed(0)
    q, k, v = torch.randn(3, 2, tokens, 3, 8, generator=generator)
    shape = (tokens, tokens)
    mask = torch.zeros(shape).masked_fill(
        torch.rand(shape, generator=generator).tril(-1) > 0.5, float("-inf")
    )
    wanted = torch.nn.functional.scaled_dot_product_attention(
        *(x.transpose(1, 2) for x in (q, k, v)), attn_mask=mask
    )
    torch.testing.assert_close(attend(q, k, v, mask), wanted.transpose(1, 2).flatten(-2))
