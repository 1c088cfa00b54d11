"""What a file of parameters says to a node is judged before anything starts."""

import pytest

pytest.importorskip("rclpy")

from wam_ros.core.errors import WamError
from wam_ros.core.resources import share_dir
from wam_ros.ros.launching.parameter_files import KNOWN, require_parameters


def write(tmp_path, text):
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    return path


def said(node, words):
    return f"/**/{node}: {{ros__parameters: {{{words}}}}}\n"


@pytest.mark.parametrize(
    ("node", "words", "refusal"),
    [
        ("safety_node", "tcp_sped: 0.1", "unknown parameter of safety_node 'tcp_sped'.*tcp_speed"),
        ("safety_node", "tcp_speed: 1000.0", "'tcp_speed' is 1000.0 m/s, must be within"),
        ("safety_node", "tcp_speed: fast", "'tcp_speed': expected float, found 'fast'"),
        ("safety_node", "dry_run: 1", "'dry_run': expected bool, found 1"),
        ("safety_node", "deadline_s: .nan", "'deadline_s': nan is not finite"),
        ("bridge_node", "rate_hz: 5", "'rate_hz' is 5.0 Hz, must be within"),
        ("bridge_node", "points: qintic", "unknown points 'qintic'. Did you mean 'quintic'"),
        ("inference_node", "imagination: wild", "unknown imagination 'wild'"),
        ("view_node", "arm_hz: 0", "'arm_hz' is 0.0 Hz, must be within"),
        ("camera_node", "max_age_s: [1.0]", r"'max_age_s': expected float, found \[1.0\]"),
        ("camera_node", "max_age_s: 100", "'max_age_s' is 100.0 s, must be within"),
        ("safety_node", "tick_hz: 1", "'tick_hz' is 1.0 Hz, must be within"),
        ("safety_node", "planes: [0.0, 0.0, 0.0, 1.0]", "the normal not zero"),
        ("sim_node", "camera_hz: 1000", "'camera_hz' is 1000.0 Hz, must be within"),
        ("sim_node", "controller: joint_trajectori", "Did you mean 'joint_trajectory'"),
        ("sim_node", "autostart: 1", "'autostart': expected bool, found 1"),
        ("sim_node", "sed: 1", "unknown parameter of sim_node 'sed'.*seed"),
        ("sim_node", "use_sim_time: 'yes'", "'use_sim_time': expected bool, found 'yes'"),
    ],
)
def test_a_wrong_name_kind_or_value_is_refused_by_node_and_name(tmp_path, node, words, refusal):
    with pytest.raises(WamError, match=refusal) as error:
        require_parameters(write(tmp_path, said(node, words)))
    assert str(error.value).startswith(f"/**/{node}: ")


def test_a_node_below_a_namespace_is_judged_too(tmp_path):
    nested = "left: {arm: {bridge_node: {ros__parameters: {rate_hz: 5.0}}}}"
    with pytest.raises(WamError, match="left/arm/bridge_node: .*'rate_hz'"):
        require_parameters(write(tmp_path, nested))


@pytest.mark.parametrize("node", KNOWN)
def test_what_is_shipped_and_what_others_are_told_is_taken(tmp_path, node):
    require_parameters(share_dir() / "config" / f"{node.removesuffix('_node')}.yaml")
    shipped = (share_dir() / "config" / f"{node.removesuffix('_node')}.yaml").read_text()
    others = (
        "/**: {ros__parameters: {use_sim_time: true}}\n"
        "move_group: {ros__parameters: {anything: [1, two]}}\n"
        "/a/safety_node: {ros__parameters: {qos_overrides: {/x: 1}, tcp_speed: 1}}\n"
    )
    require_parameters(write(tmp_path, shipped + others))


@pytest.mark.parametrize("text", ["", "[]", "a: 1", "a: {b: 2}", "safety_node: {}", "a: [b"])
def test_what_holds_no_parameters_is_refused(tmp_path, text):
    with pytest.raises(WamError):
        require_parameters(write(tmp_path, text))
