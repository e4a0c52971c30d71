"""A text file that another process writes, read line by line as it grows."""

import pathlib


class GrowingFile:
    """Gives back each whole line once; what stands behind the last line break waits."""

    def __init__(self, path: pathlib.Path) -> None:
        self.path = path
        self._offset = 0
        self._rest = b""

    def newLines(self) -> list[str]:
        """The lines that came since the last call; none while there is no file."""
        try:
            with open(self.path, "rb") as file:
                file.seek(self._offset)
                content = file.read()
        except OSError:
            return []
        self._offset += len(content)
        *lines, self._rest = (self._rest + content).split(b"\n")
        return [line.decode("utf-8", "replace").rstrip("\r") for line in lines]
