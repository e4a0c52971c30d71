"""How much people differ in the deviation inside a label: what labels alone can at best tell.

    python Testing/benchmarks/real_deviation.py --store STORE

Takes every case of a case store that has labels and an image, whatever its split, and every label
of at least 500 voxels. Prints the share of ratios between 0.8 and 1.2 of

- one person's deviation over another's (all ordered pairs),
- the geometric mean of all other people over one person's: the best guess of who knows the label,
- the best single value a label, chosen with all people in sight: no guess by label is better,

and for how many people every label is in that range with the second.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from AnatoMaskGANLib.evaluation.metrics.label_intensities import (
    MINIMUM_VOXELS,
    STANDARD_DEVIATION_RATIO_RANGE,
)
from AnatoMaskGANLib.volumes.case_store import CaseStore, open_store

_FEWEST_OTHERS = 4  # for a mean that says anything


@dataclass(frozen=True)
class Shares:
    """Shares of ratios in the range, each with what it is a share of."""

    pairs: float
    by_others: float
    by_best_value: float
    people_with_all_labels: int
    num_people: int


def deviations(store: CaseStore) -> np.ndarray:
    """[people, labels] deviation of the image in [0,1]; nan where a label is too small."""
    found = []
    for case in store.cases:
        if case.image_sjk is None or case.labels_sjk is None:
            continue
        image = case.image(slice(None), slice(None), slice(None)).ravel().astype(np.float64)
        labels = np.asarray(case.labels_sjk).ravel()
        count = np.bincount(labels, minlength=store.num_classes)
        mean = np.bincount(labels, image, store.num_classes) / np.maximum(count, 1)
        square = np.bincount(labels, np.square(image), store.num_classes) / np.maximum(count, 1)
        deviation = np.sqrt(np.maximum(square - np.square(mean), 0))
        found.append(np.where(count >= MINIMUM_VOXELS, deviation, np.nan)[1:])
    return np.array(found)


def shares(found: np.ndarray) -> Shares:
    """The shares of deviations [people, labels]."""
    low, high = STANDARD_DEVIATION_RATIO_RANGE
    pairs, best = [], []
    by_others = np.full(found.shape, np.nan)
    for label, column in enumerate(found.T):
        present = np.flatnonzero(~np.isnan(column))
        own = column[present]
        for position, person in enumerate(present):
            others = np.delete(own, position)
            pairs.extend(own[position] / others)
            if len(others) >= _FEWEST_OTHERS:
                by_others[person, label] = np.exp(np.log(others).mean()) / own[position]
        if len(own):
            # the share changes only where some person's ratio crosses an end of the range
            ends = np.concatenate([own * low, own * high])
            tried = np.concatenate([ends, ends * (1 - 1e-9), ends * (1 + 1e-9)])
            hits = [np.sum((low <= value / own) & (value / own <= high)) for value in tried]
            best.append(max(hits))
    is_good = (low <= by_others) & (by_others <= high)
    is_known = ~np.isnan(by_others)
    pairs = np.array(pairs)
    return Shares(
        pairs=float(np.mean((low <= pairs) & (pairs <= high))),
        by_others=float(is_good.sum() / is_known.sum()),
        by_best_value=float(sum(best) / np.sum(~np.isnan(found))),
        people_with_all_labels=int(np.sum((is_good | ~is_known).all(axis=1))),
        num_people=len(found),
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Always 0; prints the shares."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--store", type=Path, required=True, help="case store")
    found = shares(deviations(open_store(parser.parse_args(arguments).store)))
    low, high = STANDARD_DEVIATION_RATIO_RANGE
    print(f"Deviation ratios in {low:g} to {high:g}, {found.num_people} people:")
    print(f"  one person over another         {found.pairs:.1%}")
    print(f"  mean of the others over one     {found.by_others:.1%}")
    print(f"  best single value a label       {found.by_best_value:.1%}")
    print(
        f"  every label of a person         {found.people_with_all_labels} of {found.num_people} "
        "people, by the mean of the others"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
