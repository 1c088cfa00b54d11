"""What the tests of MoveIt's octomap share."""

import threading

import pytest


@pytest.fixture
def gate(monkeypatch):
    """Octomaps are read while it is set, as it is at first."""
    from wam_ros.ros.safety_node import octomap_reader

    gate = threading.Event()
    gate.set()
    read = octomap_reader.occupied_voxels

    def wait_and_read(*given):
        assert gate.wait(30.0)
        return read(*given)

    monkeypatch.setattr(octomap_reader, "occupied_voxels", wait_and_read)
    yield gate
    gate.set()


def finish_reading(reader):
    """Wait until an `OctomapReader` has read what it was given."""
    reader._pool.submit(lambda: None).result(30.0)
