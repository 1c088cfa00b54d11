"""What the launch files share: declaring arguments, reading them, and ends that are ends of all."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterable

from launch.actions import DeclareLaunchArgument, Shutdown
from launch.events.process import ProcessExited
from launch.launch_context import LaunchContext
from launch.substitutions import LaunchConfiguration

from wam_ros.core import with_parent
from wam_ros.ros.launching.arguments import ARGUMENTS


def declared(names: Iterable[str]) -> list[DeclareLaunchArgument]:
    """The arguments of a launch file with their defaults, choices and descriptions."""
    return [
        DeclareLaunchArgument(
            name,
            default_value=ARGUMENTS[name].default,
            description=ARGUMENTS[name].doc,
            choices=ARGUMENTS[name].choices or None,
        )
        for name in names
    ]


def values_of(names: Iterable[str], context: LaunchContext) -> dict[str, str]:
    """What the arguments of a launch file are."""
    return {name: LaunchConfiguration(name).perform(context) for name in names}


def process(name: str, context: LaunchContext) -> dict[str, str]:
    """Keyword of every process that is started: the words in front of its command.

    With them it ends when this launch does, however. Behind them stands what `ros2 launch
    --launch-prefix` wants, which a prefix of one's own would replace.
    """
    asked = context.launch_configurations
    applies = re.match(asked.get("launch-prefix-filter", ""), name)
    wanted = asked.get("launch-prefix", "") if applies else ""
    ours = shlex.join(with_parent.prefix(os.getpid()))
    return {"prefix": f"{ours} {wanted}".rstrip()}


def end_together(event: ProcessExited, context: LaunchContext) -> Shutdown | None:
    """When one node of the loop ends, all end: what the arm was last told brings it to rest.

    Raises:
        RuntimeError: it failed or was killed. The launch then ends all as well, and itself with
            exit code 1.
    """
    if context.is_shutdown:
        return None
    if event.returncode:
        raise RuntimeError(
            f"{event.process_name} ended with exit code {event.returncode} (see above)"
        )
    return Shutdown(reason=f"{event.process_name} ended")


def end_if_failed(event: ProcessExited, context: LaunchContext) -> None:
    """When what prepares the robot fails, all end.

    Raises:
        RuntimeError: it failed or was killed.
    """
    if event.returncode:
        end_together(event, context)
