"""Recordings as `ros2 bag record --storage mcap` writes them, of messages that a test makes."""

import array

import numpy as np
from rosbags.rosbag2 import StoragePlugin, Writer

from wam_ros.ros.recorder_node.definitions import ours


def name_of(kind):
    """`package/msg/Name` of a message class."""
    return f"{kind.__module__.partition('.')[0]}/msg/{kind.__name__}"


class Bag:
    """A recording that is written while the block runs.

    Args:
        folder: that it becomes.
        namespace: of the loop.
    """

    def __init__(self, folder, namespace="/"):
        self._store, self._prefix, self._connections = ours(), namespace, {}
        self._writer = Writer(folder, version=9, storage_plugin=StoragePlugin.MCAP)

    def __enter__(self):
        self._writer.open()
        return self

    def __exit__(self, *_):
        self._writer.close()

    def write(self, topic, recorded_ns, message):
        """One message, recorded at that time of the system clock."""
        name = name_of(type(message))
        if topic not in self._connections:
            self._connections[topic] = self._writer.add_connection(
                self._prefix + topic, name, typestore=self._store
            )
        data = self._store.serialize_cdr(self._like(message), name)
        self._writer.write(self._connections[topic], recorded_ns, data)

    def _like(self, value):
        """A message of rclpy as one of rosbags; its fields as they are."""
        if hasattr(value, "get_fields_and_field_types"):
            fields = value.get_fields_and_field_types()
            cls = self._store.types[name_of(type(value))]
            return cls(**{name: self._like(getattr(value, name)) for name in fields})
        if isinstance(value, array.array):
            return np.array(value)
        if isinstance(value, bytes):
            return value[0]
        if isinstance(value, list):
            return [self._like(v) for v in value]
        return value
