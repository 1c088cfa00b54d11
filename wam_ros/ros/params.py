"""ROS parameters from frozen dataclasses: one field is declaration, default, unit, bounds, check
and documentation.
"""

from __future__ import annotations

import dataclasses
import html
import math
import typing
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from rcl_interfaces.msg import (
    FloatingPointRange,
    IntegerRange,
    ParameterDescriptor,
    SetParametersResult,
)
from rclpy.node import Node
from rclpy.parameter import Parameter

from wam_ros.core.errors import UnknownNameError, WamError

T = TypeVar("T")
_ROS_OWN = ("qos_overrides.",)


def param(
    default: Any,
    *,
    unit: str = "",
    low: float | None = None,
    high: float | None = None,
    doc: str = "",
    choices: Iterable[str] = (),
    mutable: bool = False,
) -> Any:
    """A dataclass field that is a ROS parameter.

    Args:
        default: value when nobody sets it; its annotation says bool, int, float, str or a tuple of
            one of them.
        unit: of the value and its bounds.
        low: smallest value allowed, of every item of a tuple.
        high: largest value allowed.
        doc: one sentence.
        choices: the only strings allowed.
        mutable: may be set while the node is configured; the others only before.
    """
    metadata = {
        "unit": unit,
        "low": low,
        "high": high,
        "doc": doc,
        "choices": tuple(choices),
        "mutable": mutable,
    }
    return dataclasses.field(default=default, metadata=metadata)


def check_value(cls: type, name: str, value: Any) -> Any:
    """`value` as the type of field `name`, inside its bounds.

    Raises:
        WamError: wrong type, not finite, out of bounds or not among the choices.
    """
    f = {f.name: f for f in dataclasses.fields(cls)}[name]
    hint = typing.get_type_hints(cls)[name]
    meta = f.metadata
    if typing.get_origin(hint) is tuple:
        value = () if value is None else value  # what rclpy makes of `[]` in a file
        if isinstance(value, str) or not hasattr(value, "__iter__"):
            raise WamError(f"parameter '{name}': expected a list, found {value!r}")
        return tuple(_checked(name, typing.get_args(hint)[0], meta, v) for v in value)
    return _checked(name, hint, meta, value)


def _checked(name: str, kind: type, meta: typing.Mapping[str, Any], value: Any) -> Any:
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    fits = isinstance(value, kind) and not (kind is int and isinstance(value, bool))
    if not fits:
        raise WamError(f"parameter '{name}': expected {kind.__name__}, found {value!r}")
    if kind is float and not math.isfinite(value):
        raise WamError(f"parameter '{name}': {value} is not finite")
    low, high = _bounds(meta)
    if kind in (int, float) and not low <= value <= high:
        unit = f" {meta['unit']}" if meta.get("unit") else ""
        raise WamError(f"parameter '{name}' is {value}{unit}, must be within [{low}, {high}]")
    if meta.get("choices") and value not in meta["choices"]:
        raise UnknownNameError(f"{name}", value, meta["choices"])
    return value


def _bounds(meta: typing.Mapping[str, Any]) -> tuple[float, float]:
    low = meta.get("low")
    high = meta.get("high")
    return (-math.inf if low is None else low, math.inf if high is None else high)


def descriptor(cls: type, name: str) -> ParameterDescriptor:
    """What `ros2 param describe` shows. Dynamically typed so that 50 is taken where 50.0 is
    meant.
    """
    f = {f.name: f for f in dataclasses.fields(cls)}[name]
    hint = typing.get_type_hints(cls)[name]
    meta = f.metadata
    unit = f" [{meta['unit']}]" if meta.get("unit") else ""
    d = ParameterDescriptor(
        name=name, description=f"{meta.get('doc', '')}{unit}", dynamic_typing=True
    )
    if meta.get("choices"):
        d.additional_constraints = f"one of {', '.join(meta['choices'])}"
    elif not meta.get("mutable"):
        d.additional_constraints = "only while the node is unconfigured"
    low, high = _bounds(meta)
    if hint is float and math.isfinite(low) and math.isfinite(high):
        d.floating_point_range = [FloatingPointRange(from_value=float(low), to_value=float(high))]
    if hint is int and math.isfinite(low) and math.isfinite(high):
        d.integer_range = [IntegerRange(from_value=int(low), to_value=int(high), step=1)]
    return d


class Parameters:
    """The values of a node's parameters, one instance per dataclass, kept up to date by ROS.

    Args:
        node: where they are declared.
        classes: frozen dataclasses whose fields become the parameters; names must differ.
        locked: says whether fields that are not mutable are in use.
    """

    def __init__(self, node: Node, classes: Iterable[type], locked: Callable[[], bool]) -> None:
        self._locked = locked
        self._owner = {f.name: cls for cls in classes for f in dataclasses.fields(cls)}
        overrides = {name: p.value for name, p in node._parameter_overrides.items()}
        known = {*self._owner, *(name for name in node._parameters)}
        for name in overrides:
            if name not in known and not name.startswith(_ROS_OWN):
                raise UnknownNameError("parameter", name, known)
        self._values: dict[type, Any] = {cls: self._build(cls, overrides) for cls in classes}
        for name, cls in self._owner.items():
            value = getattr(self._values[cls], name)
            value = list(value) if isinstance(value, tuple) else value
            node.declare_parameter(name, value, descriptor(cls, name), ignore_override=True)
        node.add_on_set_parameters_callback(self._on_set)
        node.add_post_set_parameters_callback(self._after_set)

    def __getitem__(self, cls: type[T]) -> T:
        return self._values[cls]

    @property
    def classes(self) -> tuple[type, ...]:
        """The dataclasses whose fields they are."""
        return tuple(self._values)

    def _build(self, cls: type, overrides: dict[str, Any]) -> Any:
        names = [f.name for f in dataclasses.fields(cls) if f.name in overrides]
        return cls(**{name: check_value(cls, name, overrides[name]) for name in names})

    def _changed(self, parameters: list[Parameter]) -> dict[type, Any]:
        """Instances with these values; raises `WamError` when one is refused."""
        accepted: dict[type, dict[str, Any]] = {}
        for p in parameters:
            if (cls := self._owner.get(p.name)) is None:
                continue
            mutable = next(f for f in dataclasses.fields(cls) if f.name == p.name).metadata.get(
                "mutable"
            )
            if self._locked() and not mutable:
                raise WamError(
                    f"parameter '{p.name}' can only be set while the node is unconfigured"
                )
            accepted.setdefault(cls, {})[p.name] = check_value(cls, p.name, p.value)
        return self._values | {
            c: dataclasses.replace(self._values[c], **new) for c, new in accepted.items()
        }

    def _on_set(self, parameters: list[Parameter]) -> SetParametersResult:
        try:
            self._changed(parameters)
        except WamError as error:
            return SetParametersResult(successful=False, reason=str(error))
        return SetParametersResult(successful=True)

    def _after_set(self, parameters: list[Parameter]) -> None:
        self._values = self._changed(parameters)


def declare(node: Node, *classes: type, locked: Callable[[], bool] = lambda: False) -> Parameters:
    """Declare the fields of `classes` on `node`, with the values given on the command line or in a
    file.

    Raises:
        WamError: an unknown name (did you mean?), a wrong type, a value out of bounds.
    """
    return Parameters(node, classes, locked)


def to_yaml(node_name: str, *classes: type) -> str:
    """The defaults as a `ros_parameters` file, every line with its unit, bounds and sentence."""
    lines = [f"{node_name}:", "  ros__parameters:"]
    for cls in classes:
        for f in dataclasses.fields(cls):
            words = [f.metadata.get("doc", "")] + ([limits] if (limits := _limits(f)) else [])
            lines.append(f"    # {'; '.join(words)}")
            lines.append(f"    {f.name}: {_yaml(f.default)}")
    return "\n".join(lines) + "\n"


def to_markdown(*classes: type) -> str:
    """A table of the parameters for a page: name, default, what is allowed, and the sentence."""
    lines = ["| parameter | default | allowed | meaning |", "|---|---|---|---|"]
    for cls in classes:
        for f in dataclasses.fields(cls):
            words = html.escape(f.metadata.get("doc", ""), quote=False).replace("|", "\\|")
            lines.append(f"| `{f.name}` | `{_yaml(f.default)}` | {_limits(f)} | {words} |")
    return "\n".join(lines) + "\n"


def _limits(f: dataclasses.Field) -> str:
    meta = f.metadata
    (low, high) = _bounds(f.metadata)
    if meta.get("choices"):
        return f"one of {', '.join(meta['choices'])}"
    words = [f"[{meta['unit']}]"] if meta.get("unit") else []
    if math.isfinite(low) or math.isfinite(high):
        words.append(f"{low:g} to {high:g}")
    return " ".join(words)


def _yaml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f'"{value}"'
    return f"[{', '.join(map(_yaml, value))}]" if isinstance(value, tuple) else repr(value)
