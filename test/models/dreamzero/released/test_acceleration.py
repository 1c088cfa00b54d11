"""Compiling and packing change no number; 8 bits change them as much as 8 bits must."""

import dataclasses

import pytest

torch = pytest.importorskip("torch")

from torch.fx.experimental.proxy_tensor import make_fx  # noqa: E402

from wam_ros.core.errors import WamError  # noqa: E402
from wam_ros.models.dreamzero.released.clip import ImageEncoder, ImageEncoderConfig  # noqa: E402
from wam_ros.models.dreamzero.released.compiled import (  # noqa: E402
    NEEDED,
    compile_blocks,
    compile_denoising,
    record_denoising,
)
from wam_ros.models.dreamzero.released.dit_config import load_dit_config  # noqa: E402
from wam_ros.models.dreamzero.released.inference import Inference  # noqa: E402
from wam_ros.models.dreamzero.released.rehearsal import play as rehearsed  # noqa: E402
from wam_ros.models.dreamzero.released.rehearsal import random_model  # noqa: E402
from wam_ros.models.dreamzero.released.rollout import Sampling  # noqa: E402
from wam_ros.models.dreamzero.released.speedups import SpeedUps  # noqa: E402
from wam_ros.models.dreamzero.released.umt5 import PromptEncoder, TextEncoderConfig  # noqa: E402
from wam_ros.models.dreamzero.released.vae import WAN21, WanVae  # noqa: E402
from wam_ros.models.dreamzero.shared.float8 import Float8Linear, to_float8  # noqa: E402
from wam_ros.models.dreamzero.shared.packed import PackedLinear, pack  # noqa: E402
from wam_ros.models.processor import processor  # noqa: E402

from .test_causal_dit import CONFIG, make_model  # noqa: E402
from .test_rollout import FEW, Towers, make_rollout, play  # noqa: E402

LITTLE = dataclasses.replace(
    CONFIG,
    blocks=2,
    image_tokens=9,
    transformer=dataclasses.replace(CONFIG.transformer, num_layers=1),
)
ERROR_OF_E4M3 = 0.04  # relative, of a product of normal numbers: 3 bits of mantissa on both sides


def test_blocks_are_compiled_once_for_all_layers_and_lengths_of_the_memory():
    graphs = []

    def count(graph, _inputs):
        graphs.append(graph)
        return graph.forward

    torch._dynamo.reset()
    config = dataclasses.replace(
        LITTLE, transformer=dataclasses.replace(LITTLE.transformer, num_layers=2)
    )
    plain, compiled = make_rollout(config=config), make_rollout(config=config)
    compile_blocks(compiled.model, backend=count)
    shapes = 3  # one frame, one block of frames, a block to denoise
    wanted = 2 * shapes + 1  # before and after attention, and the turn of a window that slides
    Inference(sampling=FEW, compile=True).rehearse(compiled.model)
    assert len(graphs) == wanted
    for instruction in ("pick", "put it down"):  # another one starts a new window
        for a, b in zip(play(plain, 4, instruction), play(compiled, 4, instruction), strict=True):
            torch.testing.assert_close(a.action, b.action, atol=1e-5, rtol=0)
            torch.testing.assert_close(a.video, b.video, atol=1e-5, rtol=0)
    assert len(graphs) == wanted  # nothing is left to the loop


class Trace:
    """What a CUDA graph is, on a CPU: the kernels of one run, on the very tensors of that run."""

    def __init__(self, function, inputs):
        self.inputs = [x.clone(memory_format=torch.contiguous_format) for x in inputs]
        self.kernels = make_fx(function)(*self.inputs)

    def __call__(self, inputs):
        for own, given in zip(self.inputs, inputs, strict=True):
            own.copy_(given)
        return self.kernels(*self.inputs)


@pytest.mark.parametrize("last_video_level", [0.0, 0.8])
def test_recorded_evaluations_serve_every_later_chunk_and_episode(last_video_level):
    traces = []

    def record(function, inputs):
        traces.append(Trace(function, inputs))
        return traces[-1]

    sampling = dataclasses.replace(FEW, last_video_level=last_video_level)
    plain, fast = (make_rollout(sampling=sampling, config=LITTLE) for _ in range(2))
    record_denoising(fast.model, record)
    # another one starts a new window, in the same place
    for instruction in ("pick", "put it down"):
        for a, b in zip(play(plain, 4, instruction), play(fast, 4, instruction), strict=True):
            torch.testing.assert_close(a.action, b.action, atol=1e-5, rtol=0)
            torch.testing.assert_close(a.video, b.video, atol=1e-5, rtol=0)
    assert len(traces) == LITTLE.blocks  # memory of 1 and 3 frames; after that the window slides


def test_a_rehearsal_meets_everything_that_the_loop_will_need():
    """Flash gives video and action the same first timestep but not the same later ones."""
    traces = []

    def record(function, inputs):
        traces.append(Trace(function, inputs))
        return traces[-1]

    sampling = Sampling(steps=2, evaluations=2, last_video_level=0.8)
    rollout = make_rollout(sampling=sampling, config=LITTLE)
    record_denoising(rollout.model, record)
    Inference(sampling=sampling, compile=True).rehearse(rollout.model)
    assert len(traces) == LITTLE.blocks
    play(rollout, 4)
    assert len(traces) == LITTLE.blocks


@pytest.mark.parametrize("off", NEEDED)
def test_compiling_needs_what_makes_shapes_fixed(off):
    with pytest.raises(WamError, match=off):
        compile_denoising(make_model(speedups=dataclasses.replace(SpeedUps(), **{off: False})))


def test_packed_matrices_give_the_numbers_of_the_loose_ones():
    loose, packed = make_rollout(), make_rollout()
    names = [n for n, m in loose.model.blocks.named_modules() if isinstance(m, torch.nn.Linear)]
    assert len(names) == 12 * CONFIG.transformer.num_layers
    possible = processor().packs(torch.float32)
    assert pack(packed.model) == possible * len(names)
    kinds = [isinstance(packed.model.blocks.get_submodule(n), PackedLinear) for n in names]
    assert set(kinds) == {possible}
    for a, b in zip(play(loose, 4), play(packed, 4), strict=True):
        torch.testing.assert_close(a.action, b.action, atol=1e-5, rtol=0)
        torch.testing.assert_close(a.video, b.video, atol=1e-5, rtol=0)


@pytest.mark.parametrize(("dtype", "error"), [(torch.float32, 1e-5), (torch.bfloat16, 0.05)])
def test_a_packed_perceptron_keeps_its_activation(dtype, error):
    torch.manual_seed(0)
    block = torch.nn.ModuleDict(
        {"blocks": torch.nn.ModuleList([make_model().blocks[0].ffn.to(dtype)])}
    )
    x = torch.randn(2, 7, CONFIG.transformer.dim).to(dtype)
    wanted = block["blocks"][0](x)
    assert pack(block) == 2 * processor().packs(dtype)
    torch.testing.assert_close(block["blocks"][0](x), wanted, atol=error, rtol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_layer_in_8_bits_errs_as_its_format_says(dtype):
    torch.manual_seed(0)
    linear = torch.nn.Linear(256, 128).to(dtype)
    x = torch.randn(3, 40, 256).to(dtype)
    wanted, found = linear(x), Float8Linear(linear)(x)
    assert found.dtype == dtype and found.shape == wanted.shape
    error = (found - wanted).float().norm() / wanted.float().norm()
    assert 0.01 < error < ERROR_OF_E4M3


def test_rows_of_very_different_size_do_not_spoil_each_other():
    torch.manual_seed(0)
    linear = torch.nn.Linear(64, 48, bias=False)
    linear.weight.data[0] *= 1e6
    x = torch.randn(8, 64)
    x[0] *= 1e-6
    wanted, found = linear(x), Float8Linear(linear)(x)
    for axis in (0, 1):  # every output and every token by its own size
        rest = (found - wanted)[:, 1:].norm(dim=axis) / wanted[:, 1:].norm(dim=axis)
        assert rest.max() < 2 * ERROR_OF_E4M3


def test_block_matrices_are_replaced_and_nothing_else():
    model = make_model()
    replaced = to_float8(model)
    # self-attention, cross-attention with image keys and values, feed-forward
    per_block = 4 + 6 + 2
    assert replaced == per_block * CONFIG.transformer.num_layers
    assert isinstance(model.blocks[0].ffn[0], Float8Linear)
    assert isinstance(model.head.head, torch.nn.Linear) and isinstance(
        model.time_embedding[0], torch.nn.Linear
    )


def test_chunks_in_8_bits_stay_near():
    plain, narrow = make_rollout(), make_rollout()
    to_float8(narrow.model)
    for a, b in zip(play(plain, 3), play(narrow, 3), strict=True):
        assert (a.action - b.action).norm() / a.action.norm() < 0.1
        assert (a.action - b.action).abs().max() > 0


@pytest.mark.parametrize("name", ["dreamzero-14b", "dreamzero-5b"])
def test_every_block_matrix_of_the_released_sizes_fits_the_kernel(name):
    config = load_dit_config(name)
    config = dataclasses.replace(
        config, transformer=dataclasses.replace(config.transformer, num_layers=1)
    )
    model = random_model(config, "meta", torch.bfloat16, SpeedUps())
    assert to_float8(model) == 12
    c = config
    x = torch.empty(2, c.own_tokens, c.transformer.dim, device="meta", dtype=torch.bfloat16)
    assert model.blocks[0].ffn(x).shape == x.shape


def test_what_attention_is_given_fits_its_fused_kernels(monkeypatch):
    """They want the last axis dense; without one an accelerator writes down every score."""
    fused, dense = torch.nn.functional.scaled_dot_product_attention, []

    def attention(*args, **more):
        dense.append([x.stride(-1) == 1 for x in args if x is not None])
        return fused(*args, **more)

    monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", attention)
    config = load_dit_config("dreamzero-14b")
    config = dataclasses.replace(
        config, transformer=dataclasses.replace(config.transformer, num_layers=1)
    )
    rehearsed(
        random_model(config, "meta", torch.bfloat16, SpeedUps()),
        Sampling(steps=1, evaluations=1),
        2,
    )
    with torch.device("meta"):
        vae, ids = WanVae(WAN21), torch.ones(1, 20, dtype=torch.long)
        vae.decode(vae.encode(torch.zeros(1, 3, 5, 32, 32)))
        PromptEncoder(TextEncoderConfig(9, 16, 16, 32, num_heads=2, num_layers=1))(ids, ids)
        ImageEncoder(ImageEncoderConfig(dim=32, num_heads=2, num_layers=2))(torch.zeros(1, 3, 8, 8))
    # memory, text and image of two evaluations; frames; prompt; picture
    assert len(dense) == 2 * 3 + 2 + 2 + 1 + 1
    assert all(map(all, dense))


class There(Towers):
    """Random answers on the accelerator."""

    def randn(self, seed, *shape):
        return super().randn(seed, *shape).to("cuda")


@pytest.mark.gpu
@pytest.mark.parametrize("narrow", [False, True])
def test_graphs_on_an_accelerator_give_the_numbers_of_the_plain_path(narrow):
    def rollout():
        r = make_rollout(speedups=SpeedUps())
        r.encoders = There()
        r.model.to("cuda", torch.bfloat16)
        return r

    torch._dynamo.reset()
    plain, fast = rollout(), rollout()
    if narrow:
        to_float8(plain.model)
        to_float8(fast.model)
    compile_denoising(fast.model)
    for instruction in ("pick", "put it down"):
        for a, b in zip(play(plain, 5, instruction), play(fast, 5, instruction), strict=True):
            assert (a.action - b.action).norm() / a.action.norm() < 0.02
