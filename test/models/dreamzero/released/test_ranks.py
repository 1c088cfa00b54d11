"""The branches of guidance on two processes: the numbers of one."""

import dataclasses
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

torch = pytest.importorskip("torch")

from safetensors.torch import load_file  # noqa: E402

from testing.foreign import until_answers  # noqa: E402
from testing.peers import free_port  # noqa: E402
from testing.policies import observation  # noqa: E402
from wam_ros.core.embodiment import load_embodiment  # noqa: E402
from wam_ros.core.errors import WamError  # noqa: E402
from wam_ros.core.policy import Request  # noqa: E402
from wam_ros.models import load_policy  # noqa: E402
from wam_ros.models.dreamzero.released.ranks import rank_of_environment  # noqa: E402
from wam_ros.models.dreamzero.released.rollout import Rollout  # noqa: E402
from wam_ros.models.dreamzero.released.speedups import SpeedUps  # noqa: E402

from .test_causal_dit import make_model  # noqa: E402
from .test_released import released  # noqa: E402, F401
from .test_rollout import FEW, Towers, planned, play  # noqa: E402

SCRIPT = Path(__file__).with_name("two_ranks.py")
ROOT = Path(__file__).resolve().parents[4]


@pytest.mark.long
def test_two_processes_predict_what_one_does_and_the_time_they_take_is_told(
    tmp_path, record_property
):
    file = tmp_path / "found.safetensors"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "MASTER_ADDR": "127.0.0.1"}
    environment |= {"MASTER_PORT": str(free_port()), "WORLD_SIZE": "2"}
    processes = [
        subprocess.Popen(
            [sys.executable, str(SCRIPT), str(file)], env={**environment, "RANK": str(rank)}
        )
        for rank in range(2)
    ]
    try:
        assert [p.wait(120) for p in processes] == [0, 0]
    finally:
        for process in processes:
            process.kill()
    found = load_file(file)
    speedups = dataclasses.replace(SpeedUps(), batched_guidance=False)
    one = Rollout(make_model(speedups=speedups), Towers(), "blurry", FEW, "sliding")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        began = time.perf_counter()
        chunks = [*play(one, 5), planned(one)]
        took = time.perf_counter() - began
    finally:
        torch.set_num_threads(threads)
    for k, chunk in enumerate(chunks):
        assert torch.equal(found[f"action {k}"], chunk.action)
        assert torch.equal(found[f"video {k}"], chunk.video)
    ratio = float(found["took"]) / took
    record_property("time of two processes, of that of one", ratio)
    print(f"two processes take {ratio:.2f} of the time of one")


ALONE = [sys.executable, "-m"]
TWO = [*ALONE, "torch.distributed.run", "--standalone", "--nproc_per_node=2", "-m"]


@pytest.mark.long
@pytest.mark.parametrize("launcher", [ALONE, TWO], ids=["alone", "torchrun"])
def test_a_released_folder_is_served_by_one_command(released, tmp_path, launcher):  # noqa: F811
    robot = load_embodiment("droid")
    description, folder = released
    apart = tmp_path / "apart.yaml"  # branches one after the other, as each process has one
    told = yaml.safe_load(Path(description).read_text())
    apart.write_text(
        yaml.safe_dump(told | {"inference": {"speedups": {"batched_guidance": False}}})
    )
    port = free_port()
    command = ["wam_ros.cli", "serve", "--model", str(apart), "--checkpoint", str(folder)]
    command += ["--embodiment", "droid", "--port", str(port)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen([*launcher, *command], env=environment)
    try:
        until_answers(process, port)
        remote = load_policy(f"ws://127.0.0.1:{port}", "", robot)
        local = load_policy(str(apart), str(folder), robot)
        for policy in (remote, local):
            policy.reset("pick up the cup")
        seen = observation(3, robot=robot)
        got, expected = (p.predict(seen, Request(step=0)) for p in (remote, local))
        assert got.positions.tobytes() == expected.positions.tobytes()
        assert got.frames.tobytes() == expected.frames.tobytes()
    finally:
        process.terminate()
        process.wait(30)


def test_guidance_of_one_branch_and_other_numbers_of_processes_are_refused(monkeypatch):
    sampling = dataclasses.replace(FEW, guidance=1.0)
    with pytest.raises(WamError, match="nothing for a second GPU"):
        Rollout(make_model(), Towers(), "", sampling, "sliding", ranks=object())
    monkeypatch.delenv("RANK", raising=False)
    assert rank_of_environment() is None
    monkeypatch.setenv("RANK", "2")
    monkeypatch.setenv("WORLD_SIZE", "3")
    with pytest.raises(WamError, match="--nproc_per_node=2, found 3"):
        rank_of_environment()
