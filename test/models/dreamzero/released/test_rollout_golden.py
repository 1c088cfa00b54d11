"""Five chunks in a row and the rules of the window equal the reference's loop."""

import pytest

torch = pytest.importorskip("torch")

from wam_ros.models.dreamzero.released.history import History  # noqa: E402
from wam_ros.models.dreamzero.released.rollout import Anchor, Rollout, Sampling  # noqa: E402
from wam_ros.models.dreamzero.released.speedups import SpeedUps  # noqa: E402

from .test_causal_dit_golden import make_model  # noqa: E402

FLASH_LAST = 0.8


class Recorded:
    """Towers that answer what the case recorded; frames are (1, T, 1) numbers of calls."""

    def __init__(self, case):
        self.case = case
        self.prompts = {}
        for name in ("pos", "neg"):
            length = int(case[f"in.mask_{name}"].sum())
            padded = torch.arange(case[f"in.raw_prompt_{name}"].shape[0]) >= length
            self.prompts[name] = case[f"in.raw_prompt_{name}"].masked_fill(padded[:, None], 0)[None]

    def prompt(self, instruction):
        return self.prompts[instruction]

    def anchor(self, frames, index):
        self.anchored = index
        call = int(frames[0, index])
        return Anchor(
            self.case[f"in.call{call}.clip_feature"], self.case[f"in.call{call}.y_latents"]
        )

    def observed(self, frames):
        return self.case[f"in.call{int(frames[0, 0])}.latent_video"]


class Listening(Rollout):
    """Keeps the first velocities of a chunk and every sample."""

    def velocities(self, video, action, *rest):
        v = super().velocities(video, action, *rest)
        self.heard = getattr(self, "heard", None) or v
        return v

    def chunk(self, *arguments):
        self.heard = None
        self.samples = {"video": [], "action": []}
        for (name, kept), solver, noise in zip(
            self.samples.items(), self.solvers, self.noise, strict=True
        ):
            kept.append(noise[0].transpose(0, 1) if name == "video" else noise[0])
            step = type(solver).step

            def keeping(i, x, v, kept=kept, name=name, solver=solver, step=step):
                after = step(solver, i, x, v)
                kept.append(after[0].transpose(0, 1) if name == "video" else after[0])
                return after

            solver.step = keeping
        return super().chunk(*arguments)


def make_rollout(case, sampling, speedups=None):
    rollout = Listening(make_model(case, speedups), Recorded(case), "neg", sampling)
    # The noise is the case's: what the generator of another torch gives is not promised.
    rollout.noise = [case["in.noise_video"], case["in.noise_action"]]
    return rollout


def settings(case):
    mask = case.info["run_mask"]
    return {
        "steps": len(mask),
        "evaluations": sum(mask),
        "guidance": case.info["cfg_scale"],
        "seed": case.info["seed"],
    }


def caches(rollout):
    """Layer 0 of both branches, in the order of the sequence."""
    tokens = torch.cat([torch.stack(cache.remembered(0)) for _, cache in rollout._branches], 1)
    return {"kv_cond.layer0": tokens[:, :1], "kv_uncond.layer0": tokens[:, 1:]}


def play(rollout, case, info):
    """One call; returns what the case records under its name."""
    call = info["call"]
    frames = torch.full((1, info["T_images"]), float(call))
    assert rollout.history.start == info["current_start_frame_before"]
    chunk = rollout.chunk(frames, case[f"in.call{call}.state"], "pos")
    assert rollout.history.start == info["current_start_frame_after"]
    assert chunk.reset == info["encode_image_called"]
    if chunk.reset:
        assert rollout.encoders.anchored == info["reference_frame_index_in_images"]
    found = {"action_pred": chunk.action, "video_pred": chunk.video}
    for kind, v in (("video", rollout.heard.video), ("action", rollout.heard.action)):
        found |= {f"step0.v_{kind}_cond": v[:1], f"step0.v_{kind}_uncond": v[1:]}
    found |= {f"{k}_samples": torch.stack(v) for k, v in rollout.samples.items()}
    return found | {"ys": rollout.y} | caches(rollout), chunk


@pytest.mark.parametrize("speedups", [SpeedUps(), SpeedUps.none()], ids=["fast", "plain"])
def test_chunks_in_a_row_equal_the_reference_loop(golden, speedups):
    case = golden("chunk_loop")
    assert case.info["cfg_on"].startswith("video only")
    sampling = Sampling(**settings(case))
    rollout = make_rollout(case, sampling, speedups)
    for info in case.info["calls"]:
        found, chunk = play(rollout, case, info)
        assert chunk.evaluations == sampling.evaluations
        case.within(f"call{info['call']}").check(found)
    prompts = {f"prompt_{name}": value for name, value in rollout.encoders.prompts.items()}
    for name, value in prompts.items():
        assert torch.equal(value, case[name])


@pytest.mark.parametrize(
    ("name", "changes"),
    [("decoupled", {"last_video_level": FLASH_LAST}), ("full16", {"evaluations": 16})],
)
def test_other_samplings_equal_the_reference_loop(golden, name, changes):
    case = golden("chunk_loop")
    if not case.within(name).names():
        pytest.skip(f"this copy of the case has no {name}")
    rollout = make_rollout(case, Sampling(**(settings(case) | changes)))
    for info in case.info["calls"]:
        scope = case.within(name).within(f"call{info['call']}")
        if scope.names():
            scope.check(play(rollout, case, info)[0])


def test_the_window_starts_anew_as_in_the_reference(golden):
    case = golden("chunk_loop")
    config = make_model(case).config
    for rule in case.info["reset_rules"]:
        history = History("reference", config.window_frames, config.frames_per_block)
        for call in rule["calls"]:
            assert history.start == call["csf_before"], rule["name"]
            turn = history.turn(call["T"], call["prompt_id"])
            assert turn.reset == call["reset"]
            assert turn.anchor == call["reference_frame_index"]
            assert history.start == call["csf_after"]
