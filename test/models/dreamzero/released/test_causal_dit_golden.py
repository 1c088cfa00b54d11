"""The released models' transformer gives the reference's numbers, in training and against its
memory.
"""

import dataclasses

import pytest

torch = pytest.importorskip("torch")

from wam_ros.models.dreamzero.released.causal_dit import CausalDiT, NoisyBlock  # noqa: E402
from wam_ros.models.dreamzero.released.dit_config import (  # noqa: E402
    CausalDiTConfig,
    require_fitting,
)
from wam_ros.models.dreamzero.released.speedups import SpeedUps  # noqa: E402
from wam_ros.models.dreamzero.shared.rope import cells, ladder, rope_angles  # noqa: E402

PREFIX = "action_head.model."


def make_model(case, speedups=None, **changes):
    """The model of a case, with its weights; every key must be there and no other."""
    reference = case.info["config"]
    config = CausalDiTConfig.from_reference(
        reference, tuple(reference["latent_hw"]), reference["clip_dim"]
    )
    model = CausalDiT(dataclasses.replace(require_fitting(config, case.name), **changes), speedups)
    model.load_state_dict(case.weights(PREFIX), strict=True)
    return model.eval().requires_grad_(False)


class Intermediates:
    """Collects outputs of modules under the names that the cases use; the n-th call is `name#n`."""

    def __init__(self, model):
        self.found = {}
        parts = {
            n: getattr(model, n)
            for n in ("action_encoder", "state_encoder", "text_embedding", "img_emb", "head")
        }
        parts |= {"patch_embedding": model.patch_embedding, "time_embedding": model.time_embedding}
        for i, block in enumerate(model.blocks):
            parts |= {
                f"block{i}.out": block,
                f"block{i}.ffn": block.ffn,
                f"block{i}.cross_attn": block.cross_attn,
            }
            parts[f"block{i}.self_attn"] = block.self_attn.o
        for name, module in parts.items():
            module.register_forward_hook(lambda _m, _i, output, name=name: self._keep(name, output))

    def _keep(self, name, output):
        calls = sum(n.partition("#")[0] == name for n in self.found)
        self.found[f"{name}#{calls}" if calls else name] = output


def train_forward(model, case):
    context = model.make_context(case["in.context"], case["in.clip_feature"])
    y = case["in.y"] if model.config.concat_first_frame else None
    return model(
        case["in.noisy_latents"],
        case["in.clean_latents"],
        y,
        case["in.noisy_action"],
        case["in.state"],
        case["in.timestep"],
        case["in.timestep_action"],
        context,
    )


def as_reference(found, config, case):
    """Intermediates in the reference's shapes and order of calls (noisy video first, then the clean
    copy).
    """
    batch, _, frames, *canvas = case["in.noisy_latents"].shape
    n, rows, columns = canvas[0] * canvas[1] // 4, canvas[0] // 2, canvas[1] // 2
    tokens = {
        "patch_embedding": found.pop("patch_embedding#1"),
        "patch_embedding#1": found.pop("patch_embedding"),
    }
    found |= {k: v.unflatten(-2, (rows, columns)).movedim(-1, 1) for k, v in tokens.items()}
    time = found.pop("time_embedding")  # [clean | frames | actions | states], once per timestep
    sizes = [n] * frames + [1] * (time.shape[1] - 1 - frames)
    found["time_embedding"] = time[:, 1:].repeat_interleave(torch.tensor(sizes), 1).flatten(0, 1)
    found["time_embedding#1"] = time[:, :1].expand(-1, n * frames, -1).flatten(0, 1)
    assert config.frame_tokens == n and batch == time.shape[0]
    return {f"mid.{k}": v for k, v in found.items()}


@pytest.mark.parametrize("name", ["dit_train", "dit_train_ti2v"])
def test_training_forward_equals_the_reference(golden, name):
    case = golden(name)
    for info, sub in case.each():
        model = make_model(case, blocks=info["max_chunk_size"])
        assert model.config.window_frames == info["local_attn_size"]
        kept = Intermediates(model)
        velocity = train_forward(model, sub)
        found = as_reference(kept.found, model.config, sub)
        sub.check({"out.video": velocity.video, "out.action": velocity.action, **found})


@pytest.mark.parametrize("name", ["dit_train", "dit_train_ti2v"])
def test_rotary_tables_equal_the_reference(golden, name):
    case = golden(name)
    c, rope = case.info["config"], case.within("rope")
    head, (h, w) = c["dim"] // c["num_heads"], c["latent_hw"]
    frames = rope["video_cos"].shape[0] // (h * w // 4)
    angles = {
        "video": rope_angles(cells(torch.arange(frames), h // 2, w // 2), head, 10000.0),
        "action": ladder(torch.arange(len(rope["action_cos"])), head, 10000.0),
        "state": ladder(torch.arange(len(rope["state_cos"])), head, 10000.0),
    }
    rope.check(
        {f"{k}_cos": v.cos() for k, v in angles.items()}
        | {f"{k}_sin": v.sin() for k, v in angles.items()}
    )


def conditioning(model, case, start, frames):
    """First-frame conditioning of frames from position `start`, where the model takes one."""
    return (
        case["in.y"][:, :, start : start + frames.shape[2]]
        if model.config.concat_first_frame
        else None
    )


def run_blocks(model, case):
    """Every prefill and block of the case in its order; returns everything that the case
    records.
    """
    context = model.make_context(case["in.context"], case["in.clip_feature"])
    cache = model.make_cache(len(case["in.context"]))
    found, kept = {}, Intermediates(model)
    for name, start in case.info["start_frames"].items():
        if name.startswith("prefill"):
            observed = [f"in.{word}{name.removeprefix('prefill')}" for word in ("frame", "obs")]
            frames = next(case[n] for n in observed if n in case)
            y = conditioning(model, case, start, frames)
            found[f"{name}.video"] = model.prefill(frames, y, start, context, cache)
            for layer in range(model.sizes.num_layers):
                found[f"{name}.kv.{layer}"] = torch.stack(cache.remembered(layer))
            continue
        k = name.removeprefix("denoise")
        noise = case[f"in.noise{k}"]
        y = conditioning(model, case, start, noise)
        block = NoisyBlock(noise, case[f"in.action{k}"], case[f"in.state{k}"], y, start)
        t = torch.stack([case[f"in.t{k}_video"], case[f"in.t{k}_action"]])[None].float()
        kept.found.clear()
        rope = model.rope(start, noise.shape[2], 1, tuple(noise.shape[-2:]))
        velocity = model.denoise(block, t, rope, context, cache)
        found |= {f"{name}.mid.{n}": value for n, value in kept.found.items()}
        found |= {f"{name}.video": velocity.video, f"{name}.action": velocity.action}
    return found


def test_cached_inference_equals_the_reference_server(golden):
    case = golden("dit_infer")
    model = make_model(case, dataclasses.replace(SpeedUps(), short_prefill=False))
    case.check(run_blocks(model, case), inputs=("in.", "masked.", "teacher_forcing."))


def test_masked_inference_equals_the_reference_and_the_teacher_forced_pass(golden):
    case = golden("dit_infer")
    found = run_blocks(make_model(case, state_attention="masked"), case)
    case.within("masked").check(found)
    for name in case.info["start_frames"]:
        if name.startswith("denoise"):
            forced = case.within(f"teacher_forcing.block{name.removeprefix('denoise')}")
            forced.check({n: found[f"{name}.{n}"] for n in forced.names()})
