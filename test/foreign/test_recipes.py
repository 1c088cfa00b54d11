"""What docs/policies.md tells to write is run as it stands there."""

import os
import re
import subprocess
import time

import numpy as np
import pytest

pytest.importorskip("torch")

from testing.foreign import READY_S, ROOT, program
from testing.peers import free_port
from testing.policies import PANDA, observation
from wam_ros.core.errors import WamError
from wam_ros.models import load_policy

pytestmark = pytest.mark.foreign
PAGE = (ROOT / "docs" / "policies.md").read_text()


def block(kind, begins=""):
    """The only block of a language that begins so."""
    (found,) = re.findall(rf"```{kind}\n({begins}.*?)```", PAGE, re.DOTALL)
    return found


def asked(model, process):
    """The policy, as soon as its server listens."""
    until = time.monotonic() + READY_S
    while True:
        assert process.poll() is None
        assert time.monotonic() < until
        try:
            return load_policy(model, "", PANDA)
        except WamError as error:
            if "cannot be reached" not in str(error):
                raise


def test_a_policy_of_your_own_answers_by_the_contract_of_the_page(tmp_path):
    port = free_port()
    server = tmp_path / "mine.py"
    server.write_text(block("python").replace("8000", str(port)))
    contract = tmp_path / "arm.yaml"
    contract.write_text(block("yaml", "# arm.yaml"))
    argv = [program("openpi"), str(server)]
    process = subprocess.Popen(argv, env={"PATH": os.environ["PATH"]})
    try:
        policy = asked(f"{contract}@ws://127.0.0.1:{port}", process)
        assert policy.name == "mine"
        policy.reset("go")
        seen = observation()
        rows = policy.predict(seen).positions
        q = seen.joints.positions
        ahead = 0.02 * np.arange(1, 9)  # at the robot's steps, twice as long
        assert rows[:, :7] == pytest.approx(q[:7] + ahead[:, None])
        # the hand is told by a share, 0 open
        assert rows[:, 7] == pytest.approx(q[7] - 0.04 * ahead)
    finally:
        process.terminate()
        process.wait(30)
