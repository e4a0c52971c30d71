# Two commands: `make demo` synthesizes a volume from the bundled segmentation, `make test` runs the
# tests. Each sets up what it needs in .venv the first time; later runs need no network. Where CI is
# set, as in continuous integration, `make test` goes on with the oldest PyTorch that is supported.
PYTHON ?= python3

.PHONY: demo test test-slow test-oldest lint

demo:
	"$(PYTHON)" Testing/set_up_environment.py demo
	.venv/bin/python -m AnatoMaskGANLib.cli demo

test:
	"$(PYTHON)" Testing/set_up_environment.py test
	.venv/bin/python -m Testing.raised -n 2 --dist loadfile
	$(if $(CI),$(MAKE) test-oldest)

# The tests that take minutes: everything marked slow.
test-slow:
	"$(PYTHON)" Testing/set_up_environment.py test
	.venv/bin/python -m pytest -m slow

# The fast tests with the oldest PyTorch that is supported, in an environment of its own (where no build
# for the CPU is in reach, 5 GB), then whether it makes the voxels that the pinned one makes. Tests of the
# panel are skipped, as they need Slicer's libraries.
test-oldest:
	"$(PYTHON)" Testing/set_up_environment.py demo
	"$(PYTHON)" Testing/set_up_environment.py test-oldest
	.venv-oldest/bin/python -m pytest -n 2 --dist loadfile
	.venv/bin/python Testing/compare_versions.py .venv-oldest/bin/python

# Style, layout and types. `make test` checks them as well, in Testing/test_lint.py.
lint:
	"$(PYTHON)" Testing/set_up_environment.py test
	.venv/bin/python -m ruff check .
	.venv/bin/python -m ruff format --check .
	.venv/bin/python -m mypy
