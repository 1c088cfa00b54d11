"""`wam safety filter`: what it is given, what it says in one line when it cannot."""

from __future__ import annotations

import numpy as np

from testing.tools import CUBE, write_mesh
from wam_ros import cli
from wam_ros.core.embodiment import load_embodiment


def test_the_command_says_so_in_one_line(tmp_path, capsys):
    odd, world = (
        write_mesh(tmp_path / "odd.obj", [(x, y, 0.3 * x) for x, y, _ in CUBE]),
        tmp_path / "world.yaml",
    )
    world.write_text(
        f"obstacles: {{plate: {{shape: mesh, mesh: {odd}, size: [1, 1, 1], position: [2, 0, 0]}}}}"
    )
    home = np.array(load_embodiment("panda").home)[None]
    chunks = {"positions": home[None], "q0": home, "dq0": 0 * home, "step_period": 0.1}
    np.savez(
        tmp_path / "in.npz", **chunks, joint_names=np.array(load_embodiment("panda").joint_names)
    )
    words = ["safety", "filter", tmp_path / "in.npz", tmp_path / "out.npz", "--world", world]
    assert cli.main([str(w) for w in words]) == 2
    error = capsys.readouterr().err
    assert "obstacle 'plate'" in error
    assert error.count("\n") == 1
