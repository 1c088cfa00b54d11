"""A process of the real inference node whose model swings the arm: what its death does needs no
network.
"""

import numpy as np

from wam_ros.core.embodiment import load_embodiment
from wam_ros.core.policy import PolicyOutput
from wam_ros.core.types import NS, Conditioning
from wam_ros.nodes.inference_node import InferenceNode
from wam_ros.ros.running import run_node

PANDA = load_embodiment("panda")
SWING = np.array([0.3, 0.1, 0.2, 0, 0, 0, 0.2, 0])  # rad


class SwingPolicy:
    """Swings about home, and imagines that nothing changes."""

    name, checkpoint_hash = "swing", "ef" * 8

    def reset(self, instruction):
        pass

    def predict(self, observation):
        t = observation.stamp_ns / NS + PANDA.step_period_s * np.arange(1, PANDA.action_horizon + 1)
        path = np.array(PANDA.home) + np.outer(np.sin(t), SWING)
        return PolicyOutput(
            positions=path,
            frames=observation.frames[None],
            frame_offsets_ns=(NS // 2,),
            conditioning=Conditioning.REAL,
            evaluations=1,
            timing_s={"swing": 0.0},
        )


class SwingNode(InferenceNode):
    """The node with that policy instead of a network."""

    def make_policy(self, robot, model, checkpoint):
        return SwingPolicy()


if __name__ == "__main__":
    run_node(SwingNode)
