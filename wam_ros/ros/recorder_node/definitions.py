"""What a recording says of the types in it, so that it can be read where they are not known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ament_index_python.packages import PackageNotFoundError, get_package_share_directory
from rosbags.typesys import Stores, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore

from wam_ros.core.errors import WamError
from wam_ros.core.resources import share_dir


def ours() -> Typestore:
    """The types of ROS 2 itself and of this package."""
    store = get_typestore(Stores.ROS2_JAZZY)
    _register(store, "wam_ros", share_dir() / "msg")
    return store


class Definitions:
    """Definitions of message types; those of other packages are looked up where ROS installs
    them.
    """

    def __init__(self) -> None:
        self._store = ours()

    def of(self, kind: str) -> tuple[str, str]:
        """The text of a type, with that of the types of its fields, and its hash (REP 2011).

        Args:
            kind: `package/msg/Name`.

        Raises:
            WamError: it, or one of its fields', is installed nowhere.
        """
        self._know(kind)
        text, _ = self._store.generate_msgdef(kind, ros_version=2)
        return text, self._store.hash_rihs01(kind)

    def _know(self, kind: str) -> None:
        package = kind.partition("/")[0]
        if kind not in self._store.fielddefs:
            try:
                folder = Path(get_package_share_directory(package)) / "msg"
            except PackageNotFoundError as error:
                raise WamError(f"the definition of {kind} is not installed") from error
            _register(self._store, package, folder)
        if kind not in self._store.fielddefs:
            raise WamError(f"package '{package}' has no message {kind}")
        for name in _inside(self._store.fielddefs[kind][1]):
            self._know(name)


def _register(store: Typestore, package: str, folder: Path) -> None:
    types: dict[str, Any] = {}
    for path in sorted(folder.glob("*.msg")):
        types |= get_types_from_msg(path.read_text(encoding="utf-8"), f"{package}/msg/{path.stem}")
    store.register({name: found for name, found in types.items() if name not in store.fielddefs})


def _inside(definition: object) -> set[str]:
    """Names of other types in what rosbags keeps of one: nested tuples, with names as strings."""
    if isinstance(definition, str):
        return {definition} if definition.count("/") == 2 else set()
    if isinstance(definition, (tuple, list)):
        return set().union(*(_inside(part) for part in definition))
    return set()
