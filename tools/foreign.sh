#!/bin/sh
# Makes .venv-foreign/NAME: programs of others, unmodified, that `make test-foreign` lets talk to ours, each with the
# versions that it wants. Nothing is done where it is there already.
#   usage: tools/foreign.sh [NAME ...]   all of them without a name; FOREIGN=.venv-foreign  PYTHON=python3
set -eu
cd "$(dirname "$0")/.."
FOREIGN=${FOREIGN:-.venv-foreign}
PYTHON=${PYTHON:-python3}

wanted() {
  case $1 in
    # openpi-client imports typing_extensions and does not ask for it
    openpi) echo "openpi-client==0.1.2 typing_extensions" ;;
    vla-eval) echo "vla-eval==0.8.0" ;;
    # 0.4.4 has data sets v3.0, 0.3.3 was the last one of v2.1; torchvision 0.22 decodes video by itself;
    # msgpack is what tools/lerobot_server.py adds
    lerobot) echo "lerobot==0.4.4 torch==2.7.1 torchvision==0.22.1 msgpack" ;;
    lerobot-v21) echo "lerobot==0.3.3 torch==2.7.1 torchvision==0.22.1" ;;
    # what tools/ray_serve.py routes to is this project's own: torch as in pyproject.toml, and what the model imports
    ray) echo "ray[serve]==2.60.0 torch==2.13.0 safetensors msgpack pillow pyyaml tyro rich" ;;
    *) echo "foreign: there is no '$1'; choices: openpi, vla-eval, lerobot, lerobot-v21" >&2; return 1 ;;
  esac
}

for name in ${*:-openpi vla-eval lerobot lerobot-v21 ray}; do
  packages=$(wanted "$name")
  home=$FOREIGN/$name
  if [ -f "$home/wanted" ] && [ "$(cat "$home/wanted")" = "$packages" ]; then
    continue
  fi
  "$PYTHON" -m venv --clear "$home"
  # shellcheck disable=SC2086
  "$home/bin/python" -m pip install -q --disable-pip-version-check $packages
  echo "$packages" >"$home/wanted"
done
