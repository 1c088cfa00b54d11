import hashlib
import re

import pytest

from wam_ros.core.errors import WamError
from wam_ros.view import assets
from wam_ros.view.assets import FOLDER, page_assets, policy


def test_what_is_not_ours_is_as_it_was_published():
    folder = FOLDER / "three"
    sums = dict(line.split()[::-1] for line in (folder / "SHA256SUMS").read_text().splitlines())
    files = {f.name for f in folder.iterdir()} - {"README.md", "SHA256SUMS"}
    assert set(sums) == files
    for name, wanted in sums.items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == wanted, name


def test_the_page_names_only_files_that_are_served_and_nothing_elsewhere():
    found = page_assets()
    own = {path: a.body.decode() for path, a in found.items() if not path.startswith("/three/")}
    for path, text in own.items():
        if path.endswith(".svg"):
            continue
        assert not re.search(r"https?://|//[a-z]+\.", text), f"{path} names another server"
        for name in re.findall(
            r"""(?:from|import|src=|href=|import\()\s*["'](/[^"']+)["']""", text
        ):
            assert name in found, f"{path} names {name}"


def test_no_text_of_the_loop_is_ever_taken_for_html():
    for path, asset in page_assets().items():
        if path.endswith(".js") and not path.startswith("/three/"):
            assert not re.search(
                rb"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function",
                asset.body,
            ), path


def test_the_only_script_inside_the_page_is_named_by_its_hash():
    index = page_assets()["/"].body
    scripts = re.findall(rb"<script([^>]*)>", index)
    inside = [s for s in scripts if b"src=" not in s]
    assert inside == [b' type="importmap"']
    rules = policy(index)["Content-Security-Policy"]
    assert rules.count("sha256-") == 1
    assert (
        policy(index.replace(b"three.module", b"evil.module"))["Content-Security-Policy"] != rules
    )
    assert not re.search(rb"\son[a-z]+=|style=", index), "neither handlers nor styles inside"


def test_a_page_that_was_not_installed_is_said(monkeypatch, tmp_path):
    monkeypatch.setattr(assets, "FOLDER", tmp_path)
    with pytest.raises(WamError, match="reinstall"):
        page_assets.__wrapped__()


def test_large_files_are_packed():
    core = page_assets()["/three/three.core.min.js"]
    assert len(core.packed) < len(core.body) / 3
