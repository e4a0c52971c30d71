# Two commands: `make demo` synthesizes a volume from the bundled segmentation, `make test` runs the
# tests. Each sets up what it needs in .venv the first time; later runs need no network.
PYTHON ?= python3

.PHONY: demo test test-slow lint

demo:
	"$(PYTHON)" Testing/set_up_environment.py demo
	.venv/bin/python -m AnatoMaskGANLib.cli demo

test:
	"$(PYTHON)" Testing/set_up_environment.py test
	.venv/bin/python -m pytest -n 2 --dist loadfile

# The tests that take minutes: everything marked slow.
test-slow:
	"$(PYTHON)" Testing/set_up_environment.py test
	.venv/bin/python -m pytest -m slow

lint:
	"$(PYTHON)" Testing/set_up_environment.py test
	.venv/bin/python -m ruff check .
	.venv/bin/python -m ruff format --check .
