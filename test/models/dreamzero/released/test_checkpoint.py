"""Checkpoints of the released layout: they come back bit for bit, and what is wrong is named."""

import dataclasses
import json
import pickle
import subprocess
import sys

import pytest

torch = pytest.importorskip("torch")

from safetensors.torch import load_file, save_file  # noqa: E402

from testing.released import TINY, same, tiny_network  # noqa: E402
from wam_ros.core.errors import WamError  # noqa: E402
from wam_ros.models.dreamzero.released.checkpoint import (  # noqa: E402
    PREFIX,
    ReleasedModel,
    open_checkpoint,
    save_checkpoint,
)
from wam_ros.models.dreamzero.released.fill import fill  # noqa: E402
from wam_ros.models.dreamzero.released.weight_files import open_weights  # noqa: E402

CPU = torch.device("cpu")
NAME = f"{PREFIX}model.blocks.1.ffn.0.weight"


@pytest.fixture(scope="module")
def network():
    return tiny_network()


@pytest.fixture
def folder(tmp_path, network):
    save_checkpoint(tmp_path, network, TINY, metadata={"x": {}}, conf={"a": 1}, shard_bytes=60_000)
    return tmp_path


def shards(folder):
    return sorted(folder.glob("model-*.safetensors"))


def shard_of(folder, name):
    return (
        folder
        / json.loads((folder / "model.safetensors.index.json").read_text())["weight_map"][name]
    )


def rewrite(path, change):
    tensors = load_file(path)
    change(tensors)
    path.unlink()
    save_file(tensors, path)


def test_a_sharded_checkpoint_comes_back_bit_for_bit(folder, network):
    assert len(shards(folder)) > 3
    checkpoint = open_checkpoint(folder, TINY.dit)
    assert (
        checkpoint.config == TINY
        and checkpoint.metadata == {"x": {}}
        and checkpoint.trained.conf == {"a": 1}
    )
    restored = checkpoint.load(CPU, torch.float32)
    same(restored, network)
    save_checkpoint(folder / "again", restored, checkpoint.config, shard_bytes=60_000)
    for path in shards(folder):
        a, b = load_file(path), load_file(folder / "again" / path.name)
        assert a.keys() == b.keys() and all(torch.equal(a[n], b[n]) for n in a)


def test_weights_arrive_in_the_wanted_arithmetic(folder, network):
    restored = open_checkpoint(folder, TINY.dit).load(CPU, torch.bfloat16)
    for (name, x), y in zip(
        network.state_dict().items(), restored.state_dict().values(), strict=True
    ):
        assert torch.equal(x.bfloat16(), y), name


def test_one_file_is_a_checkpoint_too(tmp_path, network):
    save_checkpoint(tmp_path, network, TINY)
    (path,) = shards(tmp_path)
    path.rename(tmp_path / "model.safetensors")
    (tmp_path / "model.safetensors.index.json").unlink()
    same(open_checkpoint(tmp_path, TINY.dit).load(CPU, torch.float32), network)


def test_digest_tells_weights_apart(folder):
    before = open_checkpoint(folder, TINY.dit).digest
    assert before == open_checkpoint(folder, TINY.dit).digest and len(before) == 16
    rewrite(shard_of(folder, NAME), lambda t: t[NAME].add_(1))
    assert open_checkpoint(folder, TINY.dit).digest != before


def load(folder):
    return open_checkpoint(folder, TINY.dit).load(CPU, torch.float32)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.pop(NAME), f"lacks tensor '{NAME}', which model.safetensors.index.json"),
        (lambda t: t.update(extra=torch.zeros(1)), "holds tensor 'extra', which"),
        (
            lambda t: t.update({NAME: t[NAME][:3].clone()}),
            rf"'{NAME}' is \[3, 48\], expected \[64, 48\]",
        ),
    ],
)
def test_a_shard_that_does_not_fit_is_refused_by_file_and_key(folder, change, message):
    path = shard_of(folder, NAME)
    rewrite(path, change)
    with pytest.raises(WamError, match=message) as caught:
        load(folder)
    assert path.name in str(caught.value)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_weights_that_are_not_finite_are_refused_by_tensor(folder, value, dtype):
    path = shard_of(folder, NAME)
    rewrite(path, lambda t: t[NAME].__setitem__((3, 5), value))
    with pytest.raises(WamError, match=rf"{path.name}: tensor '{NAME}' holds numbers that are not"):
        open_checkpoint(folder, TINY.dit).load(CPU, dtype)


def test_weights_too_large_for_their_new_precision_are_refused(folder):
    path = shard_of(folder, NAME)
    rewrite(path, lambda t: t.update({NAME: torch.full((64, 48), 1e300, dtype=torch.float64)}))
    with pytest.raises(WamError, match=f"'{NAME}' holds numbers that are not finite in float32"):
        load(folder)


@pytest.mark.parametrize(
    ("dtype", "kind"),
    [(torch.int8, "I8"), (torch.float8_e4m3fn, "F8_E4M3"), (torch.int64, "I64")],
)
def test_quantised_weights_are_refused_by_tensor_before_anything_is_loaded(folder, dtype, kind):
    rewrite(shard_of(folder, NAME), lambda t: t.update({NAME: t[NAME].to(dtype)}))
    with pytest.raises(WamError, match=f"tensor '{NAME}' is {kind}: quantised or integer"):
        load(folder)


def test_a_pickle_of_integers_is_refused_too(tmp_path):
    torch.save({"w": torch.zeros(2, dtype=torch.int8)}, tmp_path / "w.pth")
    net = torch.nn.ParameterDict({"w": torch.zeros(2)})
    files = [(open_weights(tmp_path / "w.pth"), lambda name: name)]
    with pytest.raises(WamError, match="tensor 'w' is torch.int8"):
        fill(net, files, CPU, torch.float32)


@pytest.mark.parametrize(
    "wrap",
    [
        lambda n: f"module.{n}",
        lambda n: n.replace(f"{PREFIX}model.", f"{PREFIX}model._orig_mod."),
        lambda n: f"_orig_mod.module.{n}",
        lambda n: f"module._orig_mod.{n}",
    ],
)
def test_what_training_wrapped_around_the_network_is_taken_off(tmp_path, network, wrap):
    save_checkpoint(tmp_path, network, TINY)
    (path,) = shards(tmp_path)
    save_file({wrap(n): t for n, t in load_file(path).items()}, tmp_path / "model.safetensors")
    (tmp_path / "model.safetensors.index.json").unlink()
    same(load(tmp_path), network)


def test_two_names_of_one_tensor_are_refused(tmp_path, network):
    save_checkpoint(tmp_path, network, TINY)
    (path,) = shards(tmp_path)
    tensors = load_file(path)
    save_file(tensors | {f"module.{NAME}": tensors[NAME] + 1}, tmp_path / "model.safetensors")
    (tmp_path / "model.safetensors.index.json").unlink()
    with pytest.raises(WamError, match="are both 'model.blocks.1.ffn.0.weight'"):
        load(tmp_path)


@pytest.mark.parametrize("name", ["", "config.json", "model.safetensors.index.json"])
def test_a_git_lfs_pointer_is_called_one(folder, name):
    path = folder / name if name else shards(folder)[1]
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5368709120\n")
    with pytest.raises(WamError, match=f"{path.name}' is a Git LFS pointer.*git lfs pull"):
        load(folder)


def test_a_key_missing_everywhere_and_one_that_belongs_nowhere(folder):
    index = folder / "model.safetensors.index.json"
    data = json.loads(index.read_text())
    path = folder / data["weight_map"].pop(NAME)
    rewrite(path, lambda t: t.pop(NAME))
    index.write_text(json.dumps(data))
    with pytest.raises(WamError, match=r"lacks tensor 'model.blocks.1.ffn.0.weight' \[64, 48\]"):
        load(folder)
    for name in ("surplus.weight", f"{PREFIX}model.surplus"):
        data["weight_map"][name] = path.name
        index.write_text(json.dumps(data))
        rewrite(path, lambda t, name=name: t.update({name: torch.zeros(2)}))
        with pytest.raises(
            WamError, match=rf"{path.name}: tensor '{name}' \[2\] belongs to nothing"
        ):
            load(folder)
        rewrite(path, lambda t, name=name: t.pop(name))
        data["weight_map"].pop(name)


def test_truncated_missing_and_foreign_files_are_refused(folder):
    first, second = shards(folder)[:2]
    first.write_bytes(first.read_bytes()[:-100])
    with pytest.raises(WamError, match=f"{first.name}' are not a whole safetensors file"):
        load(folder)
    first.write_text("weights")
    with pytest.raises(WamError, match="not a whole safetensors file"):
        load(folder)
    first.unlink()
    with pytest.raises(WamError, match=f"{first.name}' do not exist"):
        load(folder)
    with pytest.raises(WamError, match="not a folder"):
        open_checkpoint(second, TINY.dit)
    with pytest.raises(WamError, match="neither"):
        open_weights(folder / "config.json")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "config.json"),
        ("[]", "expected an object, found list"),
        (
            '{"architectures": ["LlamaForCausalLM"]}',
            "no DreamZero checkpoint; found: architectures",
        ),
        (
            '{"action_head_cfg": {"config": {"diffusion_model_cfg": {"dim": 48}}}}',
            "diffusion_model_cfg lacks",
        ),
    ],
)
def test_another_family_is_refused(folder, text, message):
    (folder / "config.json").write_text(text)
    with pytest.raises(WamError, match=message):
        load(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"lora_rank": 0, "lora_alpha": 4}, "lora_rank must be a whole number above 0.*found 0"),
        ({"lora_rank": 4, "lora_alpha": "one"}, "found 4 and 'one'"),
        ({"lora_alpha": 8}, "found None and 8"),
        ({"diffusion_model_cfg": {"dim": "48"}}, "dim is '48', but the model 'tiny14' has 48"),
        ({"diffusion_model_cfg": {"num_heads": 0}}, "num_heads is 0, but"),
    ],
)
def test_a_description_with_impossible_numbers_is_refused(folder, change, message):
    path = folder / "config.json"
    data = json.loads(path.read_text())
    head = data["action_head_cfg"]["config"]
    for key, value in change.items():
        head[key] = head[key] | value if isinstance(value, dict) else value
    path.write_text(json.dumps(data))
    with pytest.raises(WamError, match=message):
        load(folder)


def test_sizes_of_the_towers_are_a_mapping(folder):
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"wam_ros": [1]}))
    with pytest.raises(WamError, match="wam_ros: expected an object, found list"):
        load(folder)


def test_another_size_than_the_model_described_is_refused(folder):
    transformer = dataclasses.replace(TINY.dit.transformer, num_layers=3)
    with pytest.raises(WamError, match="num_layers is 2, but the model 'tiny14' has 3"):
        open_checkpoint(folder, dataclasses.replace(TINY.dit, transformer=transformer))


@pytest.mark.parametrize(
    "text", ["{}", '{"weight_map": {}}', '{"weight_map": {"a": "../b.safetensors"}}', "x"]
)
def test_a_damaged_index_is_refused(folder, text):
    (folder / "model.safetensors.index.json").write_text(text)
    with pytest.raises(WamError, match="model.safetensors.index.json"):
        load(folder)


class Evil:
    def __reduce__(self):
        return print, ("code from a checkpoint ran",)


def test_a_pickle_is_never_executed(tmp_path, capsys):
    torch.save({"a": Evil()}, tmp_path / "evil.pth")
    (tmp_path / "raw.pth").write_bytes(pickle.dumps(Evil()))
    torch.save([torch.zeros(1)], tmp_path / "list.pth")
    for name in ("evil", "raw", "list"):
        with pytest.raises(WamError, match=f"{name}.pth"):
            open_weights(tmp_path / f"{name}.pth")
    assert "code from" not in capsys.readouterr().out


def test_nothing_stays_without_memory(folder):
    assert not any(t.is_meta for t in load(folder).state_dict().values())
    with torch.device("meta"):
        assert all(t.is_meta for t in ReleasedModel(TINY).state_dict().values())


MEASURE = """
import sys, torch
from pathlib import Path
from torch import nn
import wam_ros.models.dreamzero.released.fill as module
from wam_ros.models.dreamzero.released.weight_files import find_weights

folder, mode = Path(sys.argv[1]), sys.argv[2]
files = find_weights(folder)
with torch.device("meta"):
    shapes = {n: s for f in files for n, s in f.shapes.items()}
    net = nn.ParameterDict({n: torch.empty(s, dtype=torch.bfloat16) for n, s in shapes.items()})
# every byte is read, then dropped: what arrives is no longer in the host's memory
if mode == "device":
    module._assign = lambda network, name, value: float(value.float().sum())

def resident(field):
    fields = dict(line.split(":", 1) for line in open("/proc/self/status"))
    return int(fields[field].split()[0]) * 1024

start = resident("VmRSS")
module.fill(net, [(f, lambda n: n) for f in files], torch.device("cpu"), torch.bfloat16)
# the kernel keeps the highest there was; other than ru_maxrss it begins with exec
print(resident("VmHWM") - start)
"""


@pytest.mark.long
@pytest.mark.parametrize("mode", ["device", "mapped"])
def test_loading_two_gigabytes_needs_less_than_two_shards_of_host_memory(tmp_path, root, mode):
    """A device takes every tensor away, a CPU keeps them mapped: neither has more of them in memory
    at any time.
    """
    shard, n = 500_000_000, 4
    weight_map = {}
    for i in range(n):
        tensors = {
            f"w{i}_{j}": torch.full((1000, 25_000), float(i + j), dtype=torch.bfloat16)
            for j in range(10)
        }
        save_file(tensors, tmp_path / f"model-{i}.safetensors")
        weight_map |= dict.fromkeys(tensors, f"model-{i}.safetensors")
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, str(tmp_path), mode],
        capture_output=True,
        text=True,
        cwd=root,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    resident = int(done.stdout)
    print(f"{mode}: resident {resident / 1e6:.0f} MB, shard {shard / 1e6:.0f} MB")
    assert resident < 2 * shard
