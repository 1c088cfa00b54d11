"""Properties of the released models' transformer, on a small one with random weights."""

import dataclasses

import pytest

torch = pytest.importorskip("torch")

from wam_ros.core.errors import WamError  # noqa: E402
from wam_ros.models.dreamzero.released.causal_dit import (  # noqa: E402
    CausalDiT,
    NoisyBlock,
    merged_padding,
)
from wam_ros.models.dreamzero.released.dit_config import (  # noqa: E402
    CausalDiTConfig,
    load_dit_config,
    require_fitting,
)
from wam_ros.models.dreamzero.released.mask import training_mask  # noqa: E402
from wam_ros.models.dreamzero.released.speedups import SpeedUps  # noqa: E402
from wam_ros.models.dreamzero.shared.config import TransformerConfig  # noqa: E402

CONFIG = CausalDiTConfig(
    TransformerConfig(
        dim=48,
        ffn_dim=64,
        freq_dim=16,
        num_heads=2,
        num_layers=3,
        text_dim=20,
        text_len=6,
        hidden_size=24,
        clip_dim=12,
    ),
    in_channels=12,
    out_channels=4,
    latent_height=4,
    latent_width=6,
    action_dim=5,
    state_dim=7,
    actions_per_block=6,
    blocks=3,
    state_attention="masked",
)
N = CONFIG.frame_tokens


def make_model(config=CONFIG, speedups=None):
    torch.manual_seed(0)
    model = CausalDiT(config, speedups)
    torch.nn.init.normal_(model.head.head.weight, std=0.1)
    return model.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def model():
    return make_model()


@pytest.fixture
def window():
    """Arguments of a training pass over a whole window: B = 2."""
    generator = torch.Generator().manual_seed(1)
    frames, (h, w) = CONFIG.window_frames, (CONFIG.latent_height, CONFIG.latent_width)

    def randn(*shape):
        return torch.randn(2, *shape, generator=generator)

    text = randn(6, 20)
    text[0, 3:], text[1, 5:] = 0.0, 0.0  # beyond prompts of three and five tokens
    per_block = 1000 * torch.rand(2, CONFIG.blocks, generator=generator)
    return {
        "noisy": randn(4, frames, h, w),
        "clean": randn(4, frames, h, w),
        "y": randn(8, frames, h, w),
        "action": randn(CONFIG.blocks * 6, 5),
        "state": randn(CONFIG.blocks, 7),
        "t_video": torch.cat([torch.full((2, 1), 300.0), per_block.repeat_interleave(2, 1)], 1),
        "t_action": per_block.flip(1).repeat_interleave(6, 1),
        "context": (text, randn(9, 12)),
    }


def train(model, window):
    return model(
        **{k: v for k, v in window.items() if k != "context"},
        context=model.make_context(*window["context"]),
    )


def infer(model, window):
    """Velocities of every block of the window, one after the other against a memory."""
    context, cache = model.make_context(*window["context"]), model.make_cache(len(window["noisy"]))
    model.prefill(window["clean"][:, :, :1], window["y"][:, :, :1], 0, context, cache)
    found = []
    for k in range(CONFIG.blocks):
        start, actions = 1 + 2 * k, slice(6 * k, 6 * k + 6)
        if k:
            part = slice(start - 2, start)
            model.prefill(
                window["clean"][:, :, part], window["y"][:, :, part], start - 2, context, cache
            )
        part = slice(start, start + 2)
        block = NoisyBlock(
            window["noisy"][:, :, part],
            window["action"][:, actions],
            window["state"][:, k : k + 1],
            window["y"][:, :, part],
            start,
        )
        t = torch.stack([window["t_video"][:, start], window["t_action"][:, 6 * k]], 1)
        found.append(model.denoise(block, t, model.rope(start, 2, 1, (4, 6)), context, cache))
    return found


def one_of(window, row):
    return {
        k: tuple(x[row : row + 1] for x in v) if k == "context" else v[row : row + 1]
        for k, v in window.items()
    }


def test_cached_inference_equals_the_teacher_forced_pass(model, window):
    trained = train(model, window)
    for k, cached in enumerate(infer(model, window)):
        frames, actions = slice(1 + 2 * k, 3 + 2 * k), slice(6 * k, 6 * k + 6)
        torch.testing.assert_close(cached.video, trained.video[:, :, frames], atol=1e-5, rtol=0)
        torch.testing.assert_close(cached.action, trained.action[:, actions], atol=1e-5, rtol=0)


def test_an_open_state_token_differs_from_training(model, window):
    other = make_model(dataclasses.replace(CONFIG, state_attention="open"))
    masked, opened = infer(model, window)[1], infer(other, window)[1]
    assert (masked.action - opened.action).abs().max() > 1e-4


def test_a_batch_of_two_prompts_equals_two_batches_of_one(model, window):
    both = infer(model, window)
    for row in range(2):
        for k, one in enumerate(infer(model, one_of(window, row))):
            torch.testing.assert_close(one.video[0], both[k].video[row], atol=1e-5, rtol=0)
            torch.testing.assert_close(one.action[0], both[k].action[row], atol=1e-5, rtol=0)


@pytest.mark.parametrize("off", [f.name for f in dataclasses.fields(SpeedUps)] + ["all"])
def test_every_speed_up_gives_the_numbers_of_the_plain_path(model, window, off):
    plain = SpeedUps.none() if off == "all" else dataclasses.replace(SpeedUps(), **{off: False})
    for fast, slow in zip(
        infer(model, window), infer(make_model(speedups=plain), window), strict=True
    ):
        torch.testing.assert_close(fast.video, slow.video, atol=1e-5, rtol=0)
        torch.testing.assert_close(fast.action, slow.action, atol=1e-5, rtol=0)


def test_padding_is_merged_into_one_token_that_counts_as_often(window):
    text = window["context"][0]
    merged, weight = merged_padding(text)
    assert torch.equal(merged, text)  # of the longer prompt there is one
    torch.testing.assert_close(weight.exp()[:, 0, 0], torch.ones(2, 6))
    merged, weight = merged_padding(text[:1])
    assert torch.equal(merged, text[:1, :4])
    torch.testing.assert_close(weight.exp()[0, 0, 0], torch.tensor([1.0, 1.0, 1.0, 3.0]))
    merged, weight = merged_padding(torch.cat([text, torch.zeros(2, 4, 20)], 1))
    torch.testing.assert_close(
        weight.exp()[:, 0, 0], torch.tensor([[1, 1, 1, 7 / 3, 7 / 3, 7 / 3], [1, 1, 1, 1, 1, 5]])
    )
    full = torch.ones(2, 6, 20)
    merged, weight = merged_padding(full)
    assert torch.equal(merged, full) and not weight.any()


def test_a_timestep_given_once_is_that_of_video_and_action(model, window):
    context, cache = model.make_context(*window["context"]), model.make_cache(2)
    model.prefill(window["clean"][:, :, :1], window["y"][:, :, :1], 0, context, cache)
    y = window["y"][:, :, 1:3]
    block = NoisyBlock(
        window["noisy"][:, :, 1:3], window["action"][:, :6], window["state"][:, :1], y, 1
    )
    rope, t = model.rope(1, 2, 1, (4, 6)), torch.tensor([[600.0]])
    once, twice = (model.denoise(block, x, rope, context, cache) for x in (t, t.expand(1, 2)))
    torch.testing.assert_close(once.video, twice.video, atol=1e-5, rtol=0)
    torch.testing.assert_close(once.action, twice.action, atol=1e-5, rtol=0)


def blocks_that_move(model, window, name, part):
    """Blocks (0 is the first frame) whose prediction changes when `part` of input `name`
    changes.
    """
    before = train(model, window)
    changed = window | {name: window[name].clone()}
    changed[name][part] += 1
    after = train(model, changed)
    video = (after.video - before.video).abs().amax((0, 1, 3, 4)) > 1e-6
    action = (after.action - before.action).abs().amax((0, 2)) > 1e-6
    moved = {0} if video[0] else set()
    moved |= {k for k in range(1, CONFIG.blocks + 1) if video[2 * k - 1 : 2 * k + 1].any()}
    return moved | {k for k in range(1, CONFIG.blocks + 1) if action[6 * k - 6 : 6 * k].any()}


@pytest.mark.parametrize("k", [1, 2, 3])
def test_predictions_of_a_block_are_context_of_no_other(model, window, k):
    assert blocks_that_move(model, window, "noisy", (slice(None), slice(None), 2 * k)) == {k}
    assert blocks_that_move(model, window, "action", (slice(None), 6 * k - 1)) == {k}
    assert blocks_that_move(model, window, "state", (slice(None), k - 1)) == {k}


def test_clean_frames_reach_later_blocks_only(model, window):
    everything = {1, 2, 3}
    assert blocks_that_move(model, window, "clean", (slice(None), slice(None), 0)) == everything
    assert blocks_that_move(model, window, "clean", (slice(None), slice(None), 1)) == {2, 3}
    assert blocks_that_move(model, window, "clean", (slice(None), slice(None), 4)) == {3}
    assert blocks_that_move(model, window, "clean", (slice(None), slice(None), 6)) == set()


def test_the_mask_of_a_window_as_a_table():
    c = dataclasses.replace(CONFIG, actions_per_block=1, blocks=2)
    mask = training_mask(c, blocks=2, frame_tokens=1)
    rows = {  # columns: clean 0 1 2 3 4, noisy 0 1 2 3 4, actions 1 2, states 1 2
        0: "1000000000" + "00" + "00",
        1: "1110000000" + "00" + "00",
        4: "1111100000" + "00" + "00",
        5: "0000010000" + "00" + "00",
        6: "1000001100" + "10" + "10",
        9: "1110000011" + "01" + "01",
        10: "1000001100" + "10" + "10",
        11: "1110000011" + "01" + "01",
        12: "0000000000" + "00" + "10",
        13: "0000000000" + "00" + "01",
    }
    for row, wanted in rows.items():
        assert "".join(str(int(x)) for x in mask[row]) == wanted, row


def test_a_short_window_lets_clean_frames_forget_but_the_first():
    c = dataclasses.replace(CONFIG, blocks=1)  # 3 frames
    mask = training_mask(c, blocks=3, frame_tokens=1)
    assert [int(k) for k in mask[6].nonzero()] == [0, 4, 5, 6]
    # the noisy copy sees them all
    assert [int(k) for k in mask[7 + 6].nonzero() if k < 7] == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"in_channels": 5}, "in_channels is 5, expected 12"),
        ({"latent_width": 5}, "even sides"),
        ({"states_per_block": 0}, "must be positive"),
        (
            {"transformer": dataclasses.replace(CONFIG.transformer, num_heads=0)},
            "split into 0 heads",
        ),
        ({"actions_per_block": 5, "states_per_block": 2}, "multiple"),
        ({"state_attention": "opne"}, "Did you mean 'open'"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(change, message):
    with pytest.raises(WamError, match=message):
        require_fitting(dataclasses.replace(CONFIG, **change), "x.yaml")


@pytest.mark.parametrize(
    ("name", "parameters"), [("dreamzero-14b", 16_484_292_448), ("dreamzero-5b", 5_606_692_832)]
)
def test_released_sizes_have_the_parameters_of_the_released_checkpoints(name, parameters):
    with torch.device("meta"):
        model = CausalDiT(load_dit_config(name))
    assert sum(p.numel() for p in model.parameters()) == parameters


def test_the_released_14b_model_has_the_names_and_shapes_of_its_checkpoint():
    with torch.device("meta"):
        state = CausalDiT(load_dit_config("dreamzero-14b")).state_dict()
    d, f, wide = 5120, 13824, (5120, 5120)
    block = {f"{part}.{m}.weight": wide for part in ("self_attn", "cross_attn") for m in "qkvo"}
    block |= {
        "cross_attn.k_img.weight": wide,
        "cross_attn.v_img.weight": wide,
        "modulation": (1, 6, d),
    }
    block |= {
        "ffn.0.weight": (f, d),
        "ffn.2.weight": (d, f),
        "ffn.0.bias": (f,),
        "norm3.weight": (d,),
        "norm3.bias": (d,),
    }
    block |= {f"self_attn.norm_{m}.weight": (d,) for m in "qk"} | {"ffn.2.bias": (d,)}
    block |= {f"cross_attn.norm_{m}.weight": (d,) for m in ("q", "k", "k_img")}
    block |= {
        name.replace("weight", "bias"): (d,) for name, shape in block.items() if shape == wide
    }
    around = {
        "patch_embedding.weight": (d, 36, 1, 2, 2),
        "text_embedding.0.weight": (d, 4096),
        "text_embedding.2.weight": wide,
        "time_embedding.0.weight": (d, 256),
        "time_embedding.2.weight": wide,
        "time_projection.1.weight": (6 * d, d),
        "img_emb.proj.0.weight": (1280,),
        "img_emb.proj.1.weight": (1280, 1280),
        "img_emb.proj.3.weight": (d, 1280),
        "img_emb.proj.4.weight": (d,),
        "head.head.weight": (64, d),
    }
    around |= {name.replace("weight", "bias"): shape[:1] for name, shape in around.items()}
    parts = {
        "state_encoder.layer1": (64, 1024),
        "state_encoder.layer2": (1024, d),
        "action_encoder.W1": (32, d),
    }
    parts |= {"action_encoder.W2": (2 * d, d), "action_encoder.W3": wide}
    parts |= {"action_decoder.layer1": (d, 1024), "action_decoder.layer2": (1024, 32)}
    wanted = around | {"head.modulation": (1, 2, d)}
    wanted |= {f"{name}.W": (1, *shape) for name, shape in parts.items()}
    wanted |= {f"{name}.b": (1, shape[1]) for name, shape in parts.items()}
    wanted |= {f"blocks.{i}.{name}": shape for i in range(40) for name, shape in block.items()}
    assert {name: tuple(t.shape) for name, t in state.items()} == wanted
