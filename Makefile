# Two commands: `make demo` synthesizes a volume from the bundled segmentation, `make test` runs the
# tests. Each sets up what it needs in .venv the first time; later runs need no network.
PYTHON ?= python3

.PHONY: demo test test-slow test-oldest lint

demo:
	"$(PYTHON)" Testing/set_up_environment.py demo
	.venv/bin/python -m AnatoMaskGANLib.cli demo

test:
	"$(PYTHON)" Testing/set_up_environment.py test
	.venv/bin/python -m Testing.raised -n 2 --dist loadfile

# The tests that take minutes: everything marked slow.
test-slow:
	"$(PYTHON)" Testing/set_up_environment.py test
	.venv/bin/python -m pytest -m slow

# The oldest PyTorch that is supported, in an environment of its own: networks and synthesis.
test-oldest:
	"$(PYTHON)" -m venv .venv-oldest
	.venv-oldest/bin/python -m pip install --quiet -r Testing/oldest-versions.txt
	.venv-oldest/bin/python -m pytest Testing/test_networks_*.py Testing/test_synthesis_*.py \
	    Testing/test_reliability_properties.py

lint:
	"$(PYTHON)" Testing/set_up_environment.py test
	.venv/bin/python -m ruff check .
	.venv/bin/python -m ruff format --check .
