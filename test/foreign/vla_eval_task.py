"""Read by `vla-eval` in its own environment: a task that needs no download.

An arm that is where it was told to be, in front of noise. What it saw and did is left as npz.
"""

import numpy as np
from vla_eval.benchmarks.base import StepBenchmark, StepResult
from vla_eval.specs import IMAGE_RGB, LANGUAGE, DimSpec


class Arm(StepBenchmark):
    """Succeeds when every action was finite and near where the arm was."""

    def __init__(self, folder, views, height, width, home, send_state=False):
        super().__init__()
        assert send_state, "the server asks for it in its HELLO"
        self.folder = folder
        self.views = views
        self.size = (height, width, 3)
        self.home = home

    def get_tasks(self):
        return [{"name": words} for words in ("pick up the red block", "take the blue cube")]

    def reset(self, task):
        self.noise = np.random.default_rng(task["episode_idx"])
        self.q = np.array(self.home)
        self.seen = []
        self.done = []
        self.good = True
        return None

    def make_obs(self, raw_obs, task):
        pictures = {v: self.noise.integers(0, 256, self.size, dtype=np.uint8) for v in self.views}
        self.seen.append((self.q, np.stack(list(pictures.values()))))
        return {"images": pictures, "state": self.q, "task_description": task["name"]}

    def step(self, action):
        target = action["actions"]
        self.good &= target.shape == self.q.shape and np.abs(target - self.q).max() < 0.5
        self.done.append(target)
        self.q = target.astype(float)
        return StepResult(obs=None, reward=0.0, done=False, info={})

    def get_step_result(self, step_result):
        name = f"{self._task['name']} {self._task['episode_idx']}"
        joints, frames = zip(*self.seen, strict=True)
        np.savez(
            f"{self.folder}/{name}.npz",
            joints=np.stack(joints),
            frames=np.stack(frames),
            actions=np.stack(self.done),
        )
        return {"success": bool(self.good)}

    def get_action_spec(self):
        return {"joint_position": DimSpec("joint_position", len(self.home), "absolute")}

    def get_observation_spec(self):
        joints = DimSpec("state", len(self.home), "joint_positions")
        return {**dict.fromkeys(self.views, IMAGE_RGB), "state": joints, "language": LANGUAGE}
