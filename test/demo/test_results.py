import dataclasses
import io
import json

import pytest
from rich.console import Console

from wam_ros.core.errors import WamError
from wam_ros.demo.episodes import EpisodeResult
from wam_ros.demo.results import RunResults, print_results, summarise


def result(seed, outcome, steps=20, decisions=None, stops=None, violations=None):
    success, wrong = outcome == "success", outcome == "wrong object"
    return EpisodeResult(
        seed=seed,
        instruction="pick up the red block",
        outcome=outcome,
        success=success,
        wrong=wrong,
        nudged=False,
        duration_s=steps / 10,
        steps=steps,
        chunks=steps,
        decisions=decisions or {},
        stops=stops or {},
        violations=violations or {},
    )


EPISODES = (
    result(1, "success", 20, {"pass": 18, "scaled": 2}),
    result(2, "success", 30, {"pass": 30}, {"stale": 1}),
    result(3, "wrong object", 25),
    result(4, "timeout", 80, {"reject": 3}, {"stale": 1, "jerk": 2}, {"velocity": 4}),
)
RUN = RunResults(
    EPISODES,
    9.5,
    {"seed": 1},
    {"camera to command": {"n": 5, "p50_ms": 80.0, "p95_ms": 95.0, "p99_ms": 99.0}},
    {"front": {"+0.4 s": {"n": 3, "psnr_db": 23.5, "copy_last_psnr_db": 22.0, "gain_db": 1.5}}},
)
FIELDS = {
    "seed": int,
    "instruction": str,
    "outcome": str,
    "success": bool,
    "wrong": bool,
    "nudged": bool,
    "steps": int,
    "duration_s": float,
    "chunks": int,
    "decisions": dict,
    "stops": dict,
    "violations": dict,
    "note": str,
}


def test_summary_has_the_known_counts():
    s = summarise(EPISODES, 9.5)
    assert (s["episodes"], s["successes"], s["wrong"]) == (4, 2, 1)
    assert (s["success_rate"], s["wrong_rate"]) == (0.5, 0.25)
    assert s["mean_steps_of_successes"] == 25
    assert s["decisions"] == {"pass": 48, "reject": 3, "scaled": 2}
    assert s["stops"] == {"jerk": 2, "stale": 2}
    assert s["violations"] == {"velocity": 4}
    assert s["chunk_rate_hz"] == 9.5


def test_summary_of_no_episodes_divides_by_nothing():
    s = summarise((), 0.0)
    assert (s["success_rate"], s["success_rate_95"]) == (0.0, [0.0, 1.0])


def test_json_has_every_field_with_its_type(tmp_path):
    file = tmp_path / "run.json"
    RUN.write(str(file))
    document = json.loads(file.read_text())
    assert set(document) == {
        "schema",
        "completed",
        "failure",
        "settings",
        "episodes",
        "summary",
        "latency",
        "imagination",
    }
    assert (document["completed"], document["failure"]) == (True, "")
    assert document["latency"]["camera to command"]["p95_ms"] == 95.0
    assert document["imagination"]["front"]["+0.4 s"]["gain_db"] == 1.5
    for episode in document["episodes"]:
        assert {k: type(v) for k, v in episode.items()} == FIELDS
    assert [p.name for p in tmp_path.iterdir()] == ["run.json"]


def test_a_run_that_did_not_complete_says_why():
    document = dataclasses.replace(RUN, failure="sim_node was killed by SIGKILL").to_dict()
    assert (document["completed"], document["failure"]) == (False, "sim_node was killed by SIGKILL")


def test_an_unwritable_file_is_one_line(tmp_path):
    with pytest.raises(WamError, match="run.json cannot be written"):
        RUN.write(str(tmp_path / "absent" / "run.json"))


def test_tables_show_what_was_measured():
    out = io.StringIO()
    print_results(RUN, Console(file=out, width=200))
    text = out.getvalue()
    for shown in (
        "2/4",
        "50%",
        "another object lifted 1",
        "velocity 4",
        "stale 1, jerk 2",
        "9.5 chunks/s",
        "95.0",
        "1.50",
    ):
        assert shown in text
