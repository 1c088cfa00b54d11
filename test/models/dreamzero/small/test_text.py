"""Instructions of a closed vocabulary, in whatever script they come."""

import unicodedata

import pytest

pytest.importorskip("torch")

from wam_ros.core.errors import WamError
from wam_ros.models.dreamzero.small.config import load_model_config
from wam_ros.models.dreamzero.small.words import words_of

CONFIG = load_model_config("tiny")


def read(text):
    return words_of(text, CONFIG.text, CONFIG.transformer.text_len)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("把红色的方块拿起来", "never learned '把红色的方块拿起来'"),
        ("pick up the réd block", "never learned 'réd'"),
        (unicodedata.normalize("NFD", "pick up the réd block"), "never learned 'réd'"),
        ("не pick up the red block", "never learned 'не'"),
        ("赤い red block", "never learned '赤い'"),
        ("…!?", r"has no words: '…!\?'; known words: pick"),
        ("🤖", "has no words: '🤖'"),
        ("", "the instruction is empty; known"),
        ("  \n", "the instruction is empty; known"),
    ],
)
def test_words_of_other_scripts_are_named_and_never_dropped(text, words):
    """A word that is left out in silence turns "do not" into "do"."""
    with pytest.raises(WamError, match=words):
        read(text)


def test_signs_and_capitals_do_no_harm():
    assert read("Pick up: the RED_block!") == read("pick up the red block")
