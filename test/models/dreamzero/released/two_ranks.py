"""One of two processes, with what torchrun says in its environment: `two_ranks.py FILE`."""

import sys
import time
from pathlib import Path

import torch
from safetensors.torch import save_file

from wam_ros.models.dreamzero.released.ranks import Ranks, rank_of_environment
from wam_ros.models.dreamzero.released.rollout import Rollout
from wam_ros.models.dreamzero.released.speedups import SpeedUps

sys.path[0] = str(Path(__file__).parents[1])  # the folder that the tests beside this one are in
from released.test_causal_dit import make_model  # noqa: E402
from released.test_rollout import FEW, Towers, planned, play  # noqa: E402

torch.set_num_threads(1)
ranks = Ranks(rank_of_environment(), torch.device("cpu"))
rollout = Rollout(make_model(speedups=SpeedUps()), Towers(), "blurry", FEW, "sliding", ranks)
if ranks.rank:
    rollout.follow()
else:
    began = time.perf_counter()
    chunks = [*play(rollout, 5), planned(rollout)]
    found = {"took": torch.tensor(time.perf_counter() - began)}
    ranks.end()
    for k, chunk in enumerate(chunks):
        found |= {f"action {k}": chunk.action, f"video {k}": chunk.video.contiguous()}
    save_file(found, sys.argv[1])
