"""Properties of the block-causal transformer."""

import dataclasses

import pytest

torch = pytest.importorskip("torch")

from wam_ros.models.dreamzero.shared.transformer import Velocity  # noqa: E402
from wam_ros.models.dreamzero.small.config import PREDICTS  # noqa: E402
from wam_ros.models.dreamzero.small.model import WorldActionModel  # noqa: E402
from wam_ros.models.sampling import Euler, integrate, schedule  # noqa: E402

INSTRUCTIONS = ["pick up the red block", "grab the green one"]


@pytest.fixture(scope="module", params=PREDICTS)
def model(request, config):
    torch.manual_seed(0)
    model = WorldActionModel(dataclasses.replace(config, predicts=request.param))
    torch.nn.init.normal_(model.head.head.weight, std=0.1)  # zero would hide every error
    return model.eval().requires_grad_(False)


def context_of(model, instructions):
    return model.encode_text(model.text_encoder.tokenize(instructions))


def run_cached(model, inputs, row, instruction, steps, committed=0):
    """Predictions of blocks `steps`, one after the other, against a cache."""
    context, cache = context_of(model, [instruction]), model.make_cache()
    part = {k: v[row : row + 1] for k, v in inputs.items()}
    results = []
    for k in steps:
        clean, state = part["clean"][:, k : k + 1], part["state"][:, k : k + 1]
        model.remember(clean, k, context, cache)
        results.append(
            model.denoise(
                part["video"][:, k : k + 1],
                part["action"][:, k : k + 1],
                1000 * float(part["t_video"][0, k]),
                1000 * float(part["t_action"][0, k, -1]),
                model.condition(state, clean, context),
                clean,
                model.rope(torch.tensor([k]), "noisy"),
                context,
                [cache],
                committed,
            )
        )
    return results


def test_cached_inference_equals_the_teacher_forced_pass_also_after_the_window_slides(
    model, inputs
):
    trained, _ = model(**inputs, context=context_of(model, INSTRUCTIONS))
    for row, instruction in enumerate(INSTRUCTIONS):
        for k, cached in enumerate(run_cached(model, inputs, row, instruction, range(5))):
            torch.testing.assert_close(cached.video[0, 0], trained.video[row, k], atol=1e-5, rtol=0)
            torch.testing.assert_close(
                cached.action[0, 0], trained.action[row, k], atol=1e-5, rtol=0
            )


def test_committed_steps_are_clean_in_the_cached_pass_as_in_the_teacher_forced_one(model, inputs):
    given = inputs | {"t_action": inputs["t_action"].clone()}
    given["t_action"][..., :3] = 0
    trained, _ = model(**given, context=context_of(model, INSTRUCTIONS))
    noisy, _ = model(**inputs, context=context_of(model, INSTRUCTIONS))
    # what is committed matters to what follows
    assert (trained.action - noisy.action)[..., 3:, :].abs().max() > 1e-4
    for k, cached in enumerate(
        run_cached(model, inputs, 0, INSTRUCTIONS[0], range(5), committed=3)
    ):
        torch.testing.assert_close(cached.video[0, 0], trained.video[0, k], atol=1e-5, rtol=0)
        torch.testing.assert_close(
            cached.action[0, 0, 3:], trained.action[0, k, 3:], atol=1e-5, rtol=0
        )


def test_a_batch_of_two_instructions_equals_two_batches_of_one(model, inputs):
    both, _ = model(**inputs, context=context_of(model, INSTRUCTIONS))
    for row, instruction in enumerate(INSTRUCTIONS):
        one, _ = model(
            **{k: v[row : row + 1] for k, v in inputs.items()},
            context=context_of(model, [instruction]),
        )
        torch.testing.assert_close(one.action[0], both.action[row], atol=1e-5, rtol=0)


def seen_by(model, inputs, name, block):
    """Blocks whose prediction changes when input `name` of `block` changes."""
    context = context_of(model, INSTRUCTIONS)
    before, _ = model(**inputs, context=context)
    changed = {k: v.clone() for k, v in inputs.items()}
    changed[name][:, block] += 1
    after, _ = model(**changed, context=context)
    moved = (after.video - before.video).abs().amax((0, 2, 3, 4, 5)) + (
        after.action - before.action
    ).abs().amax((0, 2, 3))
    return [k for k in range(5) if moved[k] > 1e-6]


@pytest.mark.parametrize("name", ["video", "action", "state"])
def test_predictions_of_one_block_are_never_context_of_another(model, inputs, name):
    assert seen_by(model, inputs, name, 2) == [2]


def test_an_observed_frame_reaches_later_blocks_only_and_leaves_through_the_layers(model, inputs):
    # Window 3, two layers: directly seen by blocks k .. k + 2, and once more through the clean
    # frames that saw it.
    assert seen_by(model, inputs, "clean", 0) == [0, 1, 2, 3, 4]
    assert seen_by(model, inputs, "clean", 3) == [3, 4]


def test_frames_and_actions_of_one_block_see_each_other(model, inputs):
    context = context_of(model, INSTRUCTIONS)
    before, _ = model(**inputs, context=context)
    changed = inputs | {"action": inputs["action"] + 1}
    after, _ = model(**changed, context=context)
    assert (after.video - before.video).abs().max() > 1e-6


@pytest.mark.parametrize("model", ["data"], indirect=True)
@pytest.mark.parametrize("steps", [1, 3, 8])
def test_what_knows_the_data_reaches_them_in_any_number_of_steps(model, inputs, steps):
    anchor = inputs["clean"]
    video, action = torch.randn_like(inputs["video"]), torch.randn_like(inputs["action"])
    truth = Velocity(video - anchor[:, :, None], action)

    def velocity(video, action, t_video, t_action):
        levels = inputs["t_video"] * 0 + t_video / 1000, inputs["t_action"] * 0 + t_action / 1000
        found = model._velocity(truth, video, action, anchor, *levels)
        return found.video, found.action

    times = schedule(steps, 3.0)
    noise = torch.randn_like(video), torch.randn_like(action)
    found = integrate(velocity, *noise, Euler(times), Euler(times))
    torch.testing.assert_close(found[0], video, atol=1e-5, rtol=0)
    torch.testing.assert_close(found[1], action, atol=1e-5, rtol=0)
