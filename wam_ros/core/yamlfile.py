"""YAML to frozen dataclasses: unknown keys refused by name, numbers checked to be finite."""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from pathlib import Path
from typing import Any, TypeVar

import yaml

from wam_ros.core.errors import UnknownNameError, WamError

T = TypeVar("T")


def load_yaml(path: Path) -> dict[str, Any]:
    """Read one mapping; a syntax error or another type is a `WamError` that names the file."""
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise WamError(f"{path}: {' '.join(str(error).split())}") from error
    if not isinstance(data, dict):
        raise WamError(f"{path}: expected a mapping, found {type(data).__name__}")
    return data


def from_mapping(cls: type[T], data: object, where: str) -> T:
    """Build dataclass `cls` from a mapping, checking every key and type. `where` names the place in
    errors.
    """
    if not isinstance(data, dict):
        raise WamError(
            f"{where}: expected a mapping for {cls.__name__}, found {type(data).__name__}"
        )
    fields = {f.name: f for f in dataclasses.fields(cls)}  # type: ignore[arg-type]
    hints = typing.get_type_hints(cls)
    for key in data:
        if key not in fields:
            raise WamError(f"{where}: {UnknownNameError('key', str(key), fields)}")
    missing = [
        n
        for n, f in fields.items()
        if n not in data
        and f.default is dataclasses.MISSING
        and f.default_factory is dataclasses.MISSING
    ]
    if missing:
        raise WamError(f"{where}: missing key '{missing[0]}'")
    return cls(**{k: _convert(hints[k], v, f"{where}.{k}") for k, v in data.items()})


def _convert(hint: Any, value: Any, where: str) -> Any:
    origin = typing.get_origin(hint)
    args = typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        if value is None and type(None) in args:
            return None
        return _convert(next(a for a in args if a is not type(None)), value, where)
    if origin is tuple:
        if not isinstance(value, list | tuple):
            raise WamError(f"{where}: expected a list, found {value!r}")
        if args[-1] is not Ellipsis and len(args) != len(value):
            raise WamError(f"{where}: expected {len(args)} values, found {len(value)}")
        hints = [args[0]] * len(value) if args[-1] is Ellipsis else args
        return tuple(
            _convert(h, v, f"{where}[{i}]")
            for i, (h, v) in enumerate(zip(hints, value, strict=True))
        )
    if origin is dict:
        if not isinstance(value, dict):
            raise WamError(f"{where}: expected a mapping, found {value!r}")
        return {str(k): _convert(args[1], v, f"{where}.{k}") for k, v in value.items()}
    if dataclasses.is_dataclass(hint):
        return from_mapping(typing.cast(type, hint), value, where)
    if hint is float and isinstance(value, int | float) and not isinstance(value, bool):
        if not math.isfinite(value):
            raise WamError(f"{where}: {value} is not finite")
        return float(value)
    if isinstance(hint, type) and (
        not isinstance(value, hint) or (hint is int and isinstance(value, bool))
    ):
        raise WamError(f"{where}: expected {hint.__name__}, found {value!r}")
    return value
