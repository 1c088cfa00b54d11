"""Where the time goes, as messages: the bridge tells its stages, the status of the inference node
holds all of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from wam_ros.core.trace import STAGES, TOTALS
from wam_ros.core.types import StageLatency
from wam_ros.msg import StageLatency as StageLatencyMsg


def stages_to_msgs(stages: Mapping[str, StageLatency]) -> list[StageLatencyMsg]:
    """One message per stage."""
    return [
        StageLatencyMsg(stage=name, samples=s.n, p50_s=s.p50_s, p95_s=s.p95_s, p99_s=s.p99_s)
        for name, s in stages.items()
    ]


def stages_from_msgs(msgs: Iterable[StageLatencyMsg]) -> dict[str, StageLatency]:
    """Stages by name."""
    return {
        m.stage: StageLatency(n=m.samples, p50_s=m.p50_s, p95_s=m.p95_s, p99_s=m.p99_s)
        for m in msgs
    }


def in_order(stages: Mapping[str, StageLatency]) -> dict[str, StageLatency]:
    """Those that have samples, in the order of the loop, the totals last; names that are none of
    these are left out.
    """
    return {name: stages[name] for name in (*STAGES, *TOTALS) if name in stages and stages[name].n}
