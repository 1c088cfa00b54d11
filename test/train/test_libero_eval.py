"""`wam eval` on LIBERO's tasks; test/foreign/test_libero.py runs it where LIBERO is installed."""

import json

import pytest

pytest.importorskip("libero")
pytest.importorskip("torch")

from wam_ros import cli

pytestmark = pytest.mark.foreign
TASKS = ["libero_object/1", "libero_spatial/2"]


def evaluate(file, *words):
    said = ["eval", "--task", *TASKS, "--json", str(file), *words]
    assert cli.main(said) == 0
    return json.loads(file.read_text())


def test_libero_judges_scripts_in_its_own_scenes_and_what_is_done_is_not_done_again(tmp_path):
    file = tmp_path / "eval.json"
    first = evaluate(file, "--model", "expert", "--episodes", "1")
    assert [row["outcome"] for row in first["episodes"]] == ["success"] * 2
    both = evaluate(file, "--model", "expert", "--episodes", "2")
    assert both["episodes"][:2] == first["episodes"]
    assert [(row["task"], row["seed"]) for row in both["episodes"]] == [
        (task, seed) for seed in (900_000, 900_001) for task in TASKS
    ]
    assert all(row["success"] and not row["violations"] for row in both["episodes"])
    assert "basket" in both["episodes"][0]["instruction"]
    assert both["summary"][-1]["task"] == "all"
    assert both["summary"][-1]["success_95"][1] == 1.0


def test_what_grasps_nothing_is_said_to_grasp_nothing(tmp_path):
    """The script that moves a robot without a model, by chunks that come late, as a model would."""
    found = evaluate(
        tmp_path / "eval.json", "--model", "reach", "--episodes", "1", "--max-steps", "12"
    )
    assert [row["outcome"] for row in found["episodes"]] == ["no grasp"] * 2
    assert all(12 <= row["steps"] < 20 for row in found["episodes"])
