"""A checkpoint of the released layout at a size that tests can afford."""

import torch

from wam_ros.models.dreamzero.released.checkpoint import ReleasedConfig, ReleasedModel
from wam_ros.models.dreamzero.released.clip import ImageEncoderConfig
from wam_ros.models.dreamzero.released.dit_config import CausalDiTConfig
from wam_ros.models.dreamzero.released.umt5 import TextEncoderConfig
from wam_ros.models.dreamzero.released.vae import VaeConfig
from wam_ros.models.dreamzero.shared.config import TransformerConfig

TINY = ReleasedConfig(
    CausalDiTConfig(
        TransformerConfig(
            dim=48,
            ffn_dim=64,
            freq_dim=16,
            num_heads=2,
            num_layers=2,
            text_dim=16,
            text_len=32,
            hidden_size=24,
            clip_dim=32,
        ),
        in_channels=36,
        out_channels=16,
        latent_height=4,
        latent_width=8,
        name="tiny14",
        family="dreamzero-released",
    ),
    TextEncoderConfig(
        vocabulary=40, dim=16, attention_dim=16, ffn_dim=24, num_heads=2, num_layers=2
    ),
    ImageEncoderConfig(dim=32, num_heads=2, num_layers=3, embed_dim=8),
    VaeConfig(
        encoder_dim=4,
        decoder_dim=4,
        latent_channels=16,
        multipliers=(1, 2, 2, 2),
        residual_blocks=1,
        time_levels=(False, True, True),
        patch=1,
        shortcuts=False,
    ),
)


def tiny_network(seed=0):
    """Random weights everywhere, also where training starts from zero."""
    torch.manual_seed(seed)
    network = ReleasedModel(TINY).eval().requires_grad_(False)
    for parameter in network.parameters():
        parameter.copy_(0.1 * torch.randn_like(parameter))
    for name, parameter in network.named_parameters():
        if name.endswith(
            (
                "gamma",
                "norm_q.weight",
                "norm_k.weight",
                "norm.weight",
                "norm1.weight",
                "norm2.weight",
            )
        ):
            parameter.fill_(1.0)
    return network


def statistics():
    """Metadata as a DROID checkpoint has it: where a Panda's joints can be, targets up to 1 rad
    away, a gripper of 0 to 1.
    """
    gripper = {"q01": [0.0], "q99": [1.0]}
    spread = {
        "state": {
            "joint_position": {
                "q01": [-1.0, -1.0, -1.0, -2.5, -1.0, 0.1, -1.0],
                "q99": [1.0, 1.0, 1.0, -0.5, 1.0, 3.5, 1.0],
            },
            "gripper_position": gripper,
        },
        "action": {
            "joint_position": {"q01": [-1.0] * 7, "q99": [1.0] * 7},
            "gripper_position": gripper,
        },
    }
    return {"oxe_droid": {"statistics": spread, "modalities": {}, "embodiment_tag": "oxe_droid"}}


def make_vocabulary(folder):
    """A `spiece.model` of 40 pieces."""
    import sentencepiece

    sentencepiece.SentencePieceTrainer.Train(
        sentence_iterator=iter(["a robot picks up the red cup and puts it down again"] * 20),
        model_prefix=str(folder / "spiece"),
        vocab_size=40,
        pad_id=0,
        eos_id=1,
        unk_id=2,
        bos_id=-1,
        hard_vocab_limit=False,
        minloglevel=2,
    )


def same(a, b):
    """Two networks hold the same weights."""
    for (name, x), (other, y) in zip(a.state_dict().items(), b.state_dict().items(), strict=True):
        assert name == other and x.dtype == y.dtype and torch.equal(x, y), name
