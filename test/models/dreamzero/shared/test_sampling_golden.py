"""Solvers, schedules and reuse rules give the reference's numbers."""

import pytest

torch = pytest.importorskip("torch")

from wam_ros.models.dreamzero.shared.objective import FlowSchedule  # noqa: E402
from wam_ros.models.reuse import FixedSteps, WhileTurning  # noqa: E402
from wam_ros.models.sampling import UniPC, integrate, unipc_levels  # noqa: E402

FLASH_LAST = 0.8  # of the video's noise, where it is decoupled


class Recording(UniPC):
    """Keeps what the cases record."""

    def __init__(self, levels, layout):
        super().__init__(levels)
        self.layout, self.samples, self.velocities = layout, [], []

    def step(self, i, x, v):
        x_next = super().step(i, x, v)
        self.samples += [self.layout(x)] if i == 0 else []
        self.samples.append(self.layout(x_next))
        self.velocities.append(self.layout(v))
        return x_next

    def found(self):
        return {
            "sigmas": torch.tensor(self.levels),
            "timesteps": torch.tensor(self.times),
            "samples": torch.stack(self.samples),
            "velocity": torch.stack(self.velocities),
        }


def test_unipc_equals_the_reference(golden):
    case = golden("unipc")
    solver = case.info["solver"]

    def velocity(video, action, t_video, t_action):
        v = torch.einsum("ij,bj...->bi...", case["A_video"], video)
        bias = case["b_video"] + case["c_video"] * (t_video / 1000)
        a = action @ case["A_action"].T + case["b_action"] + case["c_action"] * (t_action / 1000)
        return v + bias.view(-1, 1, 1, 1), a

    for info, scenario in case.each("scenarios"):
        last = FLASH_LAST if info["decouple_inference_noise"] else 0.0
        steps, shift = solver["steps"], solver["shift"]
        video = Recording(unipc_levels(steps, shift, last), lambda x: x[0].transpose(0, 1))
        action = Recording(unipc_levels(steps, shift), lambda x: x[0])
        reuse = FixedSteps(info["NUM_DIT_STEPS"], steps)
        assert sorted(reuse.evaluated) == info["steps_run"]
        integrate(
            velocity=velocity,
            video=case["start_video"],
            action=case["start_action"],
            of_video=video,
            of_action=action,
            reuse=reuse,
        )
        for name, recorded in {"video": video, "action": action}.items():
            levels = scenario.within(name)["sigmas"]
            torch.testing.assert_close(torch.tensor(recorded.levels), levels, atol=1e-6, rtol=0)
        scenario.within("video").check(video.found())
        scenario.within("action").check(action.found())


def test_training_schedule_equals_the_reference(golden):
    case = golden("flow_schedule")
    s = FlowSchedule(case.info["scheduler"]["shift"])
    t, off, n = s.times[case["index"]], case["offgrid_t"], len(case["offgrid_t"])
    found = {
        "sigmas": s.levels,
        "noisy": s.noised(case["x0"], case["noise"], t),
        "target": case["noise"] - case["x0"],
        "offgrid_noisy": s.noised(case["x0"][:n], case["noise"][:n], off),
    }
    weights = {"loss_weights": s.weights, "weight": s.weight(t), "offgrid_weight": s.weight(off)}
    inputs = ("index", "x0", "noise", "offgrid_t")
    case.check(
        found, inputs=(*inputs, "timesteps", "t", "loss_weights", "weight", "offgrid_weight")
    )
    torch.testing.assert_close(s.times, case["timesteps"], atol=1e-3, rtol=0)
    torch.testing.assert_close(t, case["t"], atol=1e-3, rtol=0)
    for name, value in weights.items():
        torch.testing.assert_close(value, case[name], atol=1e-5, rtol=0)


def test_dynamic_reuse_decides_as_the_reference(golden):
    case = golden("dit_cache_rule")
    for info, scenario in case.each("scenarios"):
        rule, velocities, ran, countdowns = WhileTurning(), scenario["velocities"], [], []
        for step in range(len(scenario["run"])):
            ran.append(rule.needs(step))
            countdowns.append(rule.countdown)
            if ran[-1]:
                rule.took(velocities[sum(ran) - 1 if info["index_mode"] == "count" else step])
        scenario.check(
            {"run": torch.tensor(ran), "countdown": torch.tensor(countdowns)},
            inputs=("velocities",),
        )
