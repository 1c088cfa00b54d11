"""Checkpoints: what is written comes back, what is damaged is refused by name."""

import json
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from safetensors import safe_open  # noqa: E402
from safetensors.torch import load_file, save_file  # noqa: E402

from wam_ros.core.errors import WamError  # noqa: E402
from wam_ros.models.dreamzero.small.load import (  # noqa: E402
    OLD_FORMAT,
    load_checkpoint,
    save_checkpoint,
)

from . import old_format  # noqa: E402


@pytest.fixture
def saved(tmp_path, networks, config):
    path = tmp_path / "small.safetensors"
    save_checkpoint(path, networks, config, {"seed": 0})
    return path


def rewrite(path, change):
    with safe_open(path, "pt") as file:
        metadata = file.metadata()
    tensors = load_file(path)
    change(tensors, metadata)
    save_file(tensors, path, metadata)


def test_weights_and_statistics_come_back_in_half_precision(saved, networks, config):
    restored = load_checkpoint(saved, config)
    for a, b in ((networks.model, restored.model), (networks.tokenizer, restored.tokenizer)):
        for (name, x), y in zip(a.state_dict().items(), b.state_dict().values(), strict=True):
            assert torch.equal(x.half().float(), y), name
    assert restored.normaliser.to_lists() == networks.normaliser.to_lists()
    assert len(restored.digest) == 16


def test_a_truncated_file_is_refused(saved, config):
    saved.write_bytes(saved.read_bytes()[: saved.stat().st_size // 2])
    with pytest.raises(WamError, match="not a whole safetensors file"):
        load_checkpoint(saved, config)


def test_a_text_file_is_refused(saved, config):
    saved.write_text("weights")
    with pytest.raises(WamError, match="not a whole safetensors file"):
        load_checkpoint(saved, config)


def test_a_git_lfs_pointer_is_called_one(saved, config):
    saved.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 20000000\n")
    with pytest.raises(WamError, match="small.safetensors' is a Git LFS pointer"):
        load_checkpoint(saved, config)


def test_a_foreign_safetensors_file_is_refused(saved, config):
    save_file({"x": torch.zeros(2)}, saved)
    with pytest.raises(WamError, match="not written by wam_ros"):
        load_checkpoint(saved, config)


NAME = "model.blocks.0.ffn.0.weight"


def mirrored(text):
    statistics = json.loads(text)
    low, high = statistics["action_low"], statistics["action_high"]
    low[3], high[3] = high[3], low[3]
    return json.dumps(statistics)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t, m: t.pop(NAME), f"lacks tensor '{NAME}'"),
        (
            lambda t, m: t.update({NAME: t[NAME][:3].clone()}),
            rf"'{NAME}' is \[3, 48\], expected \[64, 48\]",
        ),
        (lambda t, m: t.update(extra=torch.zeros(1)), "tensor 'extra'"),
        (lambda t, m: t[NAME].fill_(float("nan")), f"'{NAME}' holds numbers that are not finite"),
        (lambda t, m: t.update({NAME: t[NAME].to(torch.int8)}), f"'{NAME}' is int8: quantised"),
        (lambda t, m: m.update(statistics=json.dumps({})), "statistics 'relative'"),
        (lambda t, m: m.update(statistics="{"), "small.safetensors': Expecting"),
        (lambda t, m: m.update(statistics="[]"), "small.safetensors': "),
        (lambda t, m: m.update(config="{"), "its config is damaged"),
        (
            lambda t, m: m.update(config=json.dumps({"predicts": "data"})),
            "small.safetensors' predicts data, model 'tiny' velocity",
        ),
        (
            lambda t, m: m.update(statistics=mirrored(m["statistics"])),
            "'action_low' of column 3 is 0.2, above 'action_high' -0.1, which would turn motion r",
        ),
    ],
)
def test_a_damaged_checkpoint_is_refused_by_the_name_of_what_is_wrong(
    saved, config, change, message
):
    rewrite(saved, change)
    with pytest.raises(WamError, match=message):
        load_checkpoint(saved, config)


def test_a_checkpoint_of_the_old_format_gives_the_answers_of_the_old_code(saved, config):
    folder = Path(__file__).parent
    with safe_open(saved, "pt") as file:
        metadata = file.metadata() | {"format": OLD_FORMAT}
    save_file(old_format.tensors(folder), saved, metadata)
    model = load_checkpoint(saved, config).model
    found = old_format.answers(model, old_format.inputs(config))
    for name, wanted in load_file(folder / old_format.ANSWERS).items():
        torch.testing.assert_close(found[name], wanted, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    "change", [{"extra": torch.zeros(1)}, {"model.head.weight": torch.zeros(3, 5)}]
)
def test_a_damaged_checkpoint_of_the_old_format_is_refused(saved, config, change):
    with safe_open(saved, "pt") as file:
        metadata = file.metadata() | {"format": OLD_FORMAT}
    save_file(old_format.tensors(Path(__file__).parent) | change, saved, metadata)
    with pytest.raises(WamError, match=r"extra|another shape"):
        load_checkpoint(saved, config)
