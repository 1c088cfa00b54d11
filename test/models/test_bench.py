"""`wam bench model`: counts that can be checked, and a table for every device there is."""

import dataclasses
import itertools

import pytest

torch = pytest.importorskip("torch")

from torch.utils.flop_counter import FlopCounterMode  # noqa: E402

from wam_ros import cli  # noqa: E402
from wam_ros.core.errors import WamError  # noqa: E402
from wam_ros.models import bench  # noqa: E402
from wam_ros.models.bench import SUITE, BenchModel, asked, measure  # noqa: E402
from wam_ros.models.dreamzero.released.dit_config import load_dit_config  # noqa: E402
from wam_ros.models.dreamzero.released.flop import chunk_flop, evaluation_flop  # noqa: E402
from wam_ros.models.dreamzero.released.inference import Inference  # noqa: E402
from wam_ros.models.dreamzero.released.rehearsal import play, random_model  # noqa: E402
from wam_ros.models.dreamzero.released.rollout import Chunk, Sampling  # noqa: E402
from wam_ros.models.dreamzero.released.speedups import SpeedUps  # noqa: E402
from wam_ros.models.dreamzero.released.vae import WAN22  # noqa: E402


@pytest.mark.parametrize("guidance", [1.0, 5.0])
def test_counted_flop_are_those_that_torch_sees(guidance):
    config = load_dit_config("dreamzero-100m")
    few = dataclasses.replace(config.transformer, num_layers=2)
    config = dataclasses.replace(config, transformer=few, blocks=2)
    sampling = Sampling(steps=1, evaluations=1, guidance=guidance)
    model = random_model(config, "meta", torch.bfloat16, SpeedUps())
    seen = []
    for chunks in (config.blocks, config.blocks + 1):
        with FlopCounterMode(display=False) as counter:
            play(model, sampling, chunks)
        seen.append(counter.get_total_flops())
    counted = chunk_flop(config, 1 if guidance == 1.0 else 2, 1)
    assert counted == pytest.approx(seen[1] - seen[0], rel=1e-9)


@pytest.mark.parametrize("name", ["dreamzero-14b", "dreamzero-5b"])
@pytest.mark.parametrize("narrow", [False, True])
def test_every_sampling_of_the_suite_fits_the_released_sizes(name, narrow):
    config = load_dit_config(name)
    config = dataclasses.replace(
        config, transformer=dataclasses.replace(config.transformer, num_layers=1)
    )
    model = random_model(config, "meta", torch.bfloat16, SpeedUps())
    assert Inference(float8=narrow).accelerate(model) == (12 if narrow else 0)
    for sampling in SUITE.values():
        for chunk in play(model, dataclasses.replace(sampling, steps=1, evaluations=1), 2):
            assert chunk.action.shape == (1, config.actions_per_block, config.action_dim)
        latent = (config.latent_height, config.latent_width)
        assert chunk.video.shape == (1, config.out_channels, config.frames_per_block, *latent)


@pytest.mark.parametrize("plain", [False, True])
def test_speed_ups_are_switched_off_by_name(plain):
    found = asked(BenchModel(plain=plain, without=("fp32_rope", "cached_prompts"))).speedups
    assert not found.fp32_rope and not found.cached_prompts and found.cached_context != plain


def test_an_evaluation_of_the_14b_model_costs_what_its_sizes_say():
    """47.7 TFLOP with one remembered frame; each further frame adds 880 keys to 1785 queries in 40
    layers.
    """
    config = load_dit_config("dreamzero-14b")
    flop = [evaluation_flop(config, frames) for frames in (1, 3, 5, 7)]
    assert flop[0] == pytest.approx(47.7e12, rel=1e-3)
    assert [b - a for a, b in itertools.pairwise(flop)] == [4 * 1785 * 1760 * 5120 * 40] * 3


@pytest.mark.parametrize("device", ["meta", "cpu"])
def test_the_table_names_what_was_measured(device, capsys, tmp_path):
    text = (
        (cli_config("dreamzero-100m"))
        .replace("num_layers: 8", "num_layers: 1")
        .replace("dim: 768", "dim: 96")
    )
    path = tmp_path / "little.yaml"
    path.write_text(text)
    model = random_model(load_dit_config(str(path)), "meta", torch.bfloat16, SpeedUps())
    expected = sum(p.numel() for p in model.parameters())
    assert (
        cli.main(["bench", "model", "--config", str(path), "--device", device, "--chunks", "1"])
        == 0
    )
    out = capsys.readouterr().out
    assert "8/16 guided" in out and f"{expected:,} parameters, random" in out
    assert ("counted, not computed" in out) == (device == "meta")


def test_8_bits_say_what_they_change(capsys, tmp_path):
    path = tmp_path / "little.yaml"
    path.write_text(
        cli_config("dreamzero-100m")
        .replace("num_layers: 8", "num_layers: 1")
        .replace("dim: 768", "dim: 96")
    )
    assert cli.main(["bench", "model", "--config", str(path), "--float8", "--chunks", "1"]) == 0
    assert (
        "matrices in e4m3; action velocities of one evaluation change by" in capsys.readouterr().out
    )


def test_8_bits_take_half_the_memory_of_16():
    config = load_dit_config("dreamzero-5b")
    held = []
    for narrow in (False, True):
        model = random_model(config, "meta", torch.bfloat16, SpeedUps())
        Inference(float8=narrow).accelerate(model)
        held.append(measure(model, Sampling(), 1).peak_bytes)
    assert 0.5 < held[1] / held[0] < 0.65  # embeddings, action parts and the memory of frames stay


def test_encoding_and_decoding_are_timed_too(capsys, tmp_path, monkeypatch):
    little = dataclasses.replace(WAN22, encoder_dim=8, decoder_dim=8)
    monkeypatch.setattr("wam_ros.models.bench.WAN22", little)
    path = tmp_path / "little.yaml"
    path.write_text(
        cli_config("dreamzero-100m")
        .replace("num_layers: 8", "num_layers: 1")
        .replace("dim: 768", "dim: 96")
    )
    assert cli.main(["bench", "model", "--config", str(path), "--vae", "--chunks", "1"]) == 0
    line = next(x for x in capsys.readouterr().out.splitlines() if "8/16 guided" in x)
    assert len(line.split()) == 2 + 4 + 2 + 3


@pytest.mark.parametrize(
    "how",
    [
        {"suite": True, "compile": True},
        {"suite": True, "compile": True, "float8": True},
        {"suite": True},
        {"suite": True, "float8": True},
        {"plain": True},
        {"compile": True, "vae": True},
    ],
)
def test_every_way_to_compute_has_its_rows(how, capsys, tmp_path):
    path = tmp_path / "little.yaml"
    path.write_text(
        cli_config("dreamzero-100m")
        .replace("num_layers: 8", "num_layers: 1")
        .replace("dim: 768", "dim: 96")
    )
    assert bench.main(BenchModel(config=str(path), device="meta", **how)) == 0
    out = capsys.readouterr().out
    assert all(name in out for name in (SUITE if "suite" in how else ["8/16 guided"]))


def test_a_row_that_fails_does_not_cost_the_others(capsys, monkeypatch):
    def measured(model, sampling, chunks, towers):
        if sampling == SUITE["4/4 guided"]:
            raise RuntimeError("out of memory")
        return measure(model, sampling, chunks, towers)

    monkeypatch.setattr(bench, "measure", measured)
    assert bench.main(BenchModel(device="meta", suite=True)) == 1
    out = capsys.readouterr().out
    assert all(name in out for name in SUITE)
    assert "RuntimeError: out of memory" in out and "4/4 guided failed: RuntimeError" in " ".join(
        out.split()
    )


def test_what_is_not_finite_is_no_result(monkeypatch):
    model = random_model(load_dit_config("dreamzero-100m"), "meta", torch.bfloat16, SpeedUps())
    chunk = Chunk(torch.full((1, 2, 3), torch.nan), torch.zeros(1), False, 1, {"denoise": 1.0})
    monkeypatch.setattr(bench, "play", lambda model, sampling, chunks, *more: [chunk] * chunks)
    monkeypatch.setattr(model.head, "modulation", torch.nn.Parameter(torch.zeros(1)))
    with pytest.raises(WamError, match="not finite"):
        measure(model, Sampling(), 1)


def cli_config(name):
    from wam_ros.core.resources import config_path

    return config_path("models", name).read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--config", "dreamzero-14"], "Did you mean 'dreamzero-14b'"),
        (["--device", "gpu"], "choose|cpu"),
        (["--dtype", "float61"], "float32"),
        (["--without", "cached_contexts"], "Did you mean 'cached_context'"),
        (["--chunks", "0"], "at least 1"),
    ],
)
def test_wrong_arguments_are_refused_in_one_line(arguments, message, capsys):
    assert cli.main(["bench", "model", *arguments]) == 2
    line = capsys.readouterr().err
    assert line.startswith("wam: ") and len(line.splitlines()) == 1
    assert any(m in line for m in message.split("|"))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is one")
def test_a_missing_accelerator_is_said(capsys):
    assert cli.main(["bench", "model", "--device", "cuda"]) == 2
    assert "no CUDA device" in capsys.readouterr().err


@pytest.mark.gpu
@pytest.mark.parametrize(
    "more", [{}, {"compile": True}, {"compile": True, "float8": True}, {"plain": True}]
)
def test_bench_runs_on_an_accelerator(more, capsys):
    assert bench.main(BenchModel(device="cuda", chunks=2, suite=True, **more)) == 0
    out = capsys.readouterr().out
    assert all(name in out for name in SUITE) and "nan" not in out
