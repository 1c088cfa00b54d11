"""`vla-eval` 0.8.0 judges our model by LIBERO itself, with the benchmark of tools/."""

import os
import subprocess

import pytest

pytest.importorskip("torch")

from testing.foreign import ROOT, program, wam_serve
from testing.libero import untrained

pytestmark = pytest.mark.foreign


@pytest.mark.parametrize("mode", [["mode=sync"], ["mode=live", "hz=10"]], ids=["sync", "live"])
def test_vla_eval_judges_an_episode_of_libero_s_own(tmp_path, mode):
    with wam_serve("--model", "libero", "--checkpoint", str(untrained(tmp_path))) as port:
        argv = [program("libero", "vla-eval"), "run", "--no-docker"]
        argv += ["--config", str(ROOT / "tools" / "vla_eval_libero.yaml")]
        argv += ["--server-url", f"ws://127.0.0.1:{port}/vla-eval", "--param", "max_steps=20"]
        for field in ("max_tasks=1", "episodes_per_task=1", *mode):
            argv += ["--benchmark-field", field]
        here = {**os.environ, "PYTHONPATH": str(ROOT / "tools")}
        ended = subprocess.run(
            argv, capture_output=True, text=True, timeout=600, env=here, cwd=tmp_path
        )
    assert ended.returncode == 0, ended.stderr[-3000:]
    assert "LiberoJoints: 0.0%" in ended.stdout
    assert "errored" not in ended.stdout
