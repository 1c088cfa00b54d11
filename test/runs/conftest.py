import pytest


@pytest.fixture(scope="session")
def recorded(tmp_path_factory):
    """Folder of the run that `testing.recorded` knows."""
    pytest.importorskip("wam_ros.msg")
    from testing.recorded import write_run

    return write_run(tmp_path_factory.mktemp("run") / "bag")
