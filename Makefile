# The two commands of the README and what they need. Variables: ROS_DISTRO=jazzy|kilted, VENV, PYTHON, TORCH_INDEX,
# ARGS (for demo and test), UPGRADE (for lock).
ROS_DISTRO ?= jazzy
VENV ?= $(if $(filter jazzy,$(ROS_DISTRO)),.venv,.venv-$(ROS_DISTRO))
BIN = $(VENV)/bin
SOURCES = $(wildcard wam_ros test testing launch benchmark tools setup.py)
# Two workers, a file in one of them: what it shares is built once. Whatever starts nodes comes last and runs alone, see
# test/conftest.py. ARGS="-n0 --pdb" is one process; with -s nothing is seen of workers.
PYTEST = $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

export ROS_DISTRO VENV
# A sourced ROS installation must not leak into the environment made here.
unexport PYTHONPATH AMENT_PREFIX_PATH CMAKE_PREFIX_PATH LD_LIBRARY_PATH _ROS_WHEELS_BOOTSTRAP_COMPLETE

.PHONY: demo test test-avx2 libero foreign test-foreign try-wheel lint format docs lock setup setup-demo clean

demo: setup-demo  ## watch the loop run; ARGS="--headless --episodes 50 --seed 1000"
	@exec $(BIN)/wam demo $(ARGS)

test: lint  ## everything that finishes in minutes; ARGS="-k chunk", ARGS="-m long"
	@$(PYTEST) $(ARGS)

test-avx2: setup  ## models and training as a processor without AVX-512 computes them
	@ONEDNN_MAX_CPU_ISA=AVX2 ATEN_CPU_CAPABILITY=avx2 $(PYTEST) test/models test/train $(ARGS)

libero: setup  ## LIBERO and its robot in .venv-foreign/libero, over $(VENV): its bin/wam knows tasks such as libero_object/0
	@tools/foreign.sh libero

foreign: setup  ## other people's programs, as they are, in an environment of their own
	@tools/foreign.sh

test-foreign: foreign  ## they talk to ours
	@$(BIN)/python -m pytest -m foreign test/foreign $(ARGS)

try-wheel:  ## make a wheel in dist/ and run its demo in a fresh environment; PYTHON=python3.13
	@tools/try_wheel.sh

lint: setup
	@$(BIN)/ruff check $(SOURCES)
	@$(BIN)/ruff format --check $(SOURCES)
	@$(BIN)/mypy
	@$(BIN)/python tools/sizes.py

format: setup
	@$(BIN)/ruff check --fix $(SOURCES)
	@$(BIN)/ruff format $(SOURCES)

docs: setup  ## write the tables and pictures of docs/ that come from the code
	@$(BIN)/python -m tools.docs.pages

lock: setup  ## write locks/ anew after a change of what is needed; UPGRADE=1 takes the newest of everything
	@$(BIN)/python -m tools.lock $(if $(UPGRADE),--upgrade)

setup:  ## make or refresh $(VENV); at once when nothing changed
	@tools/setup.sh dev

setup-demo:
	@tools/setup.sh demo

clean:
	rm -rf build dist *.egg-info $(VENV)
