"""Commands that make and measure a model refuse what cannot work in one line, before they begin."""

import numpy as np
import pytest

from wam_ros import cli
from wam_ros.core.resources import share_dir

pytest.importorskip("torch")
pytest.importorskip("mujoco")
save_file = pytest.importorskip("safetensors.numpy").save_file


@pytest.fixture
def refused(capsys):
    def run(*words):
        assert cli.main([str(word) for word in words]) == 2
        said = capsys.readouterr()
        assert said.err.startswith("wam: ")
        assert said.err.count("\n") == 1
        assert said.out == ""
        return said.err

    return run


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["record-sim", "--out", "/proc/x"], "--out /proc/x cannot be written"),
        (["record-sim", "--out", "/proc/x", "--episodes", "0"], "--episodes must be at least 1"),
        (["record-sim", "--out", "/proc/x", "--workers", "0"], "--workers must be at least 1"),
        (["record-sim", "--out", "/proc/x", "--burst", "nan"], "--burst must be between 0 and 1"),
        (["train", "--data", "/nowhere", "--out", "/proc/x"], "no data set in '/nowhere'"),
        (
            ["train", "--data", "/nowhere", "--out", "/proc/x", "--batch", "0"],
            "--batch must be at least 1",
        ),
        (
            ["train", "--data", "/nowhere", "--out", "/proc/x", "--no-act", "--no-imagine"],
            "--no-act and --no-imagine leave nothing to learn",
        ),
        (
            ["train", "--data", "/nowhere", "--out", "/proc/x", "--no-act", "--held-out", "0.1"],
            "--held-out measures demonstrations",
        ),
        (
            [
                "train",
                "--data",
                "/nowhere",
                "--out",
                "/proc/x",
                "--model",
                "dreamzero-14b",
                "--no-act",
            ],
            "--no-act is for the small model",
        ),
        (["eval", "--json", "/proc/x.json"], "--json /proc/x.json cannot be written"),
        (["eval", "--episodes", "-1"], "--episodes must be at least 0"),
        (["eval", "--chunking", "gided"], "Did you mean 'guided'?"),
        (["eval", "--candidates", "0"], "--candidates must be at least 1"),
        (["eval", "--candidates", "17"], "predicts at most 16"),
        (["eval", "--value", "goal_image"], "Choices: consensus, outlook, smoothness"),
        (
            ["eval", "--candidates", "2", "--memory", "imagined"],
            "memory imagined go on from what one chunk imagined",
        ),
        (["eval", "--candidates", "2", "--no-imagine"], "and that is left out"),
        (["eval", "--model", "reach", "--no-imagine"], "cannot leave out what it imagines"),
        (["eval", "--memory", "imagine"], "Did you mean 'imagined'?"),
        (["eval", "--model", "tyni"], "Did you mean 'tiny'?"),
        (["eval", "--checkpoint", "/nowhere.safetensors"], "'/nowhere.safetensors' does not exist"),
        (["bench", "--chunks", "0"], "--chunks must be at least 1"),
        (["bench", "--embodiment", "so101"], "was trained for 'panda', not for 'so101'"),
        (["bench", "--instruction", ""], "the instruction is empty"),
        (["bench", "--instruction", "fly away"], "never learned 'fly', 'away'"),
        (["latency", "--seconds", "0"], "--seconds must be between"),
        (["latency", "--json", "/proc/x"], "--json /proc/x cannot be written"),
    ],
)
def test_what_cannot_work_is_one_line_and_code_2(words, said, refused):
    assert said in refused(*words)


@pytest.mark.parametrize("bytes_kept", [0, 5, 1000, 1_000_000])
def test_a_truncated_checkpoint_is_named(bytes_kept, refused, tmp_path):
    path = tmp_path / "cut.safetensors"
    path.write_bytes((share_dir() / "weights" / "tiny.safetensors").read_bytes()[:bytes_kept])
    assert "cut.safetensors' is not a whole safetensors file" in refused(
        "eval", "--checkpoint", path
    )


def test_a_foreign_checkpoint_is_named(refused, tmp_path):
    path = tmp_path / "foreign.safetensors"
    save_file({"weight": np.zeros(3, np.float32)}, path)
    assert "foreign.safetensors' was not written by wam_ros" in refused(
        "eval", "--checkpoint", path
    )
