"""A robot for whoever has none: MuJoCo world, tasks, scripted expert."""

from wam_ros.sim import gl as gl  # chooses OpenGL before any module here imports mujoco
