import numpy as np

from wam_ros.core.types import Decision

from .conftest import START, at_rest, make_chunk


def test_a_chunk_that_stands_still_passes(panda, home):
    verdict = panda.filter(make_chunk(panda.model.joint_names, np.tile(home, (8, 1))), at_rest(home), START)
    assert verdict.decision == Decision.PASS
    assert np.allclose(verdict.trajectory.q, home, atol=1e-9)
