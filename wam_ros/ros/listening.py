"""A ROS node for a moment: of a program that listens to a robot and is no node of the loop."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import rclpy
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions

from wam_ros.core.errors import WamError
from wam_ros.ros.environment import ensure


@contextlib.contextmanager
def listening(name: str) -> Iterator[tuple[Node, SingleThreadedExecutor]]:
    """A node that says nothing of its own, and the executor that spins it, in a context of their
    own; Ctrl-C stays Python's.

    Args:
        name: of the node.

    Raises:
        WamError: ROS does not start, or was ended from outside.
    """
    ensure()
    context = rclpy.Context()
    try:
        rclpy.init(args=[], context=context, signal_handler_options=SignalHandlerOptions.NO)
    except RuntimeError as error:
        raise WamError(f"ROS does not start: {' '.join(str(error).split())}") from error
    node = Node(name, context=context, enable_rosout=False, start_parameter_services=False)
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(node)
    try:
        yield node, executor
    except ExternalShutdownException as error:
        raise WamError("the ROS context was shut down") from error
    finally:
        executor.shutdown(timeout_sec=0.5)
        node.destroy_node()
        rclpy.shutdown(context=context)
