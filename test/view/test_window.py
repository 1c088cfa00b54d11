import dataclasses
import socket
import urllib.request

import numpy as np
import pytest

from wam_ros.core.embodiment import load_embodiment
from wam_ros.core.errors import WamError

pytest.importorskip("viser")
from wam_ros.view.window import Box, Window, plain

PANDA = load_embodiment("panda")


@pytest.fixture(scope="module")
def port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


@pytest.fixture(scope="module")
def window(port):
    made = Window(PANDA, port=port)
    yield made
    made.close()


def test_the_page_is_served_and_takes_every_update(window, port):
    q = np.array(PANDA.home)
    window.show_joints(q)
    window.show_plan(q, np.zeros((5, 3)))
    window.show_plan(None, None)
    window.show_images(np.zeros((20, 30, 3), np.uint8))
    window.show_state([("safety", "armed")])
    window.show_instruction("pick up the red block")
    block = Box("red", (0.5, 0.0, 0.02), (1.0, 0.0, 0.0, 0.0), (0.04, 0.04, 0.04), (0.85, 0.1, 0.1))
    window.show_objects([block])
    window.show_objects([dataclasses.replace(block, position=(0.5, 0.0, 0.1))])
    assert list(window._objects) == ["red"]
    assert tuple(window._objects["red"].position) == (0.5, 0.0, 0.1)
    with urllib.request.urlopen(f"http://127.0.0.1:{port}") as page:
        assert page.status == 200
    assert not window.watched
    assert window.take_actions() == []


def test_the_path_is_shown_only_with_a_plan(window):
    window.show_plan(np.array(PANDA.home), np.zeros((5, 3)))
    assert window._path.visible
    window.show_plan(None, None)
    assert not window._path.visible


def test_a_new_instruction_does_not_replace_what_a_person_is_writing(window):
    window._instruction.value = ""
    window._filled_in = ""
    window.show_instruction("pick up the red block")
    assert window._instruction.value == "pick up the red block"
    window._instruction.value = "pick up the bl"  # as the browser sends it
    window.show_instruction("grab the green block")
    assert window._instruction.value == "pick up the bl"
    window._instruction.value = "pick up the blue block"  # and follows it
    window.show_instruction("pick up the blue block")
    window.show_instruction("grab the red cube")
    assert window._instruction.value == "grab the red cube"


def test_a_second_page_on_the_same_port_is_refused_by_name(window, port):
    with pytest.raises(WamError, match=str(port)):
        Window(PANDA, port=port)


def test_markdown_in_a_sentence_is_shown_as_it_is():
    assert plain("**joint_1**\n<b>") == "\\*\\*joint\\_1\\*\\* \\<b\\>"
