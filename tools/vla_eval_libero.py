"""LIBERO as `vla-eval` judges it, for models that say joint positions.

Tasks, scenes, official initial states, rest at the beginning, step limits and success are those of
`vla_eval.benchmarks.libero`, unmodified. What is added: the arm follows absolute joint targets by
robosuite's own joint position controller, and observations hold the joints. Read by `vla-eval` in
the environment of LIBERO (docs/libero.md):

    wam serve --model libero --checkpoint run/libero.safetensors
    export PYTHONPATH=tools
    .venv-foreign/libero/bin/vla-eval run --no-docker --config tools/vla_eval_libero.yaml
"""

import numpy as np
from robosuite.controllers import controller_factory, load_controller_config
from vla_eval.benchmarks.base import StepResult
from vla_eval.benchmarks.libero.benchmark import MAX_STEP_MAPPING, LIBEROBenchmark
from vla_eval.specs import IMAGE_RGB, LANGUAGE, DimSpec

STEPS = 2  # of LIBERO, 20 Hz, for each of the model's, 10 Hz
STEP_S = 0.05
# with the stock gains (50) the arm lags too far behind absolute targets
STIFFNESS = 400.0  # 1/s^2
DAMPING = 2 * STIFFNESS**0.5  # 1/s
RANGE = 1.0  # rad, of one step's way to its target
SLACK = 0.001  # m between a finger and its target, at which the gripper is left alone


class LiberoJoints(LIBEROBenchmark):
    """One action is where the seven joints [rad] and a finger [m] shall be a tenth of a second on.

    The gripper has one speed and no target: it is closed or opened until it is there.
    """

    def __init__(self, **params):
        if not (params.get("send_state") and params.get("send_wrist_image")):
            raise ValueError("the server asks for state and wrist image in its HELLO")
        super().__init__(**params)
        self._target = np.full(8, np.nan)  # before the first scene; `step` refuses it

    def reset(self, task):
        """The scene at rest under the benchmark's own controller, which is then exchanged."""
        seen = super().reset(task)
        robot = self._env.robots[0]
        ours = load_controller_config(default_controller="JOINT_POSITION")
        ours |= {
            "kp": STIFFNESS,
            "input_max": RANGE,
            "input_min": -RANGE,
            "output_max": RANGE,
            "output_min": -RANGE,
        }
        given = {k: v for k, v in robot.controller_config.items() if k not in ours}
        robot.controller = controller_factory("JOINT_POSITION", given | ours)
        self._env.env._action_dim = robot.action_dim
        self._target = self._joints()
        return seen

    def _joints(self):
        """(8,) rad, and m of the fingers in the mean."""
        robot = self._env.robots[0]
        left, right = self._env.sim.data.qpos[robot._ref_gripper_joint_pos_indexes]
        return np.append(robot._joint_positions, (left - right) / 2)

    def step(self, action):
        """Two steps of LIBERO towards the target, at its rate."""
        target = np.asarray(action["actions"], dtype=float)
        if target.shape != self._target.shape or not np.isfinite(target).all():
            raise ValueError(f"an action is {len(self._target)} finite numbers, found {target}")
        rate = (target - self._target)[:7] / (STEPS * STEP_S)
        begun = self._target
        self._target = target
        for k in range(STEPS):
            at = self._joints()
            goal = begun + (k + 1) / STEPS * (target - begun)
            # its damping pulls towards rest: what that holds back is asked for beside
            ahead = goal[:7] + rate * DAMPING / STIFFNESS - at[:7]
            aside = target[7] - at[7]
            grip = 0.0 if abs(aside) < SLACK else -np.sign(aside)
            seen, reward, done, info = self._env.step([*ahead, grip])
            if done:
                break
        self._recorder.record_video(self._extract_frame(seen))
        return StepResult(obs=seen, reward=reward, done=done, info=info)

    def get_hold_action(self, last_action):
        """Where the arm is told to be already: what live mode says while no answer is there."""
        return {"actions": self._target}

    def make_obs(self, raw_obs, task):
        """Pictures the right way up, which are those of the benchmark mirrored, and the joints."""
        found = super().make_obs(raw_obs, task)
        images = {name: np.ascontiguousarray(x[:, ::-1]) for name, x in found["images"].items()}
        return {
            "images": images,
            "state": self._joints(),
            # LIBERO-PRO's lists repeat the sentence of the suite that was changed
            "task_description": self._env.language_instruction,
        }

    def get_metadata(self):
        """The benchmark's, with its step limit in steps of the model."""
        longest = self._max_steps or MAX_STEP_MAPPING["_".join(self.suite.split("_")[:2])]
        return {**super().get_metadata(), "max_steps": longest // STEPS}

    def get_action_spec(self):
        """Seven joints and a finger."""
        return {"joint_position": DimSpec("joint_position", 8, "absolute")}

    def get_observation_spec(self):
        """Both cameras, the joints and the sentence."""
        state = DimSpec("state", 8, "joint_positions")
        pictures = dict.fromkeys(("agentview", "wrist"), IMAGE_RGB)
        return {**pictures, "state": state, "language": LANGUAGE}
