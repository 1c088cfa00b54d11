"""The mass of a link is told where its description has none; the rest comes from its shape."""

from __future__ import annotations

import numpy as np
import pytest

from wam_ros.core.errors import WamError
from wam_ros.robot.model import load_safety_model

from .chain import BASE, ROD, chain, link

# a box from 0.05 to 0.25 m along z
BOX = (
    '<collision><origin xyz="0 0 0.15"/><geometry><box size="0.06 0.08 {0}"/></geometry>'
    "</collision>"
)
# half of it each, one of them turned about z by a quarter
HALVES = (
    '<collision><origin xyz="0 0 0.1"/><geometry><box size="0.06 0.08 0.1"/></geometry>'
    '</collision><collision><origin xyz="0 0 0.2" rpy="0 0 1.5707963267948966"/><geometry>'
    '<box size="0.08 0.06 0.1"/></geometry></collision>'
)
X, Y, Z = 0.06, 0.08, 0.2


@pytest.mark.parametrize("shape", [BOX.format(0.2), HALVES])
def test_a_told_mass_lies_where_the_shape_of_the_link_does(tmp_path, shape):
    model = load_safety_model(chain(tmp_path, {"l3": link("l3", shape, "")}, mass={"l3": 1.2}))
    inertia = model.pin.inertias[model.joint("j3")]
    assert inertia.mass == pytest.approx(1.2)
    assert inertia.lever == pytest.approx([0, 0, 0.15], abs=1e-12)
    exact = np.diag([Y * Y + Z * Z, X * X + Z * Z, X * X + Y * Y]) * 1.2 / 12
    assert inertia.inertia == pytest.approx(exact, abs=1e-12)


def test_a_told_mass_replaces_an_inertia_that_is_of_no_body(tmp_path):
    # a rod without thickness, as some exporters write fingers
    zeros = 'iyy="0" izz="0" ixy="0" ixz="0" iyz="0"'
    flat = f'<inertial><mass value="0.08"/><inertia ixx="0.002" {zeros}/></inertial>'
    parts = {"l3": link("l3", BOX.format(0.2), flat)}
    with pytest.raises(WamError, match=r"'l3': its inertia is that of no body.*`mass: {l3: kg}`"):
        load_safety_model(chain(tmp_path, parts))
    model = load_safety_model(chain(tmp_path, parts, mass={"l3": 1.2}))
    assert model.pin.inertias[model.joint("j3")].mass == pytest.approx(1.2)
    assert model.pin.inertias[model.joint("j3")].inertia[1, 1] > 1e-3


def test_what_is_drawn_stands_for_the_shape_of_a_link_that_has_no_other(tmp_path):
    seen = ROD.replace("collision>", "visual>")
    drawn = chain(tmp_path, {"l3": link("l3", seen, "")}, mass={"l3": 2.0})
    model = load_safety_model(drawn)
    assert model.pin.inertias[model.joint("j3")].lever == pytest.approx([0, 0, 0.15])


def test_a_mass_of_what_stands_changes_nothing(tmp_path):
    q = np.array([[0.1, 0.2, 0.3]])
    plain, told = (
        load_safety_model(chain(tmp_path, {"base": BASE}, mass=mass))
        for mass in ({}, {"base": 50.0})
    )
    assert np.array_equal(plain.torque(q, q, q), told.torque(q, q, q))


@pytest.mark.parametrize(
    ("parts", "mass", "words"),
    [
        ({}, {"l4": 1.0}, "unknown link of mass 'l4'. Did you mean"),
        ({}, {"l3": 1.0}, "mass of link 'l3' is told, and the description has its <inertial>"),
        ({}, {"tool": 1.0}, "mass of link 'tool': it has no shape"),
        (
            {"l2": link("l2", ROD, "")},
            {},
            r"link 'l2' moves but has no inertia; .*`mass: {l2: kg}`",
        ),
    ],
)
def test_a_mass_that_makes_no_sense_is_refused_by_link(tmp_path, parts, mass, words):
    with pytest.raises(WamError, match=words):
        load_safety_model(chain(tmp_path, parts, mass=mass))


def test_all_links_without_a_mass_are_told_in_one_line_with_the_flag_that_a_person_can_paste(
    tmp_path,
):
    parts = {name: link(name, ROD, "") for name in ("l2", "l3")}
    with pytest.raises(WamError) as caught:
        load_safety_model(chain(tmp_path, parts))
    said = str(caught.value)
    assert "\n" not in said
    assert "links l2, l3 move but have no inertia" in said
    assert "fixed to it (tool to l3)" in said
    assert "`mass: {l2: kg, l3: kg}` in the YAML, `--mass l2 kg l3 kg` to `new`" in said
    load_safety_model(chain(tmp_path, parts, mass={"l2": 1.0, "l3": 1.0}))
