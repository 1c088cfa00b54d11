import numpy as np
import pytest

from wam_ros.core.embodiment import load_embodiment
from wam_ros.core.errors import WamError
from wam_ros.view.kinematics import LinkPath

PANDA = load_embodiment("panda")
CRANE = """<robot name="crane">
  <link name="base"/><link name="arm"/><link name="hook"/><link name="tip"/>
  <joint name="turn" type="revolute"><parent link="base"/><child link="arm"/>
    <origin xyz="0 0 1"/><axis xyz="0 0 1"/>
  </joint>
  <joint name="slide" type="prismatic"><parent link="arm"/><child link="hook"/>
    <origin xyz="2 0 0" rpy="1.5707963 0 1.5707963"/>
    <axis xyz="1 0 0"/></joint>
  <joint name="fixed" type="fixed"><parent link="hook"/><child link="tip"/>
    <origin xyz="0.5 0 0"/></joint>
</robot>"""


def test_a_crane_reaches_where_geometry_says(tmp_path):
    urdf = tmp_path / "crane.urdf"
    urdf.write_text(CRANE)
    tip = LinkPath(urdf, "tip", ("slide", "turn"))
    found = tip.positions(np.array([[0.0, 0.0], [0.3, np.pi / 2]]))
    # roll first, then yaw about the arm's axes: the hook's x axis is the arm's y axis
    np.testing.assert_allclose(found, [[2, 0.5, 1], [-0.8, 2, 1]], atol=1e-6)


def test_the_panda_agrees_with_pinocchio():
    pin = pytest.importorskip("pinocchio")
    model = pin.buildModelFromUrdf(str(PANDA.urdf_path))
    data, frame = model.createData(), model.getFrameId(PANDA.tool_frame)
    rng = np.random.default_rng(5)
    q = rng.uniform(-1.5, 1.5, (20, len(PANDA.joint_names)))
    found = LinkPath(PANDA.urdf_path, PANDA.tool_frame, PANDA.joint_names).positions(q)
    for row, position in zip(q, found, strict=True):
        full = pin.neutral(model)
        for name, value in zip(PANDA.joint_names, row, strict=True):
            full[model.joints[model.getJointId(name)].idx_q] = value
        pin.framesForwardKinematics(model, data, full)
        np.testing.assert_allclose(position, data.oMf[frame].translation, atol=1e-9)


def test_an_unknown_link_is_named():
    with pytest.raises(WamError, match="no link 'thumb'"):
        LinkPath(PANDA.urdf_path, "thumb", PANDA.joint_names)
