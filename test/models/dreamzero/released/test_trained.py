"""What a training configuration says is held against the contract, key by key."""

import dataclasses

import numpy as np
import pytest

pytest.importorskip("torch")


from wam_ros.core.errors import WamError
from wam_ros.models.dreamzero.released.contract import load_contract
from wam_ros.models.dreamzero.released.quantiles import Columns, read_scaling
from wam_ros.models.dreamzero.released.trained import Trained, read_trained

DROID = load_contract("oxe_droid")
ABSOLUTE = dataclasses.replace(
    DROID, action=tuple(dataclasses.replace(g, relative=False) for g in DROID.action)
)
KEYS = {"relative_action": True, "relative_action_keys": ["joint_position"]}


def trained(**conf):
    return Trained("conf.yaml", conf)


@pytest.mark.parametrize(
    ("conf", "contract"),
    [
        ({}, DROID),
        ({}, ABSOLUTE),  # no file at all: the contract stands
        (KEYS, DROID),
        ({**KEYS, "relative_action": False, "relative_action_per_horizon": True}, DROID),
        ({**KEYS, "relative_action_keys": ["action.joint_position", "left_joint_pos"]}, DROID),
        ({**KEYS, "relative_action": False}, ABSOLUTE),
        ({"relative_action": False, "relative_action_keys": []}, ABSOLUTE),
        ({"relative_action_keys": ["joint_position"]}, ABSOLUTE),  # as the reference reads it
        ({"seed": 42}, ABSOLUTE),
        ({**KEYS, "fps": {"oxe_droid": 15, "yam": 30}}, DROID),
        ({**KEYS, "fps": {"oxe_droid": None}}, DROID),
        ({**KEYS, "fps": None}, DROID),
    ],
)
def test_a_contract_that_says_what_training_did_is_taken(conf, contract):
    trained(**conf).require(contract)


@pytest.mark.parametrize(
    ("conf", "contract", "message"),
    [
        ({**KEYS, "relative_action": False}, DROID, "relative_action is not true, but the contr"),
        ({"relative_action_keys": ["joint_position"]}, DROID, "relative_action is not true"),
        ({"seed": 42}, DROID, "relative_action is not true"),
        (KEYS, ABSOLUTE, "measures none from the state"),
        ({**KEYS, "relative_action_keys": ["left_joint_pos"]}, DROID, "relative_action_keys are"),
        ({**KEYS, "relative_action_keys": []}, DROID, "true, but relative_action_keys names no gr"),
        ({"relative_action": True}, DROID, "true, but relative_action_keys names no group"),
        ({**KEYS, "relative_action_keys": "joint_position"}, DROID, "must be a list"),
        ({**KEYS, "relative_action": "${relative_action}"}, DROID, "must be true or false, found"),
        ({**KEYS, "fps": {"oxe_droid": 30}}, DROID, "fps is 30, but .*'oxe_droid' has 15 steps"),
        ({**KEYS, "fps": 10}, DROID, "fps is 10"),
        ({**KEYS, "fps": {"oxe_droid": "15"}}, DROID, "must be positive, found '15'"),
        ({**KEYS, "fps": {"oxe_droid": 0}}, DROID, "must be positive, found 0"),
    ],
)
def test_a_contract_that_says_otherwise_is_refused_by_key(conf, contract, message):
    with pytest.raises(WamError, match=message):
        trained(**conf).require(contract)


def transforms(**modes):
    """The part of a resolved configuration that says how groups were scaled."""
    usual = {"joint_position": "q99", "gripper_position": "q99"}
    rows = [
        {"normalization_modes": {f"{kind}.{g}": m for g, m in (usual | modes).items() if m}}
        for kind in ("state", "action")
    ]
    return {"transforms": {"oxe_droid": {"transforms": [{"scale": 0.95}, *rows]}}}


@pytest.mark.parametrize("mode", ["q99", "min_max", "mean_std"])
def test_the_mode_of_each_group_is_read(mode):
    found = trained(**transforms(joint_position=mode)).modes(DROID)
    assert found["action.joint_position"] == found["state.joint_position"] == mode
    assert found["action.gripper_position"] == "q99"


def test_without_a_configuration_groups_are_scaled_by_quantiles():
    assert set(trained().modes(DROID).values()) == {"q99"}


@pytest.mark.parametrize(
    ("conf", "message"),
    [
        (transforms(gripper_position="binary"), "gripper_position: unknown normalization mode 'bi"),
        (transforms(gripper_position="scale"), "Choices: mean_std, min_max, q99"),
        (transforms(gripper_position=None), "normalization_modes has no 'state.gripper_position'"),
        ({"transforms": {"agibot": {}}}, "transforms has no 'oxe_droid', found agibot"),
        ({"transforms": []}, "transforms must be a mapping, found list"),
        (
            {
                "transforms": {
                    "oxe_droid": {"target_rotations": {"state.joint_position": "rotation_6d"}}
                }
            },
            "target_rotations turns 'state.joint_position'",
        ),
    ],
)
def test_a_scaling_that_is_not_read_is_refused_by_group(conf, message):
    with pytest.raises(WamError, match=message):
        trained(**conf).modes(DROID)


STATISTICS = {"q01": 1.0, "q99": 3.0, "min": 0.0, "max": 4.0, "mean": 2.0, "std": 0.5}


def metadata(**changes):
    """Every group with every statistic."""
    groups = {
        g.name: {name: [value] * g.size for name, value in (STATISTICS | changes).items()}
        for g in DROID.action
    }
    return {"oxe_droid": {"statistics": {"state": groups, "action": groups}}}


@pytest.mark.parametrize(
    ("mode", "at", "beyond"),
    [
        ("q99", {1.0: -1, 2.0: 0, 3.0: 1}, {9.0: 1}),
        ("min_max", {0.0: -1, 2.0: 0, 4.0: 1}, {9.0: 1}),
        ("mean_std", {1.5: -1, 2.0: 0, 2.5: 1}, {9.0: 14}),
    ],
)
def test_each_mode_scales_as_it_is_defined_and_comes_back(mode, at, beyond):
    modes = dict.fromkeys(trained().modes(DROID), mode)
    state = read_scaling(metadata(), DROID, "metadata.json", modes).state
    for value, wanted in {**at, **beyond}.items():
        np.testing.assert_allclose(state.normalise(np.full(8, value)), wanted)
    for value, wanted in at.items():
        np.testing.assert_allclose(state.restore(np.full(8, float(wanted))), value)


@pytest.mark.parametrize(("mode", "constant"), [("q99", 0.5), ("min_max", 0.0), ("mean_std", 0.5)])
def test_a_column_that_never_varied_is_treated_as_the_reference_does(mode, constant):
    columns = Columns(np.array([2.0]), np.array([2.0]), (mode,))
    assert columns.normalise(np.array([0.5])) == constant
    assert columns.restore(np.array([0.7])) == 2.0


@pytest.mark.parametrize(
    ("mode", "change", "message"),
    [
        ("q99", {"q99": 0.5}, "column 0: q01 1 is above q99 0.5, which would turn motion round"),
        ("min_max", {"min": 5.0}, "min 5 is above max 4"),
        ("mean_std", {"std": -1.0}, "std -1 is negative"),
        ("mean_std", {"std": float("nan")}, "std' must be 7 finite numbers"),
    ],
)
def test_statistics_that_run_backwards_are_refused_by_group_and_column(mode, change, message):
    modes = dict.fromkeys(trained().modes(DROID), mode)
    with pytest.raises(WamError, match=f"state.joint_position.*{message}"):
        read_scaling(metadata(**change), DROID, "metadata.json", modes)


@pytest.mark.parametrize("text", ["[1]", "word"])
def test_a_configuration_that_is_no_mapping_is_refused(tmp_path, text):
    (tmp_path / "experiment_cfg").mkdir()
    (tmp_path / "experiment_cfg/conf.yaml").write_text(text)
    with pytest.raises(WamError, match="conf.yaml: expected a mapping"):
        read_trained(tmp_path)
