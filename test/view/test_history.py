from wam_ros.view import history
from wam_ros.view.history import SPAN_S, History


def test_a_minute_is_kept_and_what_is_older_leaves():
    kept = History()
    for k in range(200):
        kept.add(float(k), {"k": k}, b"%d" % k)
    assert [m.figures["k"] for m in kept.moments(199.0)] == list(range(139, 200))
    assert kept.frames(199) == b"199"
    assert kept.frames(199 - int(SPAN_S)) == b"139"
    assert kept.frames(138) is None
    assert kept.frames(200) is None
    assert kept.frames(-1) is None


def test_what_was_long_ago_is_not_shown_to_who_comes_later():
    kept = History()
    kept.add(0.0, {}, b"")
    assert len(kept.moments(SPAN_S)) == 1
    assert kept.moments(SPAN_S + 1) == []


def test_frames_have_a_bound(monkeypatch):
    monkeypatch.setattr(history, "MOST_BYTES", 100)
    kept = History()
    for k in range(50):
        kept.add(k / 10, {}, bytes(30))
    assert len(kept.moments(4.9)) == 3
    kept.add(5.0, {}, bytes(200))
    assert kept.moments(5.0) == []
    assert kept.frames(50) is None
    kept.add(5.1, {}, b"next")
    assert kept.frames(51) == b"next"


def test_a_clock_that_is_set_back_begins_a_new_minute():
    kept = History()
    kept.add(100.0, {}, b"old")
    kept.add(5.0, {}, b"new")
    assert [m.frames for m in kept.moments(5.0)] == [b"new"]
