"""The training losses, their parts and some gradients equal the reference's."""

import pytest

torch = pytest.importorskip("torch")

from wam_ros.models.dreamzero.shared import objective  # noqa: E402
from wam_ros.models.dreamzero.shared.transformer import Velocity  # noqa: E402
from wam_ros.train.released import ReleasedFamily  # noqa: E402
from wam_ros.train.trainer import Recipe, Trainer  # noqa: E402

from .test_causal_dit_golden import make_model  # noqa: E402


def indices(case, info, config):
    """(B, F) of frames and (B, K * T) of actions, from what the reference's generators gave."""
    decoupled = info.get("decouple_video_action_noise", False)
    high = decoupled or info.get("use_high_noise_emphasis", False)
    raw = objective.emphasised(case["in.beta_video"]) if high else case["in.raw_index_video"]
    video = objective.tied(raw, config.frames_per_block)
    coupled = objective.of_actions(video, config.frames_per_block, config.actions_per_block)
    return video, case["in.raw_index_action"] if decoupled else coupled


def rows(case, info, model):
    """A batch of the trainer's."""
    video, action = indices(case, info, model.config)
    found = {
        "latents": case["in.latents"],
        "first": case["in.y"][:, 4:],
        "image": case["in.clip_feature"],
        "text": case["in.context"],
        "action": case["in.actions"],
        "action_mask": case["in.action_mask"].float(),
        "has_action": case["in.has_real_action"].float(),
        "state": case["in.state"],
        "blocks": torch.full((len(video),), (video.shape[1] - 1) // model.config.frames_per_block),
        "index_video": video,
        "index_action": action,
        "noise_video": case["in.noise_video"],
        "noise_action": case["in.noise_action"],
    }
    mask = torch.zeros_like(case["in.y"][:, :4])
    mask[:, :, 0] = 1
    torch.testing.assert_close(case["in.y"][:, :4], mask)
    return found


def test_losses_and_gradients_of_the_trainer_equal_the_reference(golden):
    case = golden("loss")
    for info, sub in case.each():
        model = make_model(case).requires_grad_(True)
        family = ReleasedFamily(model, [{}], torch.zeros(1))
        trainer = Trainer(family, Recipe(steps=1, batch=1))
        batch = rows(sub, info, model)
        loss = family.losses(batch)
        parts = trainer._backward([batch])
        schedule = family.schedule
        sub.check(
            {
                "timestep": schedule.times[batch["index_video"]],
                "timestep_action": schedule.times[batch["index_action"]],
                "weight_video": schedule.weights[batch["index_video"]],
                "weight_action": schedule.weights[batch["index_action"]],
                "mse_video_per_frame": loss.video_error,
                "mse_action_per_token": loss.action_error,
            },
            inputs=("in.", "grad", "noisy", "pred", "loss", "dynamics_loss", "action_loss"),
            atol=2e-4,
            rtol=1e-4,
        )
        for name, value in (
            ("loss", parts["video"] + parts["action"]),
            ("dynamics_loss", parts["video"]),
            ("action_loss", parts["action"]),
        ):
            torch.testing.assert_close(torch.tensor(value), sub[name], atol=1e-9, rtol=2e-5)
        check_gradients(model, sub)


def check_gradients(model, case):
    gradients = {n: p.grad for n, p in model.named_parameters() if p.grad is not None}
    for name in case.names():
        if name.startswith("grad."):
            wanted = case[name]
            atol = 1e-4 * float(wanted.abs().max())
            torch.testing.assert_close(
                gradients[name.removeprefix("grad.")], wanted, atol=atol, rtol=1e-3
            )
    if "grad_norm" in case:
        norm = torch.stack([g.norm() for g in gradients.values()]).norm()
        torch.testing.assert_close(norm, case["grad_norm"], atol=0, rtol=1e-3)


def test_a_batch_with_and_without_actions_is_the_mean_of_both():
    generator = torch.Generator().manual_seed(0)

    def randn(*shape):
        return torch.randn(2, *shape, generator=generator)

    found, wanted = (Velocity(randn(3, 5, 2, 2), randn(8, 4)) for _ in range(2))
    weights, mask, has = (
        (torch.rand(2, 5), torch.rand(2, 8)),
        torch.ones(2, 8, 4),
        torch.tensor([1.0, 0.0]),
    )

    def of(rows):
        parts = [Velocity(v.video[rows], v.action[rows]) for v in (found, wanted)]
        return objective.losses(*parts, tuple(w[rows] for w in weights), mask[rows], has[rows])

    both, first, second = of(slice(0, 2)), of(slice(0, 1)), of(slice(1, 2))
    torch.testing.assert_close(both.total, (first.total + second.total) / 2)
    assert second.action == 0 and second.video > 0


@pytest.mark.parametrize("timesteps", objective.TIMESTEPS)
def test_indices_are_coupled_emphasised_or_apart_as_they_are_called(timesteps):
    generator = torch.Generator().manual_seed(0)
    drawn = [objective.draw_indices(timesteps, 4, (2, 24), generator) for _ in range(500)]
    video, action = (torch.stack(x) for x in zip(*drawn, strict=True))
    assert video.shape == (500, 9) and action.shape == (500, 96)
    assert torch.equal(video[:, 1::2], video[:, 2::2]), "both frames of a block share theirs"
    level = 1 - video.float() / objective.LEVELS
    mean = {"coupled": 0.5, "high-noise": 3 / 4, "decoupled": 7 / 8}[timesteps]
    assert abs(float(level.mean()) - mean) < 0.02
    of_blocks = action.unflatten(1, (4, 24))
    if timesteps == "decoupled":
        assert of_blocks.float().std(2).mean() > 200, "each action has its own"
        assert abs(float(action.float().mean()) - 500) < 10
    else:
        assert torch.equal(of_blocks, video[:, 1::2, None].expand_as(of_blocks))
