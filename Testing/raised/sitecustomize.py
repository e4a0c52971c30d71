"""Lets the programs that tests start record as well: Python imports this by its name."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[2]))

from Testing.raised.recording import install

install()
