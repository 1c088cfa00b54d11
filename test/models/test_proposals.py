"""Any policy proposes, a world model imagines each proposal: here, and with both elsewhere."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml

from testing.openpi import openpi_server
from testing.policies import PANDA, RememberingPolicy, observation, served
from wam_ros.core.appraisal import Outlook
from wam_ros.core.errors import WamError
from wam_ros.core.policy import Abilities, PolicyOutput, Request
from wam_ros.core.types import Conditioning
from wam_ros.core.yamlfile import from_mapping
from wam_ros.models import load_policy
from wam_ros.models.proposals.policy import FAMILY, Pair, ProposalsPolicy
from wam_ros.models.remote.address import is_address
from wam_ros.runtime.prediction import best, why_not_good_enough
from wam_ros.runtime.values import make_value


class Proposer:
    """One that knows no requests, and proposes something else at each call."""

    name = "proposer"
    checkpoint_hash = "cd" * 8

    def __init__(self):
        self.asked = 0
        self.words = ""

    def reset(self, instruction):
        if "boat" in instruction:
            raise WamError("no boats")
        self.words = instruction

    def predict(self, seen):
        self.asked += 1
        n = len(seen.view_names)
        return PolicyOutput(
            positions=seen.joints.positions + 0.001 * self.asked * np.arange(1, 9)[:, None],
            frames=np.zeros((0, n, *seen.frames.shape[1:]), np.uint8),
            frame_offsets_ns=(),
            conditioning=Conditioning.UNKNOWN,
            evaluations=10,
        )


class Predictor(RememberingPolicy):
    """Says how far the plan leads: the farther, the more likely it failed."""

    def another(self):
        """One with a memory of its own."""
        return Predictor()

    def predict(self, seen, request=None):
        """And what it was asked for."""
        self.requests = [*getattr(self, "requests", []), request]
        output = super().predict(seen, request)
        if output is None:
            return None
        far = float(np.abs(request.plan - seen.joints.positions).max())
        return replace(output, outlook=Outlook(done_ahead=0.5, failed_ahead=min(1.0, 50 * far)))


def pair():
    return ProposalsPolicy("pair", Proposer(), Predictor())


def test_each_proposal_is_imagined_as_if_all_of_it_were_committed_and_the_best_is_taken():
    policy = pair()
    policy.reset("go")
    seen = observation(1)
    output = policy.predict(seen, Request(step=8, candidates=3))
    asked = policy._predictor.requests
    assert [a.committed for a in asked] == [8] * 3
    assert [a.step for a in asked] == [8] * 3
    proposals = [output, *output.others]
    for k, one in enumerate(proposals):
        expected = seen.joints.positions + 0.001 * (k + 1) * np.arange(1, 9)[:, None]
        assert (one.positions == expected).all()
        assert (asked[k].plan == expected).all()
        assert (one.frames[0] == seen.frames).all()
        assert one.evaluations == 13
    chosen, value = best(output, make_value("outlook"))
    assert (chosen.positions == proposals[0].positions).all()
    assert value == pytest.approx(0.5 - 50 * 0.008)
    assert why_not_good_enough(output, value, 0.0) == ""
    assert "none of 3" in why_not_good_enough(output, value, 0.2)


def test_a_frame_is_remembered_by_the_one_that_remembers():
    policy = pair()
    policy.reset("go")
    assert policy.predict(observation(1), Request(step=4, predict=False)) is None
    assert policy._predictor.seen == [(4, False)]
    assert policy._proposer.asked == 0
    assert policy.abilities.frame_stride == 4
    assert policy.abilities.vocabulary == ("go", "stop")
    assert not policy.abilities.prefix  # the proposer's


def test_words_that_one_of_them_refuses_are_taken_by_neither():
    policy = pair()
    policy.reset("go")
    with pytest.raises(WamError, match="never learned 'fly'"):
        policy.reset("fly")
    assert policy._proposer.words == "go"
    with pytest.raises(WamError, match="no boats"):
        policy.reset("stop boat")
    fresh = RememberingPolicy()
    fresh.reset("go")
    assert policy._predictor.digest == fresh.digest


def test_a_predictor_that_cannot_be_told_actions_and_other_strides_are_refused():
    with pytest.raises(WamError, match="'proposer' cannot be told which actions to imagine"):
        ProposalsPolicy("pair", RememberingPolicy(), Proposer())
    odd = Predictor()
    odd.abilities = Abilities(frame_stride=3)
    with pytest.raises(WamError, match="a frame every 3 steps, 'remembering' every 4"):
        ProposalsPolicy("pair", odd, Predictor())


@pytest.fixture
def files(tmp_path):
    """A contract of a foreign policy, and how to write the pair."""
    contract = tmp_path / "arm.yaml"
    joints = list(PANDA.joint_names)
    data = {"name": "arm", "embodiment": "panda", "images": {"image": "front"}}
    contract.write_text(
        yaml.safe_dump(data | {"state": {"state": joints}, "action_joints": joints})
    )

    def write(**parts):
        file = tmp_path / "pair.yaml"
        file.write_text(yaml.safe_dump({"family": "proposals", "name": "pair", **parts}))
        return str(file)

    return contract, write


def test_a_foreign_proposer_and_a_predictor_elsewhere_work_across_the_wire_both_ways(files):
    contract, write = files
    calls = []

    def act(message):
        calls.append(message)
        return {"actions": message["state"] + 0.001 * len(calls) * np.arange(1, 9)[:, None]}

    with openpi_server(act) as (_, foreign), served(Predictor()) as (_, ours):
        name = write(
            proposer=f"{contract}@ws://127.0.0.1:{foreign}", predictor=f"ws://127.0.0.1:{ours}"
        )
        policy = load_policy(name, "", PANDA)
        policy.reset("go")
        seen = observation(3)
        output = policy.predict(seen, Request(step=0, candidates=2))
        local = Predictor()
        local.reset("go")
        for one in (output, *output.others):
            future = local.predict(seen, Request(step=0, plan=one.positions, committed=8))
            assert (one.frames == future.frames).all()
            assert one.outlook.failed_ahead == pytest.approx(future.outlook.failed_ahead)
        assert not np.array_equal(output.positions, output.others[0].positions)
        _, value = best(output, make_value("outlook"))
        assert "none of 2" in why_not_good_enough(output, value, 0.4)


def test_the_file_of_the_page_is_one():
    page = (Path(__file__).parents[2] / "docs" / "policies.md").read_text()
    (text,) = re.findall(r"```yaml\n(# judged.yaml.*?)```", page, re.DOTALL)
    told = from_mapping(Pair, yaml.safe_load(text), "the page")
    assert (told.family, told.predictor) == (FAMILY, "tiny")
    assert is_address(told.proposer)


def test_a_pair_that_is_none_is_refused_by_name(files):
    _, write = files
    with pytest.raises(WamError, match="missing key 'predictor'"):
        load_policy(write(proposer="reach"), "", PANDA)
    with pytest.raises(WamError, match="is itself of the family proposals"):
        load_policy(
            write(proposer="reach", predictor=write(proposer="a", predictor="b")), "", PANDA
        )
    file = write(proposer="reach", predictor="tiny")
    with pytest.raises(WamError, match="is two models: checkpoint, steps and memory are theirs"):
        load_policy(file, "", PANDA, steps=3)
    with pytest.raises(WamError, match="is for 'droid', not for 'panda'"):
        load_policy(write(proposer="reach", predictor="tiny", embodiment="droid"), "", PANDA)


def test_the_shipped_model_imagines_other_futures_for_other_proposals():
    pytest.importorskip("torch")
    policy = ProposalsPolicy("pair", Proposer(), load_policy("tiny", "", PANDA))
    policy.reset("pick up the red block")
    near = policy.predict(observation(1), Request(step=0))
    policy._proposer.asked = 40
    far = policy.predict(observation(1), Request(step=0))
    assert not np.array_equal(near.frames, far.frames)
    assert np.isfinite([near.outlook.failed_ahead, far.outlook.done_ahead]).all()
