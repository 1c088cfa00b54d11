"""The training losses, their parts and some gradients equal the reference's."""

import pytest

torch = pytest.importorskip("torch")

from wam_ros.models.dreamzero.shared import objective  # noqa: E402
from wam_ros.models.dreamzero.shared.transformer import Velocity  # noqa: E402

from .test_causal_dit_golden import make_model  # noqa: E402


def timesteps(schedule, case, info, config):
    """(B, F) of frames and (B, K * T) of actions, from what the reference's generators gave."""
    decoupled = info.get("decouple_video_action_noise", False)
    high = decoupled or info.get("use_high_noise_emphasis", False)
    raw = objective.emphasised(case["in.beta_video"]) if high else case["in.raw_index_video"]
    video = objective.tied(raw, config.frames_per_block)
    coupled = objective.of_actions(video, config.frames_per_block, config.actions_per_block)
    action = case["in.raw_index_action"] if decoupled else coupled
    return schedule.times[video], schedule.times[action]


def test_losses_and_gradients_equal_the_reference(golden):
    case = golden("loss")
    schedule = objective.FlowSchedule()
    for info, sub in case.each():
        model = make_model(case).requires_grad_(True)
        t_video, t_action = timesteps(schedule, sub, info, model.config)
        latents = sub["in.latents"].transpose(1, 2)
        noisy = schedule.noised(latents, sub["in.noise_video"].transpose(1, 2), t_video).transpose(
            1, 2
        )
        noisy_action = schedule.noised(sub["in.actions"], sub["in.noise_action"], t_action)
        context = model.make_context(sub["in.context"], sub["in.clip_feature"])
        y, state = sub["in.y"], sub["in.state"]
        found = model(noisy, sub["in.latents"], y, noisy_action, state, t_video, t_action, context)
        wanted = Velocity(
            sub["in.noise_video"] - sub["in.latents"], sub["in.noise_action"] - sub["in.actions"]
        )
        weights = schedule.weight(t_video), schedule.weight(t_action)
        loss = objective.losses(
            found, wanted, weights, sub["in.action_mask"], sub["in.has_real_action"]
        )
        loss.total.backward()
        sub.check(
            {
                "timestep": t_video,
                "timestep_action": t_action,
                "noisy_latents": noisy,
                "noisy_actions": noisy_action,
                "pred_video": found.video,
                "pred_action": found.action,
                "weight_video": weights[0],
                "weight_action": weights[1],
                "mse_video_per_frame": loss.video_error,
                "mse_action_per_token": loss.action_error,
                "loss": loss.total,
                "dynamics_loss": loss.video,
                "action_loss": loss.action,
            },
            inputs=("in.", "grad"),
            atol=2e-4,
            rtol=1e-4,
        )
        for name, value in (
            ("loss", loss.total),
            ("dynamics_loss", loss.video),
            ("action_loss", loss.action),
        ):
            torch.testing.assert_close(value, sub[name], atol=0, rtol=2e-5)
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
