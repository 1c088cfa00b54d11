import numpy as np
import pytest

from wam_ros.core.errors import WamError
from wam_ros.core.policy import PolicyOutput
from wam_ros.core.types import NS, Conditioning, JointState, Observation
from wam_ros.tools.bench import WHOLE, Bench, main, measure

JOINTS = JointState(0, ("j",), np.zeros(1), np.zeros(1), np.zeros(1))
EXAMPLE = Observation(5, ("front",), np.zeros((1, 4, 4, 3), np.uint8), (5,), JOINTS)


class Recording:
    """A policy that remembers the stamps it was asked about and claims to take 3 ms + 1 ms per
    call.
    """

    def __init__(self):
        self.stamps = []

    def predict(self, observation):
        assert observation.frame_stamps_ns == (observation.stamp_ns,)
        assert observation.joints.stamp_ns == observation.stamp_ns
        self.stamps.append(observation.stamp_ns)
        timing = {"encode": 0.001 * len(self.stamps), "denoise": 0.003}
        return PolicyOutput(
            positions=np.zeros((8, 1)),
            frames=np.zeros((0,)),
            frame_offsets_ns=(),
            conditioning=Conditioning.REAL,
            evaluations=4,
            timing_s=timing,
        )


def test_every_call_is_one_frame_later_and_warm_ups_are_not_timed():
    policy = Recording()
    times = measure(policy, EXAMPLE, NS // 10, Bench(chunks=4, warmups=3))
    assert np.diff(policy.stamps).tolist() == [NS // 10] * 6
    assert times["encode"] == pytest.approx([4, 5, 6, 7])
    assert times["denoise"] == pytest.approx([3] * 4)
    assert len(times[WHOLE]) == 4


def test_nothing_to_time_is_refused():
    with pytest.raises(WamError, match="--chunks"):
        main(Bench(chunks=0))
