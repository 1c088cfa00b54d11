"""Steps that lie far apart: a stop is proven between them too, and one that is not possible yet is
not forgotten.
"""

from __future__ import annotations

import numpy as np
import pytest

from testing.rig import Rig
from wam_ros.core.types import NS, Decision, Reason, SafetyState
from wam_ros.safety import filter as filter_module

DOWN, TURN = np.eye(8)[1], 0.5 * np.eye(8)[0]
STEPS, SLOW = 10, 3.0


def above_table(model, home, margin: float) -> np.ndarray:
    """Home, bent down until `margin` m are left above the clearance of the table."""

    def left(s: float) -> float:
        over = model.distances(home + s * DOWN) - model.pairs.clearance - 1e-4
        return float(over[model.pairs.world].min()) - margin

    low, high = 0.0, 1.2
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if left(middle) > 0 else (low, middle)
    return home + low * DOWN


@pytest.fixture
def dipping(panda, home):
    """Turns from side to side; from step 1 to 2 it sinks and rises again within the last
    millimetre, for 3 s.
    """
    q0 = above_table(panda.model, home, 1.15e-3)
    rig = Rig(panda, q0, surprise_slow=1.0, surprise_scale=SLOW).armed()
    rig.machine.on_surprise(2.0, rig.now)
    odd = np.arange(STEPS) % 2
    velocities = 0.01 * np.outer(2 * odd - 1, DOWN)
    velocities[0] = velocities[-1] = 0
    rig.path = {"path": q0 + np.outer(odd, TURN), "velocities": velocities, "step_period_ns": NS}
    return rig


def test_between_steps_far_apart_stops_are_proven_too(dipping):
    report = dipping.chunk(**dipping.path).report
    assert report.decision == Decision.TRUNCATED
    assert Reason.NO_BRAKE in report.reasons
    assert 0 < report.steps_accepted < 4
    while dipping.state == SafetyState.ARMED:
        dipping.run(0.1)
        start = dipping.now + 10_000_000
        assert any(
            dipping.machine.brakes._prove(start + round(late * NS)) for late in (0, 0.1, 0.2, 0.3)
        )


def test_a_stop_that_is_not_possible_yet_comes_as_soon_as_it_is(dipping, monkeypatch):
    monkeypatch.setattr(filter_module, "STOP_WITHIN_S", 1e9)
    assert dipping.chunk(**dipping.path).report.decision in (Decision.PASS, Decision.SCALED)
    dipping.run(6.0)
    # it sinks: any stop would end too near
    assert dipping.machine.estop(dipping.now).trajectory is None
    dipping.run(1.0)
    assert dipping.emitted[-1].start_ns > dipping.now - NS
    assert dipping.at_rest
    assert dipping.state == SafetyState.ESTOP
