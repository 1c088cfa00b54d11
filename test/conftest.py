"""What must be set before any test module is imported."""

import os

os.environ.setdefault("MUJOCO_GL", "egl")  # MuJoCo chooses its GL when it is first imported, by whichever test
