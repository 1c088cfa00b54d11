"""`wam adapt`: what it says, what it leaves, and what it refuses."""

import dataclasses

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("mujoco")
pytest.importorskip("pyarrow")
pytest.importorskip("av")

from wam_ros.core.embodiment import load_embodiment  # noqa: E402
from wam_ros.core.errors import WamError  # noqa: E402
from wam_ros.core.resources import share_dir  # noqa: E402
from wam_ros.core.types import NS  # noqa: E402
from wam_ros.data.episodes import Episode  # noqa: E402
from wam_ros.data.lerobot.writer import LeRobotWriter  # noqa: E402
from wam_ros.models import load_policy  # noqa: E402
from wam_ros.models.dreamzero.released.dit_config import load_dit_config  # noqa: E402
from wam_ros.models.dreamzero.small.config import load_model_config  # noqa: E402
from wam_ros.models.dreamzero.small.load import load_checkpoint  # noqa: E402
from wam_ros.train.adapt import Adapt, adapted, main  # noqa: E402
from wam_ros.train.budget import GPUS, Way, released_cost  # noqa: E402
from wam_ros.train.closed_loop import make_observation  # noqa: E402
from wam_ros.train.record import describe  # noqa: E402

ROBOT = load_embodiment("so101")
ROWS = 12


def record(folder, episodes, sentence="reach the red marker", actions=True):
    about = dataclasses.replace(describe(ROBOT), extra={})
    if not actions:
        about = dataclasses.replace(about, joint_names=(), action_names=())
    rng = np.random.default_rng(0)
    with LeRobotWriter(folder, about, "lossless") as writer:
        for _ in range(episodes):
            states = np.array(ROBOT.home) + np.cumsum(rng.normal(0, 0.01, (ROWS, 6)), 0)
            shade = np.linspace(0, 255, ROWS).astype(np.uint8)[:, None, None, None]
            frames = np.broadcast_to(shade, (ROWS, 64, 64, 3))
            more = {"states": states, "actions": np.roll(states, -1, 0)} if actions else {}
            episode = Episode(
                stamps_s=np.arange(ROWS) / 10, instructions=(sentence,) * ROWS, **more
            )
            writer.add(episode, dict.fromkeys(ROBOT.view_names, frames))
    return folder


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("so101")
    return record(folder / "acted", 10), record(folder / "seen", 2, actions=False)


def test_a_robot_that_the_shipped_model_never_saw_is_driven_by_what_is_left(data, tmp_path, capsys):
    acted, seen = data
    out = tmp_path / "out"
    args = Adapt("so101", acted, out, video_only=seen, steps=2, batch=2, threads=1)
    main(dataclasses.replace(args, dry_run=True))
    said = capsys.readouterr().out
    assert not out.exists() and "all weights" in said and "minutes here" in said
    main(args)
    policy = load_policy(str(out / "so101.yaml"), str(out / "so101.safetensors"), ROBOT)
    policy.reset("reach the red marker")
    frames = np.zeros((2, 64, 64, 3), np.uint8)
    found = policy.predict(make_observation(ROBOT, NS, frames, np.array(ROBOT.home)))
    assert found.positions.shape == (8, 6) and np.isfinite(found.positions).all()
    card = (out / "so101.md").read_text()
    assert "Before and after" in card and "held-out action" in card
    assert "steps with an action | 120 of 144" in card
    base = load_model_config("tiny")
    old = load_checkpoint(share_dir() / base.weights, base)
    config = load_model_config(str(out / "so101.yaml"))
    new = load_checkpoint(out / "transferred.safetensors", config)
    known = len(base.text.vocabulary) + 1
    for name, x in new.model.state_dict().items():
        y = old.model.state_dict()[name]
        if x.shape == y.shape:
            torch.testing.assert_close(x, y, rtol=1e-3, atol=1e-6)
        elif name == "text_encoder.embedding.weight":
            torch.testing.assert_close(x[:known], y, rtol=1e-3, atol=1e-6)
        else:
            assert name.startswith(("action_", "state_")), name
    assert config.text.vocabulary[:13] == base.text.vocabulary
    assert set(config.text.vocabulary[13:]) == {"marker", "reach"}


def test_a_chunk_that_does_not_split_into_frames_is_refused():
    odd = dataclasses.replace(ROBOT, action_horizon=9)
    with pytest.raises(WamError, match="action_horizon 9 is not a multiple of the 2 frames"):
        adapted(load_model_config("tiny"), odd, ["pick up the red block"])


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"low_rank": 4}, "was made for other joints, .* all weights must be trained"),
        ({"embodiment": "so102"}, "Did you mean 'so101'"),
        ({"embodiment": "panda"}, "joints .*, not those of panda"),
        ({"model": "reach"}, "unknown family that can be adapted 'reach'"),
        ({"batch": 0}, "--batch must be at least 1"),
        ({"episodes": 1, "task": "pick"}, "unknown task 'pick'"),
        ({"model": "dreamzero-14b", "gpu": "h20"}, "unknown GPU 'h20'"),
    ],
)
def test_what_cannot_work_is_refused_before_anything_is_written(data, tmp_path, given, words):
    usual = {"embodiment": "so101", "data": data[0], "out": tmp_path / "out", "steps": 1}
    with pytest.raises(WamError, match=words):
        main(Adapt(**(usual | given)))
    assert not (tmp_path / "out").exists()


def test_the_cost_of_the_released_models_is_said_without_their_weights(data, tmp_path, capsys):
    out = tmp_path / "out"
    main(Adapt("droid", data[0], out, model="dreamzero-14b", gpu="h200", dry_run=True))
    said = capsys.readouterr().out
    assert "16.50 billion, 109 million of them trained" in said and "of 141 GiB" in said
    assert not out.exists()


def test_parameters_are_those_of_the_reference_and_all_weights_cost_more():
    updates = released_cost(load_dit_config("dreamzero-14b"), Way(4))
    whole = released_cost(load_dit_config("dreamzero-14b"), Way())
    assert updates.parameters - 19_169_280 == 16_484_292_448 == whole.trained
    assert round(updates.trained / 1e5) == 1086
    assert updates.total_gib < GPUS["h200"].gib < whole.total_gib
    assert whole.flop > 1.3 * updates.flop
    shared = released_cost(load_dit_config("dreamzero-14b"), Way(gpus=8))
    assert shared.total_gib < 0.5 * whole.total_gib
