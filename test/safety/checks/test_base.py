"""What is no whole check cannot be registered, and none can use what it does not say it needs."""

from __future__ import annotations

import dataclasses
import sys

import numpy as np
import pytest

from testing.tools import at_rest
from wam_ros.core.embodiment import Load
from wam_ros.core.errors import UnknownNameError, WamError
from wam_ros.core.types import Decision, Reason, SafetyReport, SafetyState, StageLatency
from wam_ros.robot.obstacles import Obstacle
from wam_ros.safety.checks import CHECKS, load_checks
from wam_ros.safety.checks.base import KINDS, JointCheck, MessageCheck, MotionCheck
from wam_ros.safety.filter import SafetyFilter
from wam_ros.safety.finding import Finding, Measure
from wam_ros.safety.motion.bounds import make_bounds
from wam_ros.safety.params import SafetyParams
from wam_ros.safety.verdict import Verdict

HEAD = """
import numpy as np
from wam_ros.core.types import Reason
from wam_ros.safety.checks.base import *
from wam_ros.safety.checks.base import Bounds, JointBounds
from wam_ros.safety.finding import Measure
"""
GOOD = """
def measure(motion, joints):
    zero = np.zeros(len(motion))
    return Measure(reason=Reason.VELOCITY, ratio=zero, measured=zero, allowed=zero,
                   subject=zero.astype(int), units=("",))
"""


@pytest.fixture
def register(tmp_path, monkeypatch):
    """Write a check file and put it into the dictionary."""

    def put(text: str) -> None:
        (tmp_path / "a_new_check.py").write_text(HEAD + text, encoding="utf-8")
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.setitem(CHECKS, "new", "a_new_check")
        monkeypatch.delitem(sys.modules, "a_new_check", raising=False)

    yield put
    sys.modules.pop("a_new_check", None)


def test_a_whole_check_is_taken_and_asked(register, model):
    register(GOOD + "CHECK = JointCheck(measure, power=0)")
    assert list(load_checks(tuple(CHECKS)).motion)[-1] == "new"
    SafetyFilter(model, checks=tuple(CHECKS))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (GOOD, "CHECK of a_new_check is None, not one of MessageCheck, SeamCheck, JointCheck"),
        (GOOD + "STAGE = 'motoin'\nCHECK = 'motoin'", "is 'motoin', not one of MessageCheck"),
        (GOOD + "CHECK = JointCheck", "is <class .*JointCheck'>, not one of"),
        (GOOD + "CHECK = MotoinCheck(measure, power=0)", "name 'MotoinCheck' is not defined"),
        ("CHECK = JointCheck(power=0)", "missing 1 required positional argument: 'measure'"),
        ("CHECK = JointCheck(None, power=0)", "measure must be a function, found None"),
        ("CHECK = MessageCheck('refuse')", "refuse must be a function, found 'refuse'"),
        (GOOD + "CHECK = JointCheck(measure)", "missing 1 required positional argument: 'power'"),
        (GOOD + "CHECK = JointCheck(measure, power=0.5)", "power must be a whole number.*0.5"),
        (GOOD + "CHECK = JointCheck(measure, power=-1)", "power must be a whole number.*-1"),
        (GOOD + "CHECK = MotionCheck(measure, power=0)", "abstract"),
        ("import nothing_of_that_name", "No module named 'nothing_of_that_name'"),
    ],
)
def test_what_is_no_check_is_refused_by_name(register, text, words):
    register(text)
    with pytest.raises(WamError, match=f"(?s)safety check 'new'.*{words}"):
        load_checks(tuple(CHECKS))


def test_a_kind_of_its_own_that_takes_everything_is_refused(register):
    register(
        GOOD
        + """
class All(JointCheck):
    @staticmethod
    def facts(bounds):
        return bounds

CHECK = All(measure, power=0)
"""
    )
    with pytest.raises(WamError, match="safety check 'new' is none.*not one of"):
        load_checks(tuple(CHECKS))


@pytest.mark.parametrize("kind", ["JointCheck", "ToolCheck", "EffortCheck"])
@pytest.mark.parametrize("need", ["model.distances", "clearance", "distances.model"])
def test_who_does_not_say_that_it_needs_the_world_is_refused_when_it_reaches_for_it(
    register, model, kind, need
):
    register(f"def measure(motion, given):\n    return given.{need}\nCHECK = {kind}(measure, 0)")
    given = "a " + kind + " is given .*" + ("torque" if kind == "EffortCheck" else "")
    with pytest.raises(WamError, match=f"(?s)'new' fails.*no attribute '.*'; {given}"):
        SafetyFilter(model, checks=tuple(CHECKS))


@pytest.mark.parametrize("kind", ["JointCheck", "ToolCheck"])
def test_who_does_not_say_that_it_needs_weights_is_refused(register, model, kind):
    register(
        f"def measure(motion, given):\n    return given.torque(0)\nCHECK = {kind}(measure, power=0)"
    )
    with pytest.raises(WamError, match="'new' fails: .* no attribute 'torque'"):
        SafetyFilter(model, checks=tuple(CHECKS))


@pytest.mark.parametrize("answer", ["None", "True", "np.zeros(len(motion))"])
def test_a_check_that_answers_with_anything_but_a_measure_is_refused(register, model, answer):
    register(f"def measure(motion, given):\n    return {answer}\nCHECK = JointCheck(measure, 0)")
    with pytest.raises(WamError, match="'new' does not answer with a Measure"):
        SafetyFilter(model, checks=tuple(CHECKS))


def test_an_unknown_name_is_refused_with_the_choices():
    with pytest.raises(UnknownNameError, match="velocty.*Did you mean 'velocity'.*torque"):
        load_checks(("schema", "velocty"))


def test_every_check_is_loaded_in_the_order_of_the_dictionary():
    checks = load_checks()
    assert [*checks.message, *checks.seam, *checks.motion] == list(CHECKS)


def facts(model, kind, home):
    bounds = make_bounds(model, SafetyParams(), at_rest(home))
    return {k: str(v) for k, v in vars(kind.facts(bounds)).items() if not callable(v)}


@pytest.mark.parametrize(
    "kind", [k for k in KINDS if issubclass(k, MotionCheck)], ids=lambda k: k.__name__
)
def test_what_a_kind_is_given_changes_with_the_world_or_a_weight_only_where_it_is_asked_again(
    kind, model, home
):
    fixed = dict(model.obstacles)
    before = facts(model, kind, home)
    try:
        model.set_obstacles({**fixed, "ball": Obstacle("sphere", (0.05,), (0.3, 0.5, 0.5))})
        model.set_obstacles(model.obstacles, {"cup": Load("panda_hand", 1.0)})
        assert (facts(model, kind, home) != before) is kind.again
    finally:
        model.set_obstacles(fixed, {})


def test_torque_and_distances_are_looked_at_again_when_the_world_changes():
    checks = load_checks()
    again = {name for name, c in checks.motion.items() if c in checks.again}
    assert again == {"torque", "self_collision", "environment"}


@pytest.mark.parametrize(
    "make",
    [
        lambda: Finding(Reason.STALE, "old", "", -1, 2.0, 1.0),
        lambda: SafetyReport(
            0, 0, SafetyState.ARMED, Decision.PASS, Reason.NONE, 1.0, 8, 8, "", -1, 2.0, 1.0
        ),
        lambda: Verdict(Decision.PASS, Reason.NONE, None, 1.0),
        lambda: Measure(Reason.JERK, *np.zeros((3, 4)), np.zeros(4, int), ("",)),
        lambda: StageLatency(3, 0.1, 0.2, 0.3),
    ],
    ids=["finding", "report", "verdict", "measure", "latency"],
)
def test_numbers_that_could_be_swapped_must_be_named(make):
    with pytest.raises(TypeError, match="positional"):
        make()


def test_a_check_cannot_be_changed_once_it_is_made():
    with pytest.raises(dataclasses.FrozenInstanceError):
        MessageCheck(print).refuse = None
    with pytest.raises(dataclasses.FrozenInstanceError):
        JointCheck(print, power=0).power = 1
