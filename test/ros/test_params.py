"""Parameters: bounds, units and names come from the dataclass and nothing else gets in."""

import math
import os
from dataclasses import dataclass

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

rclpy = pytest.importorskip("rclpy")

from rclpy.context import Context  # noqa: E402
from rclpy.node import Node  # noqa: E402
from rclpy.parameter import Parameter  # noqa: E402

from wam_ros.core.errors import WamError  # noqa: E402
from wam_ros.ros.params import check_value, declare, param, to_yaml  # noqa: E402

pytestmark = [pytest.mark.ros, pytest.mark.untimed]


@dataclass(frozen=True)
class Speeds:
    rate_hz: float = param(
        10.0, unit="Hz", low=1.0, high=100.0, doc="ticks per second", mutable=True
    )
    count: int = param(3, low=0, high=9, doc="how many")
    mode: str = param("real", choices=("real", "imagined"), doc="what is remembered")
    name: str = param("", doc="anything")
    open: bool = param(True, doc="whether")
    box: tuple[float, ...] = param((), unit="m", low=-1.0, high=1.0, doc="corners")


@dataclass(frozen=True)
class Ordered:
    low_s: float = param(0.1, unit="s", mutable=True)
    high_s: float = param(0.2, unit="s", mutable=True)

    def __post_init__(self):
        if self.low_s >= self.high_s:
            raise WamError("low_s must be below high_s")


@pytest.fixture
def make():
    context = Context()
    rclpy.init(args=[], context=context, domain_id=int(os.environ["ROS_DOMAIN_ID"]))
    nodes = []

    def make_node(*classes, locked=lambda: False, **overrides):
        values = [Parameter(k, value=v) for k, v in overrides.items()]
        nodes.append(Node("node", context=context, parameter_overrides=values))
        return nodes[-1], declare(nodes[-1], *classes, locked=locked)

    yield make_node
    for node in nodes:
        node.destroy_node()
    rclpy.shutdown(context=context)


def test_defaults_and_overrides_reach_the_instance_and_ros(make):
    node, values = make(Speeds, Ordered, rate_hz=50, mode="imagined", box=[0.5, 1.0])
    assert values[Speeds] == Speeds(rate_hz=50.0, mode="imagined", box=(0.5, 1.0))
    assert values[Ordered] == Ordered()
    assert node.get_parameter("rate_hz").value == 50.0
    assert node.get_parameter("low_s").value == 0.1


@pytest.mark.parametrize(
    ("overrides", "error"),
    [
        ({"rat_hz": 5.0}, r"^unknown parameter 'rat_hz'. Did you mean 'rate_hz'\? Choices: .*box"),
        ({"rate_hz": 500.0}, r"^parameter 'rate_hz' is 500.0 Hz, must be within \[1.0, 100.0\]$"),
        ({"rate_hz": "fast"}, "^parameter 'rate_hz': expected float, found 'fast'$"),
        ({"rate_hz": math.nan}, "^parameter 'rate_hz': nan is not finite$"),
        ({"rate_hz": True}, "^parameter 'rate_hz': expected float, found True$"),
        ({"count": 1.0}, "^parameter 'count': expected int, found 1.0$"),
        ({"count": True}, "^parameter 'count': expected int, found True$"),
        ({"mode": "reel"}, r"^unknown mode 'reel'. Did you mean 'real'\? Choices: imagined, real$"),
        ({"open": "yes"}, "^parameter 'open': expected bool, found 'yes'$"),
        ({"box": [2.0]}, r"^parameter 'box' is 2.0 m, must be within \[-1.0, 1.0\]$"),
        ({"box": "all"}, "^parameter 'box': expected a list, found 'all'$"),
        ({"low_s": 0.5}, "^low_s must be below high_s$"),
    ],
)
def test_a_wrong_value_is_one_line(make, overrides, error):
    with pytest.raises(WamError, match=error):
        make(Speeds, Ordered, **overrides)


def test_setting_obeys_the_same_rules(make):
    node, values = make(Speeds, Ordered)
    assert node.set_parameters([Parameter("rate_hz", value=20.0)])[0].successful
    assert values[Speeds].rate_hz == 20.0
    refused = node.set_parameters([Parameter("rate_hz", value=1000.0)])[0]
    assert not refused.successful
    assert "rate_hz" in refused.reason
    assert values[Speeds].rate_hz == node.get_parameter("rate_hz").value == 20.0
    assert not node.set_parameters([Parameter("low_s", value=0.3)])[0].successful
    both = [Parameter("low_s", value=0.3), Parameter("high_s", value=0.4)]
    assert node.set_parameters_atomically(both).successful
    assert values[Ordered] == Ordered(0.3, 0.4)


def test_a_locked_node_takes_only_mutable_parameters(make):
    locked = []
    node, values = make(Speeds, locked=lambda: bool(locked))
    assert node.set_parameters([Parameter("count", value=5)])[0].successful
    locked.append(True)
    refused = node.set_parameters([Parameter("count", value=6)])[0]
    assert refused.reason == "parameter 'count' can only be set while the node is unconfigured"
    assert node.set_parameters([Parameter("rate_hz", value=30.0)])[0].successful
    assert values[Speeds] == Speeds(rate_hz=30.0, count=5)


def test_ros_shows_unit_sentence_and_range(make):
    node, _ = make(Speeds)
    d = node.describe_parameter("rate_hz")
    assert d.description == "ticks per second [Hz]"
    assert (d.floating_point_range[0].from_value, d.floating_point_range[0].to_value) == (
        1.0,
        100.0,
    )
    assert node.describe_parameter("mode").additional_constraints == "one of real, imagined"


def test_the_yaml_holds_the_defaults_and_is_taken_back(make):
    text = to_yaml("node", Speeds, Ordered)
    values = yaml.safe_load(text)["node"]["ros__parameters"]
    assert {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()} == vars(
        Speeds()
    ) | vars(Ordered())
    assert "# ticks per second; [Hz] 1 to 100" in text
    assert (
        make(Speeds, Ordered, **{k: v for k, v in values.items() if v != []})[1][Speeds] == Speeds()
    )


@given(
    st.floats(allow_nan=True, allow_infinity=True)
    | st.integers()
    | st.text()
    | st.booleans()
    | st.none()
)
def test_no_value_outside_the_bounds_gets_through(value):
    try:
        taken = check_value(Speeds, "rate_hz", value)
    except WamError:
        assert isinstance(value, bool | str | None) or not 1.0 <= value <= 100.0
    else:
        assert isinstance(taken, float)
        assert 1.0 <= taken <= 100.0
        assert taken == value
