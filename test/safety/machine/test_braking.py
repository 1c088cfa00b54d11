"""Which stops are tried follows from what the bridge takes."""

from __future__ import annotations

import pytest

from testing.rig import Rig
from wam_ros.core.admission import Admission
from wam_ros.safety.machine.braking import ALONG_S


@pytest.mark.parametrize("ahead_s", [0.6, 1.0, 1.37, 2.0])
@pytest.mark.parametrize("lead_s", [0.0, 0.01, 0.2, 0.5])
def test_the_last_stop_that_is_tried_is_one_that_the_bridge_already_takes(
    panda, home, ahead_s, lead_s
):
    rig = Rig(panda, home, admission=Admission(ahead_s=ahead_s), stop_lead_s=lead_s)
    last_s = lead_s + (rig.machine.brakes.last_tries - 1) * ALONG_S
    assert ahead_s - 0.13 < last_s < ahead_s - 0.08


def test_with_what_is_shipped_it_is_as_far_ahead_as_it_was_measured_with(panda, home):
    assert Rig(panda, home).machine.brakes.last_tries == 31


def test_a_stop_is_never_later_than_the_bridge_takes_anything_at_all():
    assert Admission(stop_seam_s=0.1, deadline_s=0.03).late_s == 0.03
    assert Admission(stop_seam_s=0.1, deadline_s=0.5).late_s == 0.1
