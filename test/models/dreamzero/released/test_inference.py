"""What a user can ask for in a model's file: read, refused by name, and done."""

import dataclasses
import functools

import pytest
import yaml

torch = pytest.importorskip("torch")

from testing.released import TINY  # noqa: E402
from wam_ros.core.errors import WamError  # noqa: E402
from wam_ros.core.resources import config_names, config_path  # noqa: E402
from wam_ros.models import load_policy  # noqa: E402
from wam_ros.models.dreamzero.released import inference  # noqa: E402
from wam_ros.models.dreamzero.released.dit_config import load_dit_config  # noqa: E402
from wam_ros.models.dreamzero.released.inference import Inference, load_inference  # noqa: E402
from wam_ros.models.dreamzero.released.speedups import SpeedUps  # noqa: E402
from wam_ros.models.dreamzero.shared.float8 import Float8Linear, require_float8  # noqa: E402
from wam_ros.models.dreamzero.shared.packed import PackedLinear  # noqa: E402
from wam_ros.models.processor import processor  # noqa: E402

from .test_released import droid, observe, released, run  # noqa: E402, F401


@pytest.fixture
def described(tmp_path):
    """Path of the tiny model's description with a part `inference`."""

    def write(part):
        path = tmp_path / "described.yaml"
        path.write_text(
            yaml.safe_dump(
                yaml.safe_load(yaml.safe_dump(plain(dataclasses.asdict(TINY.dit)))) | part
            )
        )
        return str(path)

    return write


def plain(tree):
    """Without tuples, which YAML does not know."""
    return {k: plain(v) for k, v in tree.items()} if isinstance(tree, dict) else tree


def test_every_shipped_released_model_runs_as_the_server_does():
    names = [
        n
        for n in config_names("models")
        if yaml.safe_load(config_path("models", n).read_text())["family"] == "dreamzero-released"
    ]
    assert len(names) == 3
    for name in names:
        assert load_inference(name) == Inference()


def test_what_is_named_is_taken_and_the_sizes_stay(described):
    path = described(
        {
            "inference": {
                "history": "sliding",
                "precision": "bfloat16",
                "float8": True,
                "sampling": {"evaluations": 5, "guidance": 1.0},
                "speedups": {"fp32_rope": False},
            }
        }
    )
    found = load_inference(path)
    assert (found.history, found.float8, found.dtype("cpu")) == ("sliding", True, torch.bfloat16)
    assert (found.sampling.evaluations, found.sampling.guidance, found.sampling.steps) == (
        5,
        1.0,
        16,
    )
    assert found.speedups == dataclasses.replace(SpeedUps(), fp32_rope=False)
    assert load_dit_config(path) == TINY.dit


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ({"histroy": "sliding"}, "unknown key 'histroy'. Did you mean 'history'"),
        ({"history": "slide"}, "unknown history 'slide'.*newest, reference, sliding"),
        ({"precision": "float8"}, "unknown precision 'float8'.*bfloat16, float32"),
        ({"speedups": {"cached_contexts": False}}, "Did you mean 'cached_context'"),
        ({"sampling": {"solver": "ddim"}}, "unknown solver 'ddim'.*euler, unipc"),
        (
            {"sampling": {"evaluations": 3}},
            "inference: 3 evaluations of 16 steps have no table; choose 16 or one of 5",
        ),
        ({"sampling": {"steps": 0}}, "steps >= 1"),
        ({"sampling": {"last_video_level": 1.0}}, "last_video_level must be in"),
        ({"sampling": {"solver": "euler", "last_video_level": 0.8}}, "needs the solver 'unipc'"),
        ({"float8": "yes"}, "inference.float8: expected bool"),
        ([], "expected a mapping"),
    ],
)
def test_what_there_is_not_is_refused_by_name_with_the_choices(described, part, message):
    path = described({"inference": part})
    with pytest.raises(WamError, match=message) as raised:
        load_inference(path)
    assert path in str(raised.value)


def load(released, droid, path, **asked):  # noqa: F811
    return load_policy(path, str(released[1]), droid, **asked)


def matrix(policy):
    return policy.rollout.model.blocks[0].ffn[0]


def test_a_policy_is_loaded_as_its_description_says(released, droid, described):  # noqa: F811
    path = described(
        {
            "inference": {
                "history": "sliding",
                "precision": "bfloat16",
                "sampling": {"evaluations": 6},
                "speedups": {"packed_weights": False, "merged_padding": False},
            }
        }
    )
    policy = load(released, droid, path)
    assert policy.rollout.history.rule == "sliding" and policy.rollout.model.dtype == torch.bfloat16
    assert not policy.rollout.model.speedups.merged_padding and isinstance(
        matrix(policy), torch.nn.Linear
    )
    policy.reset("pick up the cup")
    outputs = run(policy, droid, 96)
    assert {o.evaluations for o in outputs} == {6}
    # a fifth block, in a window of four that did not begin anew
    assert policy.rollout.history.start == 9
    assert load(released, droid, path, steps=8).rollout.sampling.evaluations == 8


def test_every_speedup_off_gives_the_same_targets(released, droid, described):  # noqa: F811
    off = dataclasses.asdict(SpeedUps.none())
    fast, slow = (
        load(released, droid, described({})),
        load(released, droid, described({"inference": {"speedups": off}})),
    )
    assert isinstance(matrix(fast), PackedLinear) == processor().packs(torch.float32)
    assert isinstance(matrix(slow), torch.nn.Linear)
    for policy in (fast, slow):
        policy.reset("pick up the cup")
    for a, b in zip(run(fast, droid, 48), run(slow, droid, 48), strict=True):
        torch.testing.assert_close(
            torch.from_numpy(a.positions), torch.from_numpy(b.positions), atol=1e-5, rtol=0
        )


def test_8_bits_are_asked_for_by_name(released, droid, described):  # noqa: F811
    policy = load(released, droid, described({"inference": {"float8": True}}))
    assert isinstance(matrix(policy), Float8Linear)
    policy.reset("pick up the cup")
    assert torch.from_numpy(policy.predict(observe(droid, 0)).positions).isfinite().all()


def test_8_bits_are_refused_where_the_kernel_does_not_run(monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _device: (8, 9))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _device: "Old One")
    with pytest.raises(WamError, match=r"compute capability 9.0, Old One has 8.9"):
        require_float8(torch.device("cuda"), torch.bfloat16)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _device: (9, 0))
    with pytest.raises(WamError, match="precision bfloat16"):
        require_float8(torch.device("cuda"), torch.float32)


def test_compiling_is_done_when_the_policy_is_loaded_and_not_in_the_loop(
    released,  # noqa: F811
    droid,  # noqa: F811
    described,
    monkeypatch,
):
    graphs = []

    def count(graph, _inputs):
        graphs.append(graph)
        return graph.forward

    torch._dynamo.reset()
    monkeypatch.setattr(
        inference,
        "compile_denoising",
        functools.partial(inference.compile_denoising, backend=count),
    )
    policy = load(released, droid, described({"inference": {"compile": True}}))
    assert isinstance(matrix(policy), torch.nn.Linear)
    made = len(graphs)
    assert made > 0
    policy.reset("pick up the cup")
    run(policy, droid, 96)
    assert len(graphs) == made
