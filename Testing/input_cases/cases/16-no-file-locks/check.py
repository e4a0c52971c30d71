from pathlib import Path

from Testing.input_cases.checking import exits_with, says

exits_with(0)
says("has no file locks")
assert Path("out/store/store.json").is_file(), "no store"
