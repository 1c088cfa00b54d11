#!/bin/sh
# Build a wheel and try it as a stranger would: in a fresh environment, from an empty folder, with neither compiler nor git
# nor make to be found, the demo runs.
#   usage: tools/try_wheel.sh [FOLDER]   the wheel is put there (dist)
#   PYTHON=python3  ROS_DISTRO=jazzy|kilted  TORCH_INDEX=<url>  ARGS="--episodes 1 --seed 1000": of the demo
# One wheel is for one version of Python: the messages are compiled for it. uv does it faster where it is in the PATH.
set -eu
cd "$(dirname "$0")/.."
PYTHON=${PYTHON:-python3}
TORCH_INDEX=${TORCH_INDEX-https://download.pytorch.org/whl/cpu}
ARGS=${ARGS:---episodes 1 --seed 1000}
mkdir -p "${1:-dist}"
dist=$(cd "${1:-dist}" && pwd)
unset PYTHONPATH AMENT_PREFIX_PATH CMAKE_PREFIX_PATH LD_LIBRARY_PATH _ROS_WHEELS_BOOTSTRAP_COMPLETE
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

# from what git knows: files that lie about are not what others get
mkdir "$folder/source"
git archive HEAD | tar -x -C "$folder/source"
if command -v uv >/dev/null; then
  uv build --quiet --wheel --python "$(command -v "$PYTHON")" --out-dir "$folder/wheel" "$folder/source"
else
  "$PYTHON" -m pip wheel --quiet --no-deps --wheel-dir "$folder/wheel" "$folder/source"
fi
rm -r "$folder/source"
wheel=$(ls "$folder"/wheel/*.whl)
cp "$wheel" "$dist/"
echo "try_wheel: $dist/$(basename "$wheel"), $(du -h "$wheel" | cut -f 1)"

"$PYTHON" -m venv "$folder/venv"
install() {
  if command -v uv >/dev/null; then
    uv pip install --quiet --python "$folder/venv/bin/python" "$@"
  else
    "$folder/venv/bin/pip" install --quiet "$@"
  fi
}
command -v uv >/dev/null || install --upgrade pip  # the one that comes with Python 3.10 does not find a way through ROS's wheels
# torch first: from here it is the CPU build, the default index brings gigabytes of CUDA
if [ -n "$TORCH_INDEX" ]; then
  install --index-url "$TORCH_INDEX" "$(sed -n 's/^torch = \["\(torch==[^"]*\)".*/\1/p' pyproject.toml)"
fi
install "$wheel[demo]"

mkdir "$folder/empty" "$folder/bin"
for command in sh env uname id; do
  ln -s "$(command -v "$command")" "$folder/bin/$command"
done
cd "$folder/empty"
# shellcheck disable=SC2086
PATH=$folder/bin "$folder/venv/bin/wam" demo --headless --logs "$folder/logs" $ARGS
