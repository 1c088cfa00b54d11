"""`wam calibrate camera`: a known camera is found again in rendered pictures."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pinocchio as pin
import pytest

pytest.importorskip("mujoco")
pytest.importorskip("cv2")

from wam_ros import cli
from wam_ros.core.embodiment import Mount, load_embodiment
from wam_ros.core.resources import config_names, config_path

from .rendered import BOARD, SIZE, TAGS, save, shoot

ON_HAND = Mount("panda_hand", (0.06, 0.01, 0.02), (0.1, -0.15, 1.6), 60.0, SIZE)
BEFORE = Mount("base_link", (1.0, 0.2, 0.6), (-2.1, 0.05, 1.8), 45.0, SIZE)


@pytest.fixture(autouse=True)
def wide(monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")


@pytest.fixture(scope="module")
def on_hand(tmp_path_factory):
    e, shots = shoot("panda", ON_HAND, BOARD, 0.3)
    return save(tmp_path_factory.mktemp("on_hand") / "shots", e, shots), e, shots


@pytest.fixture(scope="module")
def before(tmp_path_factory):
    e, shots = shoot("ur5e", BEFORE, TAGS, 0.55, held_by="tool0")
    return save(tmp_path_factory.mktemp("before") / "shots", e, shots), e, shots


def mine(folder: Path, name: str, view: str) -> Path:
    """A robot of one's own like a shipped one, whose first camera is called `view`."""
    text = config_path("embodiments", name).read_text()
    text = re.sub(r"name: front", f"name: {view}", text)
    (folder / "mine.yaml").write_text(text)
    return folder / "mine.yaml"


def board_words(board):
    fields = ("kind", "columns", "rows", "square", "marker")
    return [w for f in fields for w in (f"--board.{f}", str(getattr(board, f)))]


def calibrate(*words) -> int:
    return cli.main(["calibrate", "camera", *map(str, words)])


def off(found: Mount, told: Mount) -> tuple[float, float]:
    """m and degrees between two mounts."""
    a, b = (pin.SE3(pin.rpy.rpyToMatrix(*m.rpy), np.array(m.xyz)) for m in (found, told))
    apart = a.actInv(b)
    return float(np.linalg.norm(apart.translation)), float(
        np.rad2deg(np.linalg.norm(pin.log3(apart.rotation)))
    )


def check_found(path: Path, view: str, told: Mount):
    camera = next(c for c in load_embodiment(str(path)).cameras if c.name == view)
    apart_m, apart_deg = off(camera.mount, told)
    assert apart_m < 0.002, f"{1e3 * apart_m:.2f} mm"
    assert apart_deg < 0.3, f"{apart_deg:.3f} degrees"
    assert camera.mount.parent == told.parent
    assert camera.mount.fov == pytest.approx(told.fov, abs=0.5)
    assert camera.calibration.size == SIZE
    # OpenCV counts from the middle of the first pixel
    assert camera.calibration.centre == pytest.approx((319.5, 239.5), abs=4)


def test_a_camera_on_the_hand_is_found_within_2_mm_and_0_3_degrees(on_hand, tmp_path, capsys):
    path = mine(tmp_path, "panda", "eye")
    before = path.read_text()
    words = ["--parent", "panda_hand", *board_words(BOARD)]
    assert calibrate(path, "eye", on_hand[0], *words) == 0
    check_found(path, "eye", ON_HAND)
    said = capsys.readouterr().out
    assert "17.png" in said
    assert "camera in panda_hand" in said
    kept = [line for line in before.splitlines() if "mount" not in line]
    after = path.read_text().splitlines()
    assert [line for line in kept if line not in after] == [], "comments and all else"


def test_a_camera_that_stands_is_found_by_tags_in_the_hand(before, tmp_path):
    path = mine(tmp_path, "ur5e", "eye")
    words = ["--parent", "base_link", "--held-by", "tool0", *board_words(TAGS)]
    assert calibrate(path, "eye", before[0], *words) == 0
    check_found(path, "eye", BEFORE)


def test_pictures_that_do_not_fit_are_left_out_by_name(on_hand, tmp_path, capsys):
    _, e, shots = on_hand
    odd = [(p, q.copy()) for p, q in shots]
    odd[3][1][5] += 0.2  # the joints of another moment
    odd[7] = (np.full_like(odd[7][0], 128), odd[7][1])
    path = mine(tmp_path, "panda", "eye")
    words = ["--parent", "panda_hand", *board_words(BOARD)]
    assert calibrate(path, "eye", save(tmp_path / "odd", e, odd), *words) == 0
    check_found(path, "eye", ON_HAND)
    rows = {
        line.split("│")[1].strip(): line
        for line in capsys.readouterr().out.splitlines()
        if "│" in line
    }
    assert "left out: its error is" in rows["03.png"]
    assert "left out: no board found" in rows["07.png"]
    assert "left out" not in rows["04.png"]


def test_poses_that_are_too_alike_are_refused_and_nothing_is_written(on_hand, tmp_path, capsys):
    _, e, shots = on_hand
    # the board moves, the arm says that it turns about one axis only
    alike = []
    for k, (picture, _) in enumerate(shots):
        q = np.array(e.home)
        q[6] += 0.04 * k
        alike.append((picture, q))
    path = mine(tmp_path, "panda", "eye")
    text = path.read_text()
    words = ["--parent", "panda_hand", *board_words(BOARD)]
    assert calibrate(path, "eye", save(tmp_path / "alike", e, alike), *words) == 2
    assert "the poses are too alike" in capsys.readouterr().err
    assert path.read_text() == text


def test_joints_of_other_pictures_are_refused(on_hand, tmp_path, capsys):
    _, e, shots = on_hand
    mixed = [(p, shots[(5 * k + 2) % len(shots)][1]) for k, (p, _) in enumerate(shots)]
    path = mine(tmp_path, "panda", "eye")
    words = ["--parent", "panda_hand", *board_words(BOARD)]
    assert calibrate(path, "eye", save(tmp_path / "mixed", e, mixed), *words) == 2
    assert "do the joints belong to the pictures" in capsys.readouterr().err


def test_without_joints_only_the_lens_is_found(on_hand, tmp_path, capsys):
    _, e, shots = on_hand
    path = mine(tmp_path, "panda", "eye")
    told = load_embodiment(str(path)).cameras[0].mount
    assert (
        calibrate(path, "eye", save(tmp_path / "lens", e, shots, joints=False), *board_words(BOARD))
        == 0
    )
    assert "where the camera stands is not looked for" in capsys.readouterr().out
    camera = load_embodiment(str(path)).cameras[0]
    assert camera.mount == told
    focal = 240 / np.tan(np.deg2rad(30))
    assert camera.calibration.focal == pytest.approx((focal, focal), rel=0.01)


REFUSED = {
    "shipped": (
        ["panda", "front"],
        "shipped with this package: name a file of your own with --out",
    ),
    "other camera": (["mine.yaml", "side"], "unknown camera 'side'"),
    "other link": (["mine.yaml", "eye", "--parent", "hand"], "unknown frame 'hand'"),
    "marker": (["mine.yaml", "eye", "--board.marker", "0.05"], "--board.marker must be between"),
    "dictionary": (["mine.yaml", "eye", "--board.dictionary", "DICT_X"], "--board.dictionary"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_makes_no_sense_is_refused_by_name(kind, on_hand, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    mine(tmp_path, "panda", "eye")
    words, complaint = REFUSED[kind]
    assert calibrate(*words[:2], on_hand[0], *words[2:]) == 2
    assert complaint in capsys.readouterr().err


def test_a_board_is_drawn_to_be_printed(tmp_path):
    import cv2

    assert cli.main(["calibrate", "board", str(tmp_path / "board.png"), *board_words(BOARD)]) == 0
    drawn = cv2.imread(str(tmp_path / "board.png"), cv2.IMREAD_GRAYSCALE)
    assert drawn.shape == (6 * 120, 8 * 120)
    assert 0.3 < (drawn < 128).mean() < 0.9


@pytest.mark.parametrize("name", config_names("embodiments"))
def test_a_file_that_is_edited_keeps_everything_else(name, tmp_path):
    from wam_ros.calibration.yaml_edit import edit

    path = config_path("embodiments", name)
    edit(path, tmp_path / "same.yaml", lambda data: None)
    assert (tmp_path / "same.yaml").read_text() == path.read_text()


@pytest.mark.ros
def test_a_bag_gives_a_picture_for_each_stand_of_the_arm(on_hand, tmp_path, capsys):
    writer = pytest.importorskip("rosbags.rosbag2")
    from rosbags.typesys import Stores, get_typestore

    _, e, shots = on_hand
    store = get_typestore(Stores.ROS2_JAZZY)
    of = store.types
    kinds = {"joint_states": "sensor_msgs/msg/JointState", "eye/image_raw": "sensor_msgs/msg/Image"}
    with writer.Writer(
        tmp_path / "bag", version=9, storage_plugin=writer.StoragePlugin.MCAP
    ) as bag:
        topics = {t: bag.add_connection(f"/{t}", k, typestore=store) for t, k in kinds.items()}

        def say(topic, t, **fields):
            ns = round((1_700_000_000 + t) * 10) * 10**8
            stamp = of["builtin_interfaces/msg/Time"](sec=ns // 10**9, nanosec=ns % 10**9)
            header = of["std_msgs/msg/Header"](stamp=stamp, frame_id="")
            message = of[kinds[topic]](header=header, **fields)
            bag.write(topics[topic], ns, store.serialize_cdr(message, kinds[topic]))

        # a second of each stand, pictures thrice, and a way of half a second between two
        for k, (picture, q) in enumerate(shots):
            before = shots[max(k - 1, 0)][1]
            for tick in range(15):
                here = before + (q - before) * min(1.0, tick / 5)
                still = {"velocity": 0 * q, "effort": 0 * q}
                say(
                    "joint_states",
                    1.5 * k + tick / 10,
                    name=list(e.joint_names),
                    position=here,
                    **still,
                )
                if tick in (2, 9, 12):
                    data = np.ascontiguousarray(picture).ravel()
                    h, w = picture.shape[:2]
                    size = {"height": h, "width": w, "step": 3 * w}
                    say(
                        "eye/image_raw",
                        1.5 * k + tick / 10,
                        data=data,
                        encoding="rgb8",
                        is_bigendian=0,
                        **size,
                    )
    path = mine(tmp_path, "panda", "eye")
    path.write_text(path.read_text().replace("front/image_raw", "eye/image_raw"))
    words = ["--parent", "panda_hand", *board_words(BOARD)]
    assert calibrate(path, "eye", tmp_path / "bag", *words) == 0
    check_found(path, "eye", ON_HAND)
    rows = [line for line in capsys.readouterr().out.splitlines() if " s " in line and "│" in line]
    assert len(rows) == len(shots)


@pytest.mark.ros
def test_the_same_is_taken_from_the_topics_of_a_robot_that_runs(on_hand):
    import threading

    import rclpy
    from sensor_msgs.msg import Image, JointState

    from wam_ros.calibration.pictures import listen
    from wam_ros.core.embodiment import Camera
    from wam_ros.ros import convert, qos

    _, e, shots = on_hand
    context = rclpy.Context()
    rclpy.init(args=[], context=context)
    node = rclpy.create_node("robot", context=context)
    pictures = node.create_publisher(Image, "eye/image_raw", qos.IMAGE)
    states = node.create_publisher(JointState, "joint_states", qos.JOINTS)
    done = threading.Event()

    def run():
        # stamps are the robot's own: half a second of each stand takes a tenth
        tick = 0
        while not done.is_set():
            picture, q = shots[(tick // 20) % 2]
            ns = 1_700_000_000 * 10**9 + tick * 5 * 10**7
            msg = JointState(name=list(e.joint_names), position=q.tolist())
            msg.header.stamp = convert.ns_to_time(ns)
            states.publish(msg)
            if tick % 20 in (0, 10):
                pictures.publish(convert.numpy_to_image(picture, ns, "eye"))
            tick += 1
            done.wait(0.01)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        taken = listen(e, Camera("eye", "eye/image_raw"), 3.0)
    finally:
        done.set()
        thread.join()
        node.destroy_node()
        rclpy.shutdown(context=context)
    assert len(taken) >= 2
    for shot in taken:
        k = int(np.argmin([np.abs(shot.q - q).max() for _, q in shots[:2]]))
        np.testing.assert_allclose(shot.q, shots[k][1], atol=1e-9)
        np.testing.assert_array_equal(shot.picture, shots[k][0])
