"""Robots that come with a description of their own, so that a test can build them anywhere."""

from __future__ import annotations

from wam_ros.core.packages import SCHEMES
from wam_ros.core.resources import config_names, config_path
from wam_ros.core.yamlfile import load_yaml


def shipped() -> list[str]:
    """Names of the embodiments whose description is not in a package of its maker."""
    names = config_names("embodiments")
    urdfs = {n: str(load_yaml(config_path("embodiments", n))["urdf"]) for n in names}
    return [name for name, urdf in urdfs.items() if not urdf.startswith(SCHEMES)]


def vendors() -> list[str]:
    """Names of the others."""
    return sorted({*config_names("embodiments")} - {*shipped()})
