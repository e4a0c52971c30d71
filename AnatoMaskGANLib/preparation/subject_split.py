"""The split into subjects for training, validation and test: reproducible, and written down.

All cases of a subject are in one split. A subject keeps its split when others are added later, and
when it is away for a while: what a model was trained on never becomes its test set.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from AnatoMaskGANLib.json_text import parse_json
from AnatoMaskGANLib.preparation.settings import PreparationError
from AnatoMaskGANLib.volumes.atomic_writing import write_bytes
from AnatoMaskGANLib.volumes.case_store import SPLITS

LEFT_OUT = "left_out"
SPLIT_FILE = "split.json"
_ABSENT = "absent"
_MADE_WITH = "made_with"


def split_subjects(
    subjects: Collection[str],
    fractions: Sequence[float],
    seed: int,
    known: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """Subject to split, for fractions of the subjects in train, validation and test.

    known: subject to split of earlier runs. Subjects that are known keep their splits; the others
    are dealt in the order of a hash of seed and name, to each split as many as it still lacks.

    Raises PreparationError if there are fewer subjects than splits with a fraction, and if a split
    with a fraction has lost its subjects and there is no new one for it.
    """
    known = known or {}
    names = sorted(set(subjects))
    wanted = [split for split, part in zip(SPLITS, fractions, strict=True) if part > 0]
    if len(names) < len(wanted):
        raise PreparationError(
            f"There {'is one subject' if len(names) == 1 else f'are {len(names)} subjects'} "
            f"for {len(wanted)} splits ({', '.join(wanted)}); expected at least one subject in "
            "each, because a subject is never in two splits. Add subjects, or give other "
            'fractions, such as --split "[1, 0, 0]" to train on all.'
        )
    assigned = {name: known[name] for name in names if name in known}
    new = sorted((name for name in names if name not in known), key=lambda name: _draw(seed, name))
    assigned |= _dealt(new, split_counts(len(names), fractions), assigned)
    empty = [split for split in wanted if split not in assigned.values()]
    if empty:
        gone = sorted(name for name, split in known.items() if split in empty)
        raise PreparationError(
            f"No subject is left for the split {' and '.join(empty)} (the archive had "
            f"{', '.join(gone[:10]) or 'none'} for it), and the others stay where they "
            "are; expected at least one subject in each split whose fraction is above 0. "
            "Put it back, add subjects, or draw all splits again with another --split or "
            "--split-seed."
        )
    return dict(sorted(assigned.items()))


def _dealt(
    new: Sequence[str], counts: Mapping[str, int], assigned: Mapping[str, str]
) -> dict[str, str]:
    """New subjects in their order to the first split that has fewer than its count, else to train.

    More than its count is in a split whose fraction has become smaller since an earlier run.
    """
    lacking = {split: counts[split] - list(assigned.values()).count(split) for split in SPLITS}
    dealt = {}
    for name in new:
        split = next((split for split in SPLITS if lacking[split] > 0), SPLITS[0])
        dealt[name] = split
        lacking[split] -= 1
    return dealt


def split_counts(num_subjects: int, fractions: Sequence[float]) -> dict[str, int]:
    """The number of subjects of each split: at least one where the fraction is not zero.

    Each split has its fraction rounded down; the subjects that are left over go to the splits that
    lost most by rounding. A split that still has none takes one from the largest.
    """
    exact = [fraction * num_subjects for fraction in fractions]
    counts = [math.floor(number + 1e-9) for number in exact]
    by_remainder = sorted(range(3), key=lambda n: (counts[n] - exact[n], n))
    for number in by_remainder[: num_subjects - sum(counts)]:
        counts[number] += 1
    for number, fraction in enumerate(fractions):
        if fraction > 0 and counts[number] == 0:
            counts[counts.index(max(counts))] -= 1
            counts[number] = 1
    return dict(zip(SPLITS, counts, strict=True))


def read_split(path: Path) -> dict[str, str]:
    """Subject to split of a JSON file {"train": [...], "validation": [...], "test": [...],
    "left_out": [...]}.

    Raises PreparationError if it is not one, or if a subject is in two splits.
    """
    content = _content_of(path)
    lists = (
        {key: content.get(key, []) for key in (*SPLITS, LEFT_OUT)} if _is_object(content) else {}
    )
    if not lists or not all(
        isinstance(names, list) and all(isinstance(name, str) for name in names)
        for names in lists.values()
    ):
        raise PreparationError(
            f"The split {path} has another content; expected lists of subject names under "
            f"{', '.join(SPLITS)} and {LEFT_OUT}."
        )
    assigned: dict[str, str] = {}
    for split, names in lists.items():
        for name in names:
            if assigned.get(name, split) != split:
                raise PreparationError(
                    f"The split {path} has subject {name} in {assigned[name]} and in {split}; "
                    "expected each subject in one split."
                )
            assigned[name] = split
    return assigned


def check_split(assigned: Mapping[str, str], subjects: Collection[str], path: Path) -> None:
    """Raises PreparationError unless a given split names exactly the subjects that were found, and
    has some to train on."""
    unlisted = sorted(set(subjects) - set(assigned))
    if unlisted:
        raise PreparationError(
            f"The split {path} does not name {', '.join(unlisted[:10])}"
            f"{f' and {len(unlisted) - 10} more' if len(unlisted) > 10 else ''}; "
            f"expected every subject. Add them to a list; {LEFT_OUT} is the list of "
            "subjects that are not used."
        )
    missing = sorted(s for s, split in assigned.items() if s not in subjects and split != LEFT_OUT)
    if missing:
        raise PreparationError(
            f"The split {path} names {', '.join(missing[:10])}, which the archive does "
            "not have; expected subjects of the archive. Correct the names or remove them."
        )
    if "train" not in assigned.values():
        raise PreparationError(
            f"The split {path} has no subject to train on; expected at least one."
        )


def write_split(
    assigned: Mapping[str, str],
    path: Path,
    absent: Mapping[str, str] | None = None,
    made_with: Mapping[str, Any] | None = None,
) -> None:
    """Writes the split in the form that `read_split` reads.

    absent: subjects that are not there now, with the splits that they come back to. made_with: the
    settings that it was drawn with.
    """
    splits = (*SPLITS, LEFT_OUT)
    lists = {split: sorted(s for s, v in assigned.items() if v == split) for split in splits}
    notes = {_ABSENT: dict(sorted((absent or {}).items())), _MADE_WITH: dict(made_with or {})}
    write_bytes(path, ".json", lambda: json.dumps(lists | notes, indent=1).encode())


def read_earlier_split(
    path: Path, made_with: Mapping[str, Any], if_not_noted: Mapping[str, Any]
) -> dict[str, str] | None:
    """Subject to split of a file that `write_split` wrote, with those that were absent; None if it
    was drawn with other settings than `made_with`.

    if_not_noted: the settings for a file of an older version, which did not note them. Raises
    PreparationError as `read_split`.
    """
    assigned = read_split(path)
    content = _content_of(path)
    noted, absent = content.get(_MADE_WITH, if_not_noted), content.get(_ABSENT, {})
    if not isinstance(noted, dict) or any(noted.get(key) != v for key, v in made_with.items()):
        return None
    if not isinstance(absent, dict) or not set(map(str, absent.values())) <= {*SPLITS, LEFT_OUT}:
        raise PreparationError(
            f"The split {path} has another content under {_ABSENT!r}; expected subject "
            "names with their splits. Correct it, or remove the file to draw the splits "
            "again."
        )
    return {**absent, **assigned}


def _draw(seed: int, subject: str) -> str:
    return hashlib.sha256(f"{seed}/{subject}".encode()).hexdigest()


def _is_object(content: object) -> bool:
    return isinstance(content, dict) and any(key in content for key in SPLITS)


def _content_of(path: Path) -> Any:
    try:
        return parse_json(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise PreparationError(
            f"The split {path} cannot be read: {error}. Expected a JSON file like "
            '{"train": ["sub-01"], "validation": ["sub-02"], "test": ["sub-03"]}.'
        ) from error
