"""A complaint is said at once, then rarely."""

from wam_ros.core.notices import Notice


def test_the_same_complaint_is_repeated_rarely():
    notice = Notice(5.0)
    assert [t for t in range(12) if notice.due("no camera", float(t))] == [0, 5, 10]


def test_another_complaint_is_said_at_once():
    notice = Notice(5.0)
    assert notice.due("no camera", 0.0)
    assert notice.due("no joints", 1.0)


def test_changing_numbers_do_not_make_another_complaint():
    notice = Notice(5.0)
    assert notice.due("camera 0.3 s old", 0.0, "camera")
    assert not notice.due("camera 0.4 s old", 1.0, "camera")


def test_a_complaint_that_comes_back_is_said_again():
    notice = Notice(5.0)
    assert notice.due("no camera", 0.0)
    assert not notice.due("", 1.0)
    assert notice.due("no camera", 2.0)
