"""XML of any encoding is read, and what is none is refused by its file."""

import pytest

from wam_ros.core.errors import WamError
from wam_ros.core.xmlfile import read_xml

TEXT = '<?xml version="1.0" encoding="{0}"?><robot name="{1}"/>'


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "iso-8859-1"])
def test_encodings_that_every_parser_knows_are_read(tmp_path, encoding):
    file = tmp_path / "a.urdf"
    file.write_bytes(TEXT.format(encoding.removesuffix("-sig"), "arm é").encode(encoding))
    assert read_xml(file).get("name") == "arm é"


@pytest.mark.parametrize(("encoding", "name"), [("gb2312", "机械臂"), ("shift_jis", "アーム")])
def test_encodings_of_several_bytes_are_read(tmp_path, encoding, name):
    file = tmp_path / "a.urdf"
    file.write_bytes(TEXT.format(encoding, name).encode(encoding))
    assert read_xml(file).get("name") == name


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "no element found"),
        (b"<robot>", "no element found"),
        (b'<?xml version="1.0" encoding="klingon"?><robot/>', "unknown encoding"),
        (b'<?xml version="1.0" encoding="gb2312"?><robot name="\xff\xff"/>', "can't decode"),
        (b"\x00\x01", "not well-formed|no element"),
    ],
)
def test_what_is_no_xml_is_refused_by_its_file(tmp_path, data, words):
    file = tmp_path / "a.urdf"
    file.write_bytes(data)
    with pytest.raises(WamError, match=f"{file}: .*({words})"):
        read_xml(file)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(WamError, match="No such file"):
        read_xml(tmp_path / "b.urdf")
