"""Where the program `anatomaskgan` starts: Ctrl-C ends it without a traceback from the beginning.

The command line takes half a second to load, in which Python would print where it was.
"""

from __future__ import annotations

import sys


def main() -> int:
    """The exit code of the command line."""
    try:
        from AnatoMaskGANLib.cli import main as run

        return run()
    except KeyboardInterrupt:
        print("anatomaskgan: error: interrupted", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
