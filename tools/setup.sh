#!/bin/sh
# Make or refresh a virtual environment with ROS 2, the project (as an editable install) and every extra.
#   usage: tools/setup.sh            (normally by `make setup`)
#   VENV=.venv  ROS_DISTRO=jazzy|kilted  PYTHON=python3  EXTRAS=torch,sim,view,train,dev
#   TORCH_INDEX=<url>: where torch comes from; empty: the default index, whose torch brings CUDA
# Does nothing when nothing it depends on has changed since the last time.
set -eu
cd "$(dirname "$0")/.."
ROS_DISTRO=${ROS_DISTRO:-jazzy}
VENV=${VENV:-.venv}
PYTHON=${PYTHON:-python3}
EXTRAS=${EXTRAS:-torch,sim,view,train,dev}
TORCH_INDEX=${TORCH_INDEX-https://download.pytorch.org/whl/cpu}
export ROS_DISTRO
export PIP_NO_COMPILE=1 # Python compiles what is imported; compiling everything takes longer than installing it
# A sourced ROS installation or another environment must not leak into this one.
unset PYTHONPATH AMENT_PREFIX_PATH CMAKE_PREFIX_PATH LD_LIBRARY_PATH COLCON_PREFIX_PATH _ROS_WHEELS_BOOTSTRAP_COMPLETE

say() { printf '%s\n' "$*" >&2; }
fail() { say "setup: $*"; exit 1; }

case $ROS_DISTRO in jazzy | kilted) ;; *) fail "ROS_DISTRO=$ROS_DISTRO is not supported; choices: jazzy, kilted" ;; esac
command -v "$PYTHON" >/dev/null || fail "$PYTHON is not installed"
"$PYTHON" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info < (3, 15))' ||
  fail "$PYTHON is $("$PYTHON" -V 2>&1); Python 3.10 to 3.14 is needed, name one with PYTHON="

fingerprint() {
  {
    echo "$ROS_DISTRO $EXTRAS $TORCH_INDEX"
    pwd
    cat setup.py pyproject.toml package.xml CMakeLists.txt tools/setup.sh cmake/* msg/* srv/* action/*
    ls wam_ros/nodes/*_node.py
    find launch config urdf weights -type f ! -name '*.pyc' 2>/dev/null | sort
  } | cksum
}

stamp=$VENV/.wam_ros_setup
wanted=$(fingerprint)
if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$wanted" ] && [ -x "$VENV/bin/python" ]; then
  exit 0
fi
if [ -f "$VENV/.wam_ros_distro" ] && [ "$(cat "$VENV/.wam_ros_distro")" != "$ROS_DISTRO" ]; then
  fail "$VENV holds ROS 2 $(cat "$VENV/.wam_ros_distro"), not $ROS_DISTRO; name another folder with VENV="
fi

# What pip cannot bring: a compiler, Python's headers, off-screen OpenGL.
missing_packages() {
  command -v g++ >/dev/null && command -v make >/dev/null || echo build-essential
  "$PYTHON" -c 'import os, sys, sysconfig as s; sys.exit(not os.path.exists(s.get_path("include") + "/Python.h"))' ||
    echo python3-dev
  "$PYTHON" -c 'import ensurepip, venv' 2>/dev/null || echo python3-venv
  "$PYTHON" - <<'END'
import ctypes, glob
for library, package in (("libEGL.so.1", "libegl1"), ("libGL.so.1", "libgl1")):
    try:
        ctypes.CDLL(library)
    except OSError:
        print(package)
if not any(glob.glob(f"/usr/lib*/{p}") for p in ("*/dri/*swrast*", "dri/*swrast*", "*/libgallium-*", "libgallium-*")):
    print("libgl1-mesa-dri")
END
}

packages=$(missing_packages | tr '\n' ' ')
if [ -n "$packages" ]; then
  command="apt-get update && apt-get install -y --no-install-recommends $packages"
  if ! command -v apt-get >/dev/null; then
    fail "needs what Debian calls $packages: install it with your package manager, then run this again"
  elif [ "$(id -u)" = 0 ]; then
    say "setup: installing $packages"
    DEBIAN_FRONTEND=noninteractive sh -c "$command" >&2
  elif sudo -n true 2>/dev/null; then
    say "setup: installing $packages"
    sudo -n DEBIAN_FRONTEND=noninteractive sh -c "$command" >&2
  else
    fail "system packages are missing. Type this, then run it again: sudo sh -c '$command'"
  fi
  # The second way to render off screen; newer distributions no longer have it.
  [ "$(id -u)" != 0 ] || apt-get install -y -qq --no-install-recommends libosmesa6 >/dev/null 2>&1 || true
  left=$(missing_packages | tr '\n' ' ')
  [ -z "$left" ] || fail "still missing after the installation: $left"
fi

if [ ! -x "$VENV/bin/python" ] || ! "$VENV/bin/python" -m pip --version >/dev/null 2>&1; then
  say "setup: new environment $VENV with $("$PYTHON" -V) and ROS 2 $ROS_DISTRO; a few minutes, once"
  "$PYTHON" -m venv --clear "$VENV"
fi
echo "$ROS_DISTRO" >"$VENV/.wam_ros_distro"
rm -f "$stamp"

pip() { "$VENV/bin/python" -m pip --disable-pip-version-check "$@"; }
# torch first and by itself: its index must not answer for anything else. The pinned version is the one that is tested,
# and from this index it is the CPU build (200 MB); the default index would bring gigabytes of CUDA.
case ,$EXTRAS, in
*,torch,* | *,train,*)
  torch=$("$PYTHON" -c 'import re; print(re.search(r"torch==[\d.]+", open("pyproject.toml").read()).group())')
  if ! "$VENV/bin/python" -c "import importlib.metadata as m, sys; sys.exit(m.version('torch').split('+')[0] != '${torch#torch==}')" 2>/dev/null; then
    if [ -n "$TORCH_INDEX" ]; then
      pip install -q --extra-index-url "$TORCH_INDEX" "$torch" 2>"$VENV/pip.log" || { cat "$VENV/pip.log" >&2; exit 1; }
    else
      pip install -q "$torch"
    fi
  fi
  ;;
esac
pip install -q -e ".[$EXTRAS]" 2>"$VENV/pip.log" || { cat "$VENV/pip.log" >&2; exit 1; }

# What `ros2 launch` and `ros2 run` find in an editable environment is the checkout itself. Links to files, as
# `colcon build --symlink-install` makes them: `ros2 launch` does not look into linked folders.
for folder in launch config urdf weights; do
  rm -rf "$VENV/share/wam_ros/$folder"
done
find launch config urdf weights -type f ! -name '*.pyc' 2>/dev/null | while read -r file; do
  mkdir -p "$VENV/share/wam_ros/$(dirname "$file")"
  ln -s "$(pwd)/$file" "$VENV/share/wam_ros/$file"
done
"$VENV/bin/python" -c 'import rclpy, wam_ros.msg' || fail "the environment is made but does not work"
echo "$wanted" >"$stamp"
say "setup: done"
