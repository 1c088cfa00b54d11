"""The memory of observed frames: each phase is one of its own, a gap leaves what was trained on."""

import pytest

torch = pytest.importorskip("torch")

from wam_ros.models.dreamzero.small.memory import FrameMemory  # noqa: E402

INSTRUCTIONS = ["pick up the red block", "grab the green one"]


def context_of(model, instructions):
    return model.encode_text(model.text_encoder.tokenize(instructions))


def predict(model, memory, step, latents, inputs):
    cache, rope = memory.observe(step, latents[step])
    clean, state = latents[step], inputs["state"][:1, :1]
    cond = model.condition(state, clean, memory.context)
    video, action = inputs["video"][:1, :1], inputs["action"][:1, :1]
    return model.denoise(
        video, action, 500.0, 500.0, cond, clean, rope, memory.context, [cache]
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
