"""Admission by deadline, by the clock of the test: refused rather than late."""

import numpy as np
import pytest

from testing.policies import PANDA, RememberingPolicy, observation
from wam_ros.core.errors import WamError
from wam_ros.core.policy import Request
from wam_ros.serve.service import PolicyService
from wam_ros.wire.contract import native, request_of
from wam_ros.wire.exchange import request_keys

TAKES_S = 0.3
DEADLINE_S = 0.8


class Desk:
    """A model that takes 0.3 s of the test's clock."""

    def __init__(self):
        self.now = 0.0
        policy = RememberingPolicy()
        answer = policy.predict

        def predict(seen, request):
            self.now += TAKES_S
            return answer(seen, request)

        policy.predict = predict
        policy.another = None
        self.service = PolicyService(
            policy=policy,
            robot=PANDA,
            contracts=[],
            most_sessions=1,
            idle_s=60.0,
            clock=lambda: self.now,
        )
        for _ in range(3):
            self.ask(arrived_s=self.now)

    def query(self, **request):
        seen = request_of(native(PANDA), observation(), "go", "")
        return self.service.read(seen | request_keys(Request(**request), DEADLINE_S), "one")

    def ask(self, arrived_s, **request):
        (answer,) = self.service.answer([(self.query(**request), arrived_s)])
        if isinstance(answer, Exception):
            raise answer
        return answer


def test_an_answer_that_waited_longer_than_was_expected_is_not_computed_any_more():
    desk = Desk()
    assert "actions" in desk.ask(desk.now - 0.5)  # 0.5 s and what it takes are in time
    began = desk.now
    with pytest.raises(WamError, match=r"busy: the answer waited 0.51 s and would come after"):
        desk.ask(desk.now - 0.51)
    assert desk.now == began
    assert "actions" in desk.ask(desk.now)  # its memory is as it was


def test_one_that_did_not_wait_is_answered_however_slow_the_model_is():
    desk = Desk()
    for _ in range(100):
        desk.service._took.add(2.0, desk.now)
    assert "actions" in desk.ask(desk.now)
    assert desk.service.why_not_in_time(desk.query(), 0) == ""
    assert "busy" in desk.service.why_not_in_time(desk.query(), 1)


def test_a_frame_is_remembered_however_late():
    desk = Desk()
    assert desk.service.why_not_in_time(desk.query(predict=False), 20) == ""
    assert desk.ask(desk.now - 5.0, predict=False)["remembered"]


@pytest.mark.parametrize("wrong", [np.degrees, lambda q: q + 1e300, lambda q: q.astype(np.uint8)])
def test_joints_that_the_robot_cannot_have_are_refused_before_the_model_makes_something_of_them(
    wrong,
):
    desk = Desk()
    told = wrong(np.array(PANDA.home)).astype(float)
    message = request_of(native(PANDA), observation(), "go", "")
    query = desk.service.read(message | {"observation/joint_position": told}, "one")
    (answer,) = desk.service.answer([(query, desk.now)])
    assert "in degrees, or of another robot" in str(answer)


def test_a_model_that_answers_no_number_is_no_answer():
    desk = Desk()
    policy = desk.service._policy
    answer = policy.predict

    def predict(seen, request):
        output = answer(seen, request)
        output.positions[3, 2] = np.nan
        return output

    policy.predict = predict
    with pytest.raises(WamError, match="the model's actions are not finite"):
        desk.ask(desk.now)
