"""A process that is a policy server of openpi's wire which swings the arm: `swing_server.py HOST
PORT`.
"""

import sys
import threading
import time

import numpy as np

from testing.openpi import openpi_server
from wam_ros.core.embodiment import load_embodiment

PANDA = load_embodiment("panda")
SWING = np.array([0.3, 0.1, 0.2, 0, 0, 0, 0.2, 0])  # rad
AHEAD_S = PANDA.step_period_s * np.arange(1, PANDA.action_horizon + 1)


def swing(message):
    """Swings about home by the wall clock."""
    path = np.array(PANDA.home) + np.outer(np.sin(time.time() + AHEAD_S), SWING)
    return {"actions": path.astype(np.float32)}


if __name__ == "__main__":
    with openpi_server(swing, host=sys.argv[1], port=int(sys.argv[2])):
        threading.Event().wait()
