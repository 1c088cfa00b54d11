"""The shipped model behind the wire: the same chunks and pictures, for one robot and for two."""

import numpy as np
import pytest

pytest.importorskip("torch")

from testing.policies import PANDA, observation, served
from wam_ros.core.policy import Request
from wam_ros.models import load_policy
from wam_ros.models.remote.policy import RemotePolicy
from wam_ros.serve.together import why_not_together

RED = "pick up the red block"
BLUE = "take the blue cube"


def requests(q):
    """As the loop asks: a chunk, a frame to remember, a chunk drawn towards the plan."""
    plan = np.tile(q, (6, 1))
    return [
        (1, Request(step=0)),
        (2, Request(step=4, predict=False)),
        (3, Request(step=8, plan=plan, committed=2)),
    ]


def test_two_robots_on_the_shipped_model_get_what_each_would_get_from_its_own_bit_for_bit():
    local = load_policy("tiny", "", PANDA)
    expected = {}
    for words, seed in ((RED, 0), (BLUE, 10)):
        local.reset(words)
        q = observation(seed).joints.positions
        expected[words] = [local.predict(observation(seed + k), r) for k, r in requests(q)]
    with served(local) as (_, port):
        remotes = {words: load_policy(f"ws://127.0.0.1:{port}", "", PANDA) for words in expected}
        for words, remote in remotes.items():
            assert isinstance(remote, RemotePolicy)
            assert remote.checkpoint_hash == local.checkpoint_hash
            assert remote.abilities.vocabulary == local.abilities.vocabulary
            remote.reset(words)
        for i in range(3):
            for seed, (words, remote) in zip((0, 10), remotes.items(), strict=True):
                k, request = requests(observation(seed).joints.positions)[i]
                got = remote.predict(observation(seed + k), request)
                wanted = expected[words][i]
                assert (got is None) == (wanted is None)
                if got is not None:
                    assert got.positions.tobytes() == wanted.positions.tobytes()
                    assert got.frames.tobytes() == wanted.frames.tobytes()
                    assert got.guided == wanted.guided


def test_robots_in_one_pass_get_the_bits_that_each_gets_alone():
    """In whatever precision this machine computes; where its bits differ, numbers must be close."""
    first = load_policy("tiny", "", PANDA)
    exact = why_not_together(first, RED, PANDA) == ""
    words = (RED, BLUE, RED, BLUE)
    # memories of other lengths; without a plan, drawn towards one, and continuing one
    kinds = [{}, {"plan": 6, "committed": 2}, {"plan": 4}, {"plan": 2, "committed": 2}]
    robots = []
    for several in (False, True):
        asked = []
        for k, kind in enumerate(kinds):
            robot = first.another()
            robot.reset(words[k])
            for past in range(k):
                robot.predict(observation(10 * k + past), Request(4 * past, predict=False))
            seen = observation(10 * k + 9)
            plan = np.tile(seen.joints.positions, (kind["plan"], 1)) if kind else None
            prefix = kind.get("plan") == 2 and first.abilities.prefix
            request = Request(4 * k, plan=plan, committed=kind.get("committed", 0), prefix=prefix)
            asked.append((robot, seen, request))
        robots.append(first.together(asked) if several else [r.predict(o, q) for r, o, q in asked])
    for alone, together in zip(*robots, strict=True):
        assert together.positions == pytest.approx(alone.positions, abs=5e-3)
        if exact:
            assert alone.positions.tobytes() == together.positions.tobytes()
            assert alone.frames.tobytes() == together.frames.tobytes()
