import pytest

from wam_ros.view.confirmation import Confirmation

ASKED = 100.0
GOOD = ASKED + Confirmation.SOONEST_S


def asked(action="arm"):
    confirmation = Confirmation()
    return confirmation, confirmation.ask(action, ASKED).nonce


def test_the_number_that_was_told_confirms_what_was_asked():
    confirmation, nonce = asked()
    assert confirmation.why_not_confirmed("arm", nonce, GOOD) == ""


def test_a_number_is_good_once():
    confirmation, nonce = asked()
    confirmation.why_not_confirmed("arm", nonce, GOOD)
    assert "nothing was asked" in confirmation.why_not_confirmed("arm", nonce, GOOD)


def test_a_wrong_answer_uses_it_up():
    confirmation, nonce = asked()
    assert confirmation.why_not_confirmed("arm", "guess", GOOD) != ""
    assert confirmation.why_not_confirmed("arm", nonce, GOOD) != ""


def test_it_is_about_one_action():
    confirmation, nonce = asked("arm")
    assert "about arm" in confirmation.why_not_confirmed("reset", nonce, GOOD)


def test_asking_again_voids_the_number_before():
    confirmation, nonce = asked()
    confirmation.ask("arm", ASKED)
    assert confirmation.why_not_confirmed("arm", nonce, GOOD) != ""


def test_another_clients_number_is_none():
    _, nonce = asked()
    other = Confirmation()
    assert other.why_not_confirmed("arm", nonce, GOOD) != ""
    other.ask("arm", ASKED)
    assert other.why_not_confirmed("arm", nonce, GOOD) != ""


@pytest.mark.parametrize(
    ("after_s", "good"),
    [
        (0.0, False),
        (Confirmation.SOONEST_S - 0.01, False),
        (Confirmation.SOONEST_S, True),
        (Confirmation.LATEST_S, True),
        (Confirmation.LATEST_S + 0.01, False),
    ],
)
def test_it_is_good_neither_at_once_nor_for_ever(after_s, good):
    confirmation, nonce = asked()
    assert (confirmation.why_not_confirmed("arm", nonce, ASKED + after_s) == "") == good


def test_numbers_cannot_be_foreseen():
    assert len({asked()[1] for _ in range(99)}) == 99
    assert min(len(asked()[1]) for _ in range(9)) >= 16
