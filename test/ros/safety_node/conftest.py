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
    finish_reading()


def finish_reading():
    """Wait for the thread that reads an octomap to end."""
    for thread in threading.enumerate():
        if thread.name == "octomap":
            thread.join(30.0)
            assert not thread.is_alive()
