"""Properties of the block-causal transformer and its memory."""

import pytest

torch = pytest.importorskip("torch")

from wam_ros.models.dreamzero.shared.layers import PatchEmbedding, attend, unpatch  # noqa: E402
from wam_ros.models.dreamzero.shared.rope import (  # noqa: E402
    rope_angles,
    rotate,
    rotate_as_complex,
    rotate_as_halves,
)
from wam_ros.models.dreamzero.small.memory import FrameMemory  # noqa: E402

INSTRUCTIONS = ["pick up the red block", "grab the green one"]


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
                cache,
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


def test_patches_are_the_inverse_of_unpatching(config, inputs):
    channels = config.tokenizer.latent_channels
    embed = PatchEmbedding(channels, 4 * channels)
    # the head's order: row, column, channel
    order = torch.arange(4 * channels).view(channels, 4).T.flatten()
    embed.weight.data = torch.eye(4 * channels)[order].view_as(embed.weight)
    embed.bias.data.zero_()
    torch.testing.assert_close(
        unpatch(embed(inputs["video"]), config.latent_size[0] // 2), inputs["video"]
    )


def test_rotary_scores_depend_on_position_differences_only():
    generator = torch.Generator().manual_seed(0)
    q, k = torch.randn(2, 1, 7, 2, 24, generator=generator, dtype=torch.float64)
    positions = torch.rand(7, 3, generator=generator, dtype=torch.float64) * 5

    def scores(shift):
        angles = rope_angles(positions + torch.tensor(shift), 24, 10000.0)[:, None]
        rope = angles.cos(), angles.sin()
        return torch.einsum("blnd,bmnd->bnlm", rotate(q, rope), rotate(k, rope))

    torch.testing.assert_close(scores([0.0, 0, 0]), scores([500.0, 3, 2]), atol=1e-9, rtol=0)
    assert (scores([0.0, 0, 0]) - torch.einsum("blnd,bmnd->bnlm", q, k)).abs().max() > 0.1


def test_rotations_as_complex_numbers_and_as_halves_are_the_same():
    generator = torch.Generator().manual_seed(0)
    x, angles = (
        torch.randn(2, 7, 3, 8, generator=generator),
        torch.randn(7, 1, 4, generator=generator),
    )
    rope = angles.cos(), angles.sin()
    torch.testing.assert_close(rotate_as_complex(x, rope), rotate_as_halves(x, rope, x.dtype))
    narrow = x.bfloat16()
    assert torch.equal(rotate(narrow, rope), rotate_as_halves(narrow.float(), rope, narrow.dtype))


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


def predict(model, memory, step, latents, inputs):
    cache, rope = memory.observe(step, latents[step])
    clean, state = latents[step], inputs["state"][:1, :1]
    cond = model.condition(state, clean, memory.context)
    video, action = inputs["video"][:1, :1], inputs["action"][:1, :1]
    return model.denoise(
        video, action, 500.0, 500.0, cond, clean, rope, memory.context, cache
    ).action


def test_memory_of_every_phase_equals_a_memory_of_that_phase_alone(model, config, inputs):
    (h, w), c = config.latent_size, config.tokenizer.latent_channels
    latents = torch.randn(20, 1, 1, c, h, w, generator=torch.Generator().manual_seed(3))
    context = context_of(model, INSTRUCTIONS[:1])
    dense = FrameMemory(model, context)
    all_steps = {s: predict(model, dense, s, latents, inputs) for s in range(20)}
    for phase in range(config.chunk.frame_stride):
        alone = FrameMemory(model, context)
        for s in range(phase, 20, config.chunk.frame_stride):
            torch.testing.assert_close(predict(model, alone, s, latents, inputs), all_steps[s])


def test_memory_after_a_gap_uses_only_frames_at_the_trained_spacing(model, config, inputs):
    (h, w), c = config.latent_size, config.tokenizer.latent_channels
    latents = torch.randn(20, 1, 1, c, h, w, generator=torch.Generator().manual_seed(3))
    context = context_of(model, INSTRUCTIONS[:1])
    gappy = FrameMemory(model, context)
    for s in (0, 4, 12):  # the frame of step 8 was lost
        last = predict(model, gappy, s, latents, inputs)
    fresh = FrameMemory(model, context)
    torch.testing.assert_close(last, predict(model, fresh, 12, latents, inputs))
