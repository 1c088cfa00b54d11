import socket

import pytest

from wam_ros.core.errors import WamError
from wam_ros.demo.args import INTERACTIVE, DemoArgs, check_args, make_log_folder
from wam_ros.sim import names

HEADLESS = {"headless": True}
LIBERO = {"embodiment": "libero_panda"}


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
        ({"task": "pick_blok"}, "Did you mean 'pick_block'"),
        ({"task": "libero_object/3"}, "for embodiment 'libero_panda': 'panda' has view 'front'"),
        ({"task": "libero_object", **LIBERO}, "is a suite: one task of it is"),
        ({"task": "libero_object/3", "time_limit": 0.0}, "--time-limit"),
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


def test_a_task_of_libero_takes_what_its_judges_allow_and_has_no_blocks(monkeypatch):
    task = {"task": "libero_object_swap/3", **LIBERO}
    assert DemoArgs(**task).limit_s == 14.0
    assert DemoArgs(**task, time_limit=3.0).limit_s == 3.0
    assert DemoArgs().limit_s == DemoArgs(task="reach").limit_s == 8.0
    monkeypatch.setattr(names, "find_spec", lambda name: None)
    refused("needs LIBERO .* run `make libero`", **task)
    monkeypatch.setattr(names, "find_spec", lambda name: object())
    check_args(DemoArgs(**HEADLESS, **task))
    for more in ({"nudge": True}, {"swap": True}):
        refused("has no blocks: leave out --nudge and --swap", **task, **more)
