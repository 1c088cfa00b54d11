#!/bin/sh
# Makes .venv-foreign: programs of others, unmodified, that `make test-foreign` lets talk to ours. At once when it is there.
set -eu
cd "$(dirname "$0")/.."
FOREIGN=${FOREIGN:-.venv-foreign}
PYTHON=${PYTHON:-python3}
# openpi-client imports typing_extensions and does not ask for it
WANTED="openpi-client==0.1.2 typing_extensions"
if [ -f "$FOREIGN/wanted" ] && [ "$(cat "$FOREIGN/wanted")" = "$WANTED" ]; then
  exit 0
fi
"$PYTHON" -m venv --clear "$FOREIGN"
# shellcheck disable=SC2086
"$FOREIGN/bin/python" -m pip install -q --disable-pip-version-check $WANTED
echo "$WANTED" >"$FOREIGN/wanted"
