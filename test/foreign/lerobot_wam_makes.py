"""Run in the environment `lerobot-wam`: a tiny world action model of LeRobot with random weights,
in a folder; what it would download of others (autoencoder, text encoder, tokenizer, vision-language
model) is as tiny and as random, in a folder beside it.
"""

import json
import sys
from pathlib import Path

import torch
from diffusers import AutoencoderKLWan
from lerobot.configs.types import FeatureType, PolicyFeature
from lerobot.policies.factory import get_policy_class, make_policy_config, make_pre_post_processors
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast, T5TokenizerFast, UMT5Config, UMT5EncoderModel

kind, folder, told = sys.argv[1:]
folder = Path(folder)
told = json.loads(told)
home = torch.tensor(told["home"])
n = len(home)
size = (told["height"], told["width"])
parts = Path("Wan-AI/Wan2.2-TI2V-5B-Diffusers")  # as the name that it would be downloaded by
torch.manual_seed(0)


def letters(special):
    """A tokenizer of single letters."""
    vocabulary = {token: k for k, token in enumerate(special)}
    for letter in sorted(pre_tokenizers.ByteLevel.alphabet()):
        vocabulary[letter] = len(vocabulary)
    found = Tokenizer(models.BPE(vocabulary, [], unk_token=special[0]))
    found.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    found.decoder = decoders.ByteLevel()
    found.add_special_tokens([AddedToken(token, special=True) for token in special])
    return found


def make_wan():
    """What Wan 2.2 brings: the shapes that its users rely on, and nothing of its size."""
    AutoencoderKLWan(
        base_dim=8,
        decoder_base_dim=8,
        z_dim=48,
        dim_mult=[1, 1, 1, 1],
        num_res_blocks=1,
        temperal_downsample=[False, True, True],
        latents_mean=[0.0] * 48,
        latents_std=[1.0] * 48,
        is_residual=True,
        in_channels=12,
        out_channels=12,
        patch_size=2,
        scale_factor_spatial=16,
    ).save_pretrained(parts / "vae")
    pieces = ["<pad>", "</s>", "<unk>", "\N{LOWER ONE EIGHTH BLOCK}", *map(chr, range(33, 127))]
    tokenizer = T5TokenizerFast(vocab=[(piece, -1.0) for piece in pieces], extra_ids=0)
    tokenizer.save_pretrained(parts / "tokenizer")
    shape = {"d_model": 32, "d_kv": 16, "d_ff": 32, "num_layers": 1, "num_heads": 2}
    config = UMT5Config(vocab_size=len(tokenizer), **shape)
    UMT5EncoderModel(config).save_pretrained(parts / "text_encoder")


def make_qwen(where):
    """A vision-language model of Qwen's form."""
    from transformers import (
        Qwen2VLImageProcessor,
        Qwen3VLConfig,
        Qwen3VLForConditionalGeneration,
        Qwen3VLProcessor,
        Qwen3VLVideoProcessor,
    )

    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|vision_start|>"]
    special += ["<|vision_end|>", "<|image_pad|>", "<|video_pad|>"]
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=letters(special), pad_token=special[0], eos_token=special[2]
    )
    for token in special[3:]:
        setattr(tokenizer, token.strip("<|>").replace("_pad", "") + "_token", token)
    ids = {token: tokenizer.convert_tokens_to_ids(token) for token in special}
    template = (
        "{% for m in messages %}{% for c in m['content'] %}{% if c['type'] == 'image' %}"
        "<|vision_start|><|image_pad|><|vision_end|>{% else %}{{ c['text'] }}{% endif %}"
        "{% endfor %}{% endfor %}"
    )
    pixels = {"shortest_edge": 32 * 32, "longest_edge": 64 * 64}
    Qwen3VLProcessor(
        image_processor=Qwen2VLImageProcessor(patch_size=16, merge_size=2, size=pixels),
        tokenizer=tokenizer,
        video_processor=Qwen3VLVideoProcessor(patch_size=16, merge_size=2),
        chat_template=template,
    ).save_pretrained(where)
    text = {
        "vocab_size": len(tokenizer) + 64,  # and room for tokens of actions
        "hidden_size": 32,
        "intermediate_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 2,
        "head_dim": 16,
        "rope_scaling": {"mrope_section": [4, 2, 2], "rope_type": "default"},
        "pad_token_id": ids["<|endoftext|>"],
    }
    vision = {
        "depth": 2,
        "hidden_size": 32,
        "intermediate_size": 32,
        "num_heads": 2,
        "patch_size": 16,
        "spatial_merge_size": 2,
        "temporal_patch_size": 2,
        "out_hidden_size": 32,
        "num_position_embeddings": 16,
        "deepstack_visual_indexes": [0],
    }
    config = Qwen3VLConfig(
        text_config=text,
        vision_config=vision,
        image_token_id=ids["<|image_pad|>"],
        video_token_id=ids["<|video_pad|>"],
        vision_start_token_id=ids["<|vision_start|>"],
        vision_end_token_id=ids["<|vision_end|>"],
    )
    Qwen3VLForConditionalGeneration(config).save_pretrained(where)


expert = {"hidden_dim": 32, "ffn_dim": 32, "freq_dim": 32, "text_dim": 32, "eps": 1e-6}
expert |= {"num_heads": 2, "attn_head_dim": 16, "num_layers": 2}
views = [f"observation.images.{view}" for view in told["views"]]
options = {
    "lingbot_va": {
        "wan_pretrained_path": str(Path.cwd() / parts),
        "dtype": "float32",
        "num_attention_heads": 2,
        "attention_head_dim": 24,
        "text_dim": 32,
        "freq_dim": 32,
        "ffn_dim": 32,
        "num_layers": 1,
        "obs_cam_keys": views,
        "height": size[0],
        "width": size[1],
        "frame_chunk_size": 3,  # the first is of what was seen: two times four steps are left
        "num_inference_steps": 2,
        "action_num_inference_steps": 2,
        "max_sequence_length": 32,
        "used_action_channel_ids": list(range(n)),
        "save_predicted_video": True,
    },
    "fastwam": {
        "action_dim": n,
        "proprio_dim": n,
        "action_horizon": 8,
        "n_action_steps": 8,
        "num_video_frames": 9,
        "action_video_freq_ratio": 2,
        "image_size": (size[0], size[1] * len(views)),
        "tokenizer_model_id": str(Path.cwd() / parts / "tokenizer"),
        "text_encoder_model_id": str(Path.cwd() / parts),
        "base_model_id": None,
        "tokenizer_max_len": 64,
        "torch_dtype": "float32",
        "num_inference_steps": 2,
        "video_dit_config": {
            **expert,
            "patch_size": [1, 2, 2],
            "in_dim": 48,
            "out_dim": 48,
            "seperated_timestep": True,
            "video_attention_mask_mode": "first_frame_causal",
            "action_conditioned": False,
            "action_dim": n,
            "action_group_causal_mask_mode": "group_diagonal",
        },
        "action_dit_config": {**expert, "action_dim": n},
    },
    "vla_jepa": {
        "chunk_size": 8,
        "n_action_steps": 8,
        "qwen_model_name": str(Path.cwd() / "qwen"),
        "enable_world_model": False,  # it is of training only
        "torch_dtype": "float32",
        "num_embodied_action_tokens_per_instruction": 4,
        "num_inference_timesteps": 2,
        "action_hidden_size": 32,
        "action_num_layers": 1,
        "action_num_heads": 2,
        "action_attention_head_dim": 16,
        "num_target_vision_tokens": 4,
        "action_max_seq_len": 64,
        "binarize_gripper_action": False,
        "pre_snap_gripper_action": False,
    },
}
make_qwen("qwen") if kind == "vla_jepa" else make_wan()
config = make_policy_config(
    kind,
    device="cpu",
    input_features={
        **{key: PolicyFeature(FeatureType.VISUAL, (3, *size)) for key in views},
        "observation.state": PolicyFeature(FeatureType.STATE, (n,)),
    },
    output_features={"action": PolicyFeature(FeatureType.ACTION, (n,))},
    push_to_hub=False,
    **options[kind],
)
policy = get_policy_class(kind)(config)
# near home, so that what it says is a motion
spread = {"mean": home, "std": torch.full((n,), 0.02), "min": home - 0.05, "max": home + 0.05}
spread |= {"q01": home - 0.05, "q99": home + 0.05}
before, after = make_pre_post_processors(
    config, dataset_stats={"observation.state": spread, "action": spread}
)
policy.save_pretrained(folder)
before.save_pretrained(folder)
after.save_pretrained(folder)
