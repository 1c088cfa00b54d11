"""MuJoCo measures the distances of what was emitted: other geometry code, ten times finer."""

from __future__ import annotations

import numpy as np
import pytest

from benchmark.hostile import moving_states, random_path, random_pose
from benchmark.proof import fine, offences
from wam_ros.core.types import Decision

from .tools import START, at_rest, make_chunk

mujoco = pytest.importorskip("mujoco")
FAR = 0.1  # m; farther distances are not computed


class Mujoco:
    """The URDF and the table, read by MuJoCo."""

    def __init__(self, model) -> None:
        spec = mujoco.MjSpec.from_file(str(model.embodiment.urdf_path))
        spec.compiler.fusestatic = False
        spec.compiler.discardvisual = True
        spec.worldbody.add_geom(
            name="table", type=mujoco.mjtGeom.mjGEOM_BOX, size=[0.5, 0.7, 0.2], pos=[0.7, 0.0, -0.2]
        )
        self.mj = spec.compile()
        self.data = mujoco.MjData(self.mj)
        joints = [mujoco.mj_id2name(self.mj, mujoco.mjtObj.mjOBJ_JOINT, k) for k in range(self.mj.njnt)]
        self.columns = [model.joint_names.index(j.replace("finger_joint2", "finger_joint1")) for j in joints]
        bodies: dict[str, list[int]] = {}
        for geom in range(self.mj.ngeom):
            name = mujoco.mj_id2name(self.mj, mujoco.mjtObj.mjOBJ_GEOM, geom)
            body = mujoco.mj_id2name(self.mj, mujoco.mjtObj.mjOBJ_BODY, self.mj.geom_bodyid[geom])
            link = "table" if name == "table" else body.replace("world", "panda_link0")
            bodies.setdefault(link, []).append(geom)
        self.pairs = {
            names: [(a, b) for a in bodies[names[0]] for b in bodies[names[1]]] for names in set(model.pairs.names)
        }

    def distances(self, q: np.ndarray) -> dict[tuple[str, str], float]:
        """Distance of every watched pair at q (A,), at most FAR."""
        self.data.qpos[:] = q[self.columns]
        mujoco.mj_kinematics(self.mj, self.data)
        mujoco.mj_comPos(self.mj, self.data)
        return {
            names: min(mujoco.mj_geomDistance(self.mj, self.data, a, b, FAR, None) for a, b in geoms)
            for names, geoms in self.pairs.items()
        }


@pytest.fixture(scope="module")
def engine(model):
    return Mujoco(model)


def test_both_engines_agree(model, engine):
    for q in model.random_q(40, 1):
        ours: dict[tuple[str, str], float] = {}
        for names, d in zip(model.pairs.names, model.distances(q), strict=True):
            ours[names] = min(ours.get(names, np.inf), d)
        for names, d in engine.distances(q).items():
            if 0 < ours[names] < FAR:
                assert d == pytest.approx(ours[names], abs=1e-4), names
            else:
                assert (d <= 0) == (ours[names] <= 0) or abs(ours[names]) < 1e-4, names


def _emitted(panda, seed: int, hops: int):
    """Trajectories from random chunks, each begun somewhere on the one before."""
    rng = np.random.default_rng(seed)
    state, at_ns, floor = at_rest(random_pose(panda.model, rng)), START, None
    for _ in range(hops):
        n, period = int(rng.choice([1, 8, 8, 24])), float(rng.choice([0.066, 0.1]))
        path = random_path(panda.model, rng, state.q, n)
        chunk = make_chunk(panda.model.joint_names, path, period, round(rng.uniform(0, n * period * 0.9) * 1e9), at_ns)
        verdict = panda.filter(chunk, state, at_ns, floor=floor)
        if verdict.trajectory is None:
            return
        yield verdict, state
        floor = verdict.floor
        ((at_ns, state),) = moving_states(verdict.trajectory, rng, 1)


def _look(panda, engine, seed: int, every: int) -> int:
    count = 0
    for verdict, state in _emitted(panda, seed, 3):
        count += 1
        assert offences(panda.model, panda.params, verdict.trajectory, state, distances=False) == []
        wanted = {}
        for names, clearance in zip(panda.model.pairs.names, panda.model.pairs.clearance, strict=True):
            wanted[names] = clearance or panda.params.self_clearance_m
        q = fine(verdict.trajectory)[0]
        for row in q[::every]:
            for names, d in engine.distances(row).items():
                assert d >= wanted[names] - 1e-5, (seed, verdict.decision, names, d)
    return count


@pytest.mark.parametrize("seed", range(12))
def test_nothing_comes_near_in_the_second_engine(panda, engine, seed):
    _look(panda, engine, seed, every=5)


@pytest.mark.long
def test_nothing_comes_near_in_the_second_engine_in_many_chunks(panda, engine):
    assert sum(_look(panda, engine, seed, every=10) for seed in range(10_000, 14_000)) > 4000


@pytest.mark.long
def test_ten_thousand_random_and_hostile_chunks(panda):
    decisions: dict[Decision, int] = {}
    for seed in range(20_000, 25_000):
        for verdict, state in _emitted(panda, seed, 4):
            decisions[verdict.decision] = decisions.get(verdict.decision, 0) + 1
            distances = seed % 10 == 0
            assert offences(panda.model, panda.params, verdict.trajectory, state, distances) == [], seed
    assert sum(decisions.values()) > 10_000
    assert min(decisions.get(d, 0) for d in (Decision.PASS, Decision.SCALED, Decision.TRUNCATED, Decision.BRAKE)) > 100
