"""`wam eval`: what it runs, what it keeps, what it counts, and what it refuses."""

import dataclasses
import importlib.util
import json
import subprocess

import numpy as np
import PIL.Image
import pytest

pytest.importorskip("mujoco")
pytest.importorskip("torch")
pytest.importorskip("pyarrow")

from wam_ros.core.embodiment import load_embodiment
from wam_ros.core.errors import WamError
from wam_ros.train import judging, through_nodes
from wam_ros.train.evaluate import Eval, main, policies_of, robot_of, tasks_of
from wam_ros.train.judging import Judged, summarise, worst

PANDA = load_embodiment("panda")
EXPERT = Eval(model=("expert",), task=("pick_block",), episodes=3)


def run(args, file):
    main(dataclasses.replace(args, json=file))
    return json.loads(file.read_text())


def test_an_interrupted_evaluation_goes_on_and_is_what_it_would_have_been(tmp_path, monkeypatch):
    whole = run(dataclasses.replace(EXPERT, workers=2, episodes=7), tmp_path / "whole.json")
    assert [row["outcome"] for row in whole["episodes"]] == ["success"] * 7
    assert [row["seed"] for row in whole["episodes"]] == list(range(900_000, 900_007))
    parts = run(EXPERT, tmp_path / "parts.json")
    assert parts["episodes"] == whole["episodes"][:3]
    really, again = judging.run_expert, []
    monkeypatch.setattr(judging, "run_expert", lambda *args: again.append(args[1]) or really(*args))
    assert run(dataclasses.replace(EXPERT, episodes=7), tmp_path / "parts.json") == whole
    assert again == list(range(900_003, 900_007))
    assert run(dataclasses.replace(EXPERT, episodes=7), tmp_path / "parts.json") == whole
    assert len(again) == 4


def test_every_policy_does_every_task_and_a_script_is_one():
    """What the robot's script reaches for is no block: it grasps none."""
    args = Eval(model=("expert", "reach"), task=("pick_block",), episodes=1, max_steps=20)
    found = judging.Judge(args, "panda")
    jobs = [judging.Job(judged, "pick_block", (900_000,)) for judged in policies_of(args)]
    rows = [row for rows in judging.run_jobs(found, jobs) for row in rows]
    assert [row["policy"] for row in rows] == ["expert", "reach"]
    assert rows[1]["outcome"] == "no grasp"
    assert rows[0]["instruction"] == rows[1]["instruction"]
    assert rows[1]["steps"] >= 20 >= rows[0]["steps"]


def test_weights_are_one_for_each_model_or_several_of_one_model():
    two = Eval(model=("a", "b"), checkpoint=("x", "y"))
    assert policies_of(two) == [Judged("a", "x"), Judged("b", "y")]
    assert policies_of(Eval(model=("a",), checkpoint=("x", "y", "x"))) == [
        Judged("a", "x"),
        Judged("a", "y"),
    ]
    assert policies_of(Eval(model=("a", "b", "a"))) == [Judged("a"), Judged("b")]
    assert [p.label for p in policies_of(two)] == ["a x", "b y"]
    with pytest.raises(WamError, match="names 1 files, --model 2: one for each"):
        policies_of(Eval(model=("a", "b"), checkpoint=("x",)))


def test_a_suite_is_all_its_tasks_and_the_robot_is_the_models_or_the_tasks():
    assert len(tasks_of(Eval(task=("libero_object", "libero_object/3")), PANDA)) == 10
    assert tasks_of(Eval(task=("auto", "reach")), PANDA) == ["pick_block", "reach"]
    assert robot_of(Eval(task=("libero_object/1",))) == "panda"  # of the model `tiny`
    assert robot_of(Eval(model=("expert",), task=("libero_object/1",))) == "libero_panda"
    assert robot_of(Eval(model=("expert", "reach"))) == "panda"
    assert robot_of(Eval(model=("reach",), embodiment="ur5e")) == "ur5e"


def rows(policy, task, *outcomes):
    return [
        {
            "policy": policy,
            "task": task,
            "outcome": outcome,
            "success": outcome == "success",
            "wrong": outcome == "wrong object",
            "steps": 10 + k,
            "violations": {"velocity": k},
        }
        for k, outcome in enumerate(outcomes)
    ]


def test_a_summary_counts_each_policy_and_task_and_all_tasks_together():
    some = [
        *rows("a", "t/0", "success", "dropped"),
        *rows("b", "t/0", "timeout"),
        *rows("a", "t/1", "success", "success", "wrong object", "no grasp"),
    ]
    found = summarise(some)
    assert [(s["policy"], s["task"], s["episodes"], s["success"]) for s in found] == [
        ("a", "t/0", 2, 0.5),
        ("a", "t/1", 4, 0.5),
        ("a", "all", 6, 0.5),
        ("b", "t/0", 1, 0.0),
    ]
    whole = found[2]
    assert whole["outcomes"] == {"success": 3, "wrong object": 1, "no grasp": 1, "dropped": 1}
    assert whole["success_95"] == pytest.approx([0.1876, 0.8124], abs=1e-3)
    assert whole["steps_to_success"] == pytest.approx((10 + 10 + 11) / 3, abs=0.05)
    assert whole["violations"] == {"velocity": 7}
    assert whole["wrong"] == pytest.approx(1 / 6)
    assert found[3]["steps_to_success"] is None


def test_a_file_with_another_evaluation_or_other_weights_is_left_alone(tmp_path):
    file = tmp_path / "eval.json"
    for text in ("no json", "[1]", '{"settings": {"every": 7}}'):
        file.write_text(text)
        with pytest.raises(WamError, match="holds what was not run with these arguments"):
            main(dataclasses.replace(EXPERT, json=file))
        assert file.read_text() == text
    file.unlink()
    args = Eval(model=("reach",), embodiment="panda", task=("reach",), episodes=1, max_steps=1)
    found = run(args, file)
    found["episodes"][0]["checkpoint_hash"] = "another"
    file.write_text(json.dumps(found))
    with pytest.raises(WamError, match="episodes of 'reach' with other weights"):
        main(dataclasses.replace(args, json=file, episodes=2))


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"task": ("pick_blok",)}, "Did you mean 'pick_block'"),
        ({"task": ("libero_objekt",)}, "Did you mean 'libero_object'"),
        ({"task": ()}, "--task names none"),
        ({"model": ()}, "--model names none"),
        ({"model": ("exprt",)}, "unknown model 'exprt'"),
        ({"workers": 0}, "--workers must be at least 1"),
        ({"max_steps": -1}, "--max-steps must be at least 0"),
        ({"task": ("libero_object/0",), "embodiment": "panda"}, "is for embodiment 'libero_panda'"),
        ({"checkpoint": ("a", "b"), "model": ("tiny", "tiny", "reach")}, "--checkpoint names 2"),
    ],
)
def test_what_cannot_be_evaluated_is_refused_before_anything_runs(more, said, monkeypatch):
    monkeypatch.setattr(judging.Judge, "run", lambda *_: pytest.fail("ran"))
    with pytest.raises(WamError, match=said):
        main(dataclasses.replace(EXPERT, **more))


@pytest.mark.skipif(
    importlib.util.find_spec("libero") is not None, reason="LIBERO is installed here"
)
def test_without_libero_its_tasks_say_how_to_get_it():
    with pytest.raises(WamError, match="needs LIBERO .* run `make libero`"):
        main(dataclasses.replace(EXPERT, task=("libero_object/0",)))


def test_an_error_in_another_process_is_its_sentence(monkeypatch):
    """The subclasses of our error cannot be unpickled: the pool would wait for ever."""
    args = dataclasses.replace(EXPERT, workers=2)
    judge = judging.Judge(args, "panda")
    jobs = [judging.Job(Judged("tinny"), "pick_block", (900_000,))]
    with pytest.raises(WamError, match="unknown model 'tinny'. Did you mean 'tiny'"):
        list(judging.run_jobs(judge, jobs))


def test_the_worst_episodes_are_of_every_outcome_in_turn():
    some = rows("a", "t", "success", "timeout", "timeout", "dropped", "wrong object", "stopped")
    assert [row["outcome"] for row in worst(some, 10)] == [
        *("stopped", "wrong object", "dropped", "timeout"),
        "timeout",
    ]
    assert [row["steps"] for row in worst(some, 3)] == [15, 14, 13]
    assert worst(rows("a", "t", "success"), 3) == []


def test_films_and_a_plot_are_of_what_was_judged(tmp_path):
    """The script reaches and lifts nothing: its episodes are filmed, the expert's are not."""
    ffmpeg = pytest.importorskip("imageio_ffmpeg")
    file, plot, films = tmp_path / "eval.json", tmp_path / "eval.png", tmp_path / "films"
    args = Eval(model=("expert", "reach"), task=("pick_block",), episodes=2)
    args = dataclasses.replace(args, plot=plot, film=films, films=1)
    found = run(args, file)
    (film,) = films.iterdir()
    assert film.name == "01-no-grasp-pick_block-900000.mp4"
    steps = next(r["steps"] for r in found["episodes"] if r["policy"] == "reach")
    assert ffmpeg.count_frames_and_secs(str(film)) == (steps, pytest.approx(steps / 10, rel=0.02))
    assert PIL.Image.open(plot).size[0] > 600
    assert found == run(Eval(**vars(args) | {"plot": None, "film": None}), tmp_path / "again.json")


def test_a_film_shows_what_was_imagined_beside_what_came(tmp_path):
    ffmpeg = pytest.importorskip("imageio_ffmpeg")
    args = Eval(task=("pick_block",), episodes=1, max_steps=9, film=tmp_path / "films")
    main(args)
    (film,) = args.film.iterdir()
    reader = ffmpeg.read_frames(str(film))
    width, height = next(reader)["size"]
    assert width > 2 * height / 2  # columns beside the camera's
    last = np.frombuffer(list(reader)[-1], np.uint8).reshape(height, width, 3)
    columns = [last[60:300, x : x + 250].std() for x in (8, 270)]
    assert min(columns) > 20  # pictures in both


@pytest.mark.ros
def test_through_the_nodes_the_same_policy_is_judged_behind_the_safety_filter(
    tmp_path, monkeypatch
):
    pytest.importorskip("rclpy")
    pytest.importorskip("wam_ros.msg")
    args = Eval(task=("pick_block",), episodes=1, loop="lockstep")
    run(args, tmp_path / "eval.json")
    began, really = [], subprocess.run
    monkeypatch.setattr(subprocess, "run", lambda *a, **k: began.append(a[0]) or really(*a, **k))
    found = run(dataclasses.replace(args, episodes=2), tmp_path / "eval.json")
    assert [command[command.index("--seed") + 1] for command in began] == ["900001"]
    assert [row["seed"] for row in found["episodes"]] == [900_000, 900_001]
    assert [row["outcome"] for row in found["episodes"]] == ["success"] * 2
    for row in found["episodes"]:
        assert row["decisions"]["pass"] >= 5
        assert row["stops"] == row["violations"] == {}
        assert row["checkpoint_hash"] == found["episodes"][0]["checkpoint_hash"]
    assert found["summary"][0]["success"] == 1.0


@pytest.mark.ros
def test_a_loop_that_does_not_complete_is_said_and_counts_as_nothing(tmp_path, monkeypatch):
    pytest.importorskip("rclpy")
    monkeypatch.setenv("RMW_IMPLEMENTATION", "rmw_of_nobody")
    args = Eval(task=("pick_block",), episodes=1, loop="lockstep")
    file = tmp_path / "eval.json"
    with pytest.raises(WamError, match="loop on 'pick_block' from seed 900000 ended early: .*rmw"):
        main(dataclasses.replace(args, json=file))
    assert not file.exists()


def test_seeds_that_do_not_count_up_are_runs_of_their_own():
    assert list(through_nodes._runs([3, 4, 5, 9, 11, 12])) == [(3, 3), (9, 1), (11, 2)]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"every": 8}, "--every is for --loop alone"),
        ({"imagine": False}, "--imagine is for --loop alone"),
        ({"model": ("expert",)}, "'expert' knows where everything is"),
        ({"loop": "nodes"}, "unknown loop 'nodes'.*alone, lockstep, realtime"),
    ],
)
def test_what_the_nodes_decide_is_not_asked_for(more, said):
    with pytest.raises(WamError, match=said):
        main(Eval(**{"task": ("pick_block",), "episodes": 1, "loop": "lockstep"} | more))
