"""Run in LeRobot's environment: a tiny policy with random weights and its processors, in a folder;
with a request and an answer of it, as npz.
"""

import json
import sys
from pathlib import Path

import numpy as np
import torch
from lerobot.configs.types import FeatureType, PolicyFeature
from lerobot.policies.factory import get_policy_class, make_policy_config, make_pre_post_processors
from lerobot.policies.utils import prepare_observation_for_inference

kind, folder, told = sys.argv[1:]
told = json.loads(told)
home = torch.tensor(told["home"])
n = len(home)
size = {
    "act": {"chunk_size": 8, "n_action_steps": 8, "dim_model": 32, "n_heads": 2}
    | {"dim_feedforward": 32, "n_encoder_layers": 1, "n_vae_encoder_layers": 1, "latent_dim": 4},
    "diffusion": {"horizon": 16, "n_action_steps": 8, "down_dims": (16, 32), "crop_shape": None}
    | {"num_inference_steps": 2, "diffusion_step_embed_dim": 16},
}
torch.manual_seed(0)
views = {f"observation.images.{view}": (3, told["height"], told["width"]) for view in told["views"]}
config = make_policy_config(
    kind,
    device="cpu",
    pretrained_backbone_weights=None,
    input_features={
        **{key: PolicyFeature(FeatureType.VISUAL, shape) for key, shape in views.items()},
        "observation.state": PolicyFeature(FeatureType.STATE, (n,)),
    },
    output_features={"action": PolicyFeature(FeatureType.ACTION, (n,))},
    push_to_hub=False,
    **size[kind],
)
policy = get_policy_class(kind)(config)
# near home, so that what it says is a motion
spread = {"mean": home, "std": torch.full((n,), 0.02), "min": home - 0.05, "max": home + 0.05}
plain = {"mean": torch.zeros(3, 1, 1), "std": torch.ones(3, 1, 1)}
plain |= {"min": torch.zeros(3, 1, 1), "max": torch.ones(3, 1, 1)}
stats = {"observation.state": spread, "action": spread, **dict.fromkeys(views, plain)}
before, after = make_pre_post_processors(config, dataset_stats=stats)
policy.save_pretrained(folder)
before.save_pretrained(folder)
after.save_pretrained(folder)

if kind == "act":
    rng = np.random.default_rng(1)
    seen = {k: rng.integers(0, 256, (*s[1:], 3), dtype=np.uint8) for k, s in views.items()}
    seen["observation.state"] = home.numpy()
    asked = {key: value.copy() for key, value in seen.items()}
    policy.eval()
    with torch.inference_mode():
        batch = before(prepare_observation_for_inference(seen, torch.device("cpu"), "go"))
        actions = after(policy.predict_action_chunk(batch)).squeeze(0).numpy()
    np.savez(Path(folder) / "asked.npz", actions=actions, **asked)
