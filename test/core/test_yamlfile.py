"""YAML becomes frozen dataclasses, or a message that names file, key and what was expected."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from wam_ros.core.errors import WamError
from wam_ros.core.yamlfile import from_mapping, load_yaml


@dataclass(frozen=True)
class Inner:
    name: str
    size: tuple[float, float, float]


@dataclass(frozen=True)
class Outer:
    count: int
    scale: float
    flag: bool = False
    maybe: float | None = None
    names: tuple[str, ...] = ()
    parts: tuple[Inner, ...] = ()
    table: dict[str, float] = dataclasses.field(default_factory=dict)


finite = st.floats(allow_nan=False, allow_infinity=False)
text = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")))
inners = st.builds(Inner, text, st.tuples(finite, finite, finite))
outers = st.builds(
    Outer,
    count=st.integers(),
    scale=finite,
    flag=st.booleans(),
    maybe=st.none() | finite,
    names=st.lists(text).map(tuple),
    parts=st.lists(inners, max_size=3).map(tuple),
    table=st.dictionaries(text, finite, max_size=3),
)


def plain(value):
    if isinstance(value, tuple):
        return [plain(v) for v in value]
    return {k: plain(v) for k, v in value.items()} if isinstance(value, dict) else value


@given(outers)
def test_what_is_written_is_read_back(value):
    text = yaml.safe_dump(plain(dataclasses.asdict(value)))
    assert from_mapping(Outer, yaml.safe_load(text), "f") == value


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"cuont": 1}, r"^f: unknown key 'cuont'. Did you mean 'count'\? Choices: count, flag"),
        ({"count": 1.5}, r"^f.count: expected int, found 1.5$"),
        ({"count": True}, r"^f.count: expected int, found True$"),
        ({"scale": "2"}, r"^f.scale: expected float, found '2'$"),
        ({"scale": float("inf")}, r"^f.scale: inf is not finite$"),
        ({"scale": True}, r"^f.scale: expected float"),
        ({"flag": 1}, r"^f.flag: expected bool, found 1$"),
        ({"maybe": "x"}, r"^f.maybe: expected float"),
        ({"names": "abc"}, r"^f.names: expected a list, found 'abc'$"),
        ({"names": [1]}, r"^f.names\[0\]: expected str, found 1$"),
        (
            {"parts": [{"name": "a", "size": [1, 2]}]},
            r"^f.parts\[0\].size: expected 3 values, found 2$",
        ),
        ({"parts": [{"name": "a"}]}, r"^f.parts\[0\]: missing key 'size'$"),
        ({"parts": ["a"]}, r"^f.parts\[0\]: expected a mapping for Inner, found str$"),
        ({"table": [1]}, r"^f.table: expected a mapping"),
        ({"table": {"a": None}}, r"^f.table.a: expected float, found None$"),
    ],
)
def test_what_does_not_fit_is_named(change, error):
    good = {"count": 1, "scale": 2}
    assert from_mapping(Outer, good, "f") == Outer(1, 2.0)
    with pytest.raises(WamError, match=error):
        from_mapping(Outer, good | change, "f")


def test_a_missing_key_and_another_type_are_named():
    with pytest.raises(WamError, match="^f: missing key 'scale'$"):
        from_mapping(Outer, {"count": 1}, "f")
    with pytest.raises(WamError, match="^f: expected a mapping for Outer, found list$"):
        from_mapping(Outer, [], "f")


@pytest.mark.parametrize(
    "content",
    [b"a: [1", b"- 1", b"", b"\xff\xfe\x00", b"a: !!python/object/apply:os.system ['true']"],
)
def test_a_file_that_is_no_mapping_is_one_line(tmp_path, content):
    path = tmp_path / "x.yaml"
    path.write_bytes(content)
    with pytest.raises(WamError) as caught:
        load_yaml(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(WamError, match="No such file"):
        load_yaml(tmp_path / "none.yaml")
