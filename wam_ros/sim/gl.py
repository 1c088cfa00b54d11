"""Which OpenGL draws the simulated cameras; `mujoco` reads the choice when it is first imported."""

from __future__ import annotations

import ctypes
import os

from wam_ros.core.errors import require_known

OTHERS = ("glfw", "glx")  # taken when asked for; they need a display
# first found wins: a GPU or llvmpipe, then software only
BACKENDS = {"egl": "libEGL.so.1", "osmesa": "libOSMesa.so.8"}


def _first_available() -> str:
    for backend, library in BACKENDS.items():
        try:
            ctypes.CDLL(library)
        except OSError:
            continue
        return backend
    return next(iter(BACKENDS))


BACKEND = os.environ.setdefault("MUJOCO_GL", _first_available())
require_known("MUJOCO_GL", BACKEND.lower(), (*BACKENDS, *OTHERS))
