"""How a check of messages is asked."""

from __future__ import annotations

from testing.tools import START, at_rest
from wam_ros.core.types import Decision
from wam_ros.safety.verdict import Verdict


def judge(panda, home, chunk, **more) -> Verdict:
    """The answer to a chunk that must be refused."""
    verdict = panda.filter(chunk, at_rest(home), START, **more)
    assert verdict.decision == Decision.REJECT
    assert verdict.trajectory is None
    assert verdict.sentence.startswith("refused: ")
    assert len(verdict.sentence) < 400
    return verdict
