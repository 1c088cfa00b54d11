import socket

import pytest

from wam_ros.core.errors import WamError
from wam_ros.demo.args import INTERACTIVE, DemoArgs, check_args, make_log_folder

HEADLESS = {"headless": True}


def refused(message, **given):
    with pytest.raises(WamError, match=message) as caught:
        check_args(DemoArgs(**(HEADLESS | given)))
    assert "\n" not in str(caught.value)


def test_the_defaults_can_be_run():
    check_args(DemoArgs(headless=True))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"episodes": 0}, "--episodes"),
        ({"rate": 0.0}, "--rate"),
        ({"rate": 0.5, "real_time": True}, "--real-time has rate 1, found --rate 0.5"),
        ({"rate": float("nan")}, "--rate"),
        ({"time_limit": -1.0}, "--time-limit"),
        ({"seed": -1}, "--seed"),
        ({"domain_id": 230}, "--domain-id"),
        ({"steps": -1}, "--steps"),
        ({"headless": False, "port": 0}, "port must be between 1 and 65535, found 0"),
        ({"instruction": ""}, "blank"),
        ({"instruction": "   "}, "blank"),
        ({"instruction": "red " * 2500}, "10000 characters"),
        ({"instruction": "red\nblock"}, "unprintable"),
        ({"instruction": "red block", "swap": True}, "--swap"),
        ({"embodiment": "pandda"}, "Did you mean 'panda'"),
        ({"model": "nonsense"}, "unknown model 'nonsense'"),
        ({"checkpoint": "/nowhere/x.safetensors"}, "/nowhere/x.safetensors"),
        ({"json": "/nowhere/x.json"}, "'/nowhere' does not exist"),
    ],
)
def test_what_cannot_work_is_refused_in_one_line(given, message):
    refused(message, **given)


def test_outputs_are_checked_before_the_start_and_leave_nothing(tmp_path):
    check_args(
        DemoArgs(headless=True, json=str(tmp_path / "a.json"), record=str(tmp_path / "a.mp4"))
    )
    assert list(tmp_path.iterdir()) == []
    refused("folder", json=str(tmp_path))
    refused(".mp4", record=str(tmp_path / "a.avi"))
    refused(".png", strip=str(tmp_path / "a.jpg"))


def test_a_folder_that_refuses_files_is_named():
    refused("cannot be written", json="/proc/a.json")
    with pytest.raises(WamError, match="--logs /proc/x"):
        make_log_folder("/proc/x")


def test_a_port_in_use_is_named():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        s.listen()
        port = s.getsockname()[1]
        refused(f"port {port} on 127.0.0.1 is in use", headless=False, port=port)
        check_args(DemoArgs(headless=True, port=port))  # nobody needs it


def test_episodes_are_endless_only_with_somebody_watching():
    assert DemoArgs().n_episodes == INTERACTIVE
    assert DemoArgs(headless=True).n_episodes == 5
    assert DemoArgs(episodes=3).n_episodes == 3


def test_log_folder_is_made(tmp_path):
    assert make_log_folder(str(tmp_path / "a" / "b")).is_dir()
    made = make_log_folder("")
    assert made.is_dir()
    made.rmdir()
