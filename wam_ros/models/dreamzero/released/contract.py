"""What a released checkpoint agreed on with its robot: views, joint groups, rates and prompt, in
one YAML file.

These files are not in `config/embodiments`, which lists robots that can be driven: a contract has
no joint limits, no description and no controller. It says how the columns of one checkpoint are to
be read, and `robots` in it names the embodiments whose joints and cameras they are known to fit.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from wam_ros.core.errors import WamError, require_known
from wam_ros.core.resources import config_path
from wam_ros.core.yamlfile import from_mapping, load_yaml


@dataclass(frozen=True)
class JointGroup:
    """Neighbouring columns of the state or action vector."""

    name: str
    size: int
    # actions only: differences to the state of the same name when the chunk began
    relative: bool = False


@dataclass(frozen=True)
class Binding:
    """How an embodiment's joints and cameras fill a contract."""

    # one per column of the state; actions begin with the same groups, and those after them (what a
    # base with wheels should do) nobody carries out
    joints: tuple[str, ...]
    # view of the contract -> camera of the embodiment; what is left out stays black
    views: dict[str, str]
    low: dict[str, float] = field(default_factory=dict)  # joint -> rad or m at a column's 0
    high: dict[str, float] = field(default_factory=dict)  # joint -> rad or m at a column's 1


@dataclass(frozen=True)
class Contract:
    """Everything around the networks that training fixed."""

    name: str  # tag in `metadata.json`
    id: int  # number in the training data
    prompt: str  # {instruction} stands for the lower-cased instruction
    # rows of view names; a name repeated is stretched, '' stays black
    canvas: tuple[tuple[str, ...], ...]
    views: tuple[str, ...] = ()  # the training data's order
    source_height: int = 0  # px of a camera picture; 0: not known
    source_width: int = 0
    view_height: int = 176  # px of a view on the canvas
    view_width: int = 320
    crop: float = 0.95  # centre part that is kept, each way
    state: tuple[JointGroup, ...] = ()
    action: tuple[JointGroup, ...] = ()  # empty: only prompt and canvas are known
    step_period_s: float = 0.0  # between actions
    frame_stride: int = 3  # control steps between two frames
    robots: dict[str, Binding] = field(default_factory=dict)  # by embodiment

    @property
    def state_dim(self) -> int:
        """Columns of the state that are used."""
        return sum(g.size for g in self.state)

    @property
    def action_dim(self) -> int:
        """Columns of the actions that are used."""
        return sum(g.size for g in self.action)

    def binding(self, embodiment: str) -> Binding:
        """How `embodiment` fills this contract; raises `WamError` with the ones that are
        known to.
        """
        return self.robots[
            require_known(f"robot of the contract '{self.name}'", embodiment, self.robots)
        ]


def load_contract(name: str) -> Contract:
    """Read `config/contracts/<name>.yaml`, or a path ending in .yaml.

    Raises:
        WamError: unknown name (with the choices), unknown key, or entries that contradict each
            other.
    """
    path = config_path("contracts", name)
    c = from_mapping(Contract, load_yaml(path), str(path))
    if "{instruction}" not in c.prompt:
        raise WamError(f"{path}: prompt must contain {{instruction}}")
    if not c.canvas or len({len(row) for row in c.canvas}) != 1 or not c.canvas[0]:
        raise WamError(f"{path}: canvas must have rows of one length")
    if not 0 < c.crop <= 1 or min(c.view_height, c.view_width, c.frame_stride) < 1:
        raise WamError(
            f"{path}: crop must be in (0, 1]; view size and frame_stride must be positive"
        )
    shown = {v for row in c.canvas for v in row if v}
    if c.views and not shown <= set(c.views):
        raise WamError(f"{path}: canvas shows {sorted(shown - set(c.views))}, which are no views")
    states = {g.name: g.size for g in c.state}
    for group in (*c.state, *c.action):
        if group.size < 1:
            raise WamError(f"{path}: group '{group.name}' needs a positive size")
    for group in c.action:
        if group.relative and states.get(group.name) != group.size:
            raise WamError(
                f"{path}: relative action '{group.name}' needs a state of the same name and size"
            )
    for robot, binding in c.robots.items():
        _require_bound(c, binding, f"{path}: robots.{robot}")
    return c


def _require_bound(c: Contract, binding: Binding, where: str) -> None:
    begun = [(g.name, g.size) for g in c.action[: len(c.state)]]
    if [(g.name, g.size) for g in c.state] != begun or len(binding.joints) != c.state_dim:
        raise WamError(
            f"{where}: {len(binding.joints)} joints for {c.state_dim} columns, or actions that "
            "begin with other groups than the state"
        )
    if unknown := set(binding.views) - set(c.views):
        raise WamError(
            f"{where}: {sorted(unknown)} are no views of this contract: {', '.join(c.views)}"
        )
    if set(binding.low) != set(binding.high) or not set(binding.low) <= set(binding.joints):
        raise WamError(f"{where}: low and high must name the same joints, all of them bound")
    if any(binding.low[j] == binding.high[j] for j in binding.low):
        raise WamError(f"{where}: low and high of a joint must differ")
