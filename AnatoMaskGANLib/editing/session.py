"""A scan that follows its segmentation while the segmentation is edited.

The voxels of a region depend only on the two label maps in its box. A session therefore makes only
the regions that a stroke changes, and a label map that comes again, as after an undo, gives exactly
the same voxels.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from AnatoMaskGANLib.editing.errors import EditError
from AnatoMaskGANLib.editing.follow import FollowedRegion, follow_region
from AnatoMaskGANLib.editing.grids import grids_of
from AnatoMaskGANLib.editing.label_tissues import LabelTissues
from AnatoMaskGANLib.editing.provenance import edit_provenance, scan_sha256
from AnatoMaskGANLib.editing.region_cut import FILLED, MOVED, PAINTED, LabeledScan
from AnatoMaskGANLib.editing.regions import Box, Region, as_box, changed_box, find_regions, overlap
from AnatoMaskGANLib.editing.settings import DEFAULT_REACH_VOXELS, EditSettings
from AnatoMaskGANLib.volumes import LabelMap, Volume, same_grid
from AnatoMaskGANLib.volumes.volume import refuse_non_finite

# Moving is the wrong tool if the maps differ in this fraction of their labeled voxels, or in the
# second, smaller one if the field brings at least `_MOST_MISSED` of them to a wrong label.
_MOST_CHANGED = 0.6
_MOST_CHANGED_MISSED = 0.2
_MOST_MISSED = 0.2
_FEWEST_TO_JUDGE = 500  # with fewer voxels to move there is no such warning

_Key = tuple[object, ...]


@dataclass(frozen=True, eq=False)
class ChangedBox:
    """A box of the scan's grid outside which no voxel changed since the last update."""

    start_kji: tuple[int, int, int]
    stop_kji: tuple[int, int, int]
    voxels_kji: np.ndarray
    """The voxels of the box now, in the scan's type."""

    @property
    def slices(self) -> Box:
        """Gives the slices that cut the box out of an array."""
        return as_box(map(slice, self.start_kji, self.stop_kji))


@dataclass(frozen=True, eq=False)
class EditedScan:
    """A scan after an edit of its segmentation."""

    volume: Volume
    """The edited scan in the scan's grid, type and unit, with the provenance of the edit."""
    num_moved: int
    """Number of voxels that were taken from another place of the scan."""
    num_filled: int
    """Number of voxels that fill the place of a removed structure."""
    num_painted: int
    """Number of voxels of structures that the scan does not have."""
    warnings: tuple[str, ...]
    """What the user should know, in whole sentences."""
    regions: tuple[FollowedRegion, ...]
    """The regions in which the scan changed, each with how its voxels were made."""
    is_other_anatomy: bool = False
    """Whether so much changed that moving voxels is the wrong tool; a warning says so."""

    def how_made(self) -> np.ndarray:
        """Gives how each voxel of the scan was made, as [K,J,I] uint8: KEPT, MOVED, FILLED or
        PAINTED."""
        found = np.zeros(self.volume.shape_kji, np.uint8)
        for region in self.regions:
            found[region.box] = np.maximum(found[region.box], region.how_made)
        return found


class ScanEditSession:
    """A scan, the segmentation that fits it, and the edited scan for any edit of the segmentation.

    Raises VolumeError for a scan with voxels that are not numbers, and EditError if scan and
    segmentation do not overlap. A session must not be used by several threads at once.
    """

    def __init__(self, scan: Volume, before: LabelMap) -> None:
        from scipy import ndimage  # noqa: F401  loaded now so that no stroke waits for it

        refuse_non_finite(scan, "The scan")
        self.scan = scan
        self.before = before
        grids = grids_of(scan, before)
        self._labeled = LabeledScan(
            scan.voxels_kji,
            before.labels_kji,
            grids,
            before.spacing_ijk_mm[::-1],
            scan.spacing_ijk_mm[::-1],
            frozenset(before.values),
            LabelTissues(scan.voxels_kji, before.labels_kji, grids),
        )
        self._voxels = scan.voxels_kji.copy()
        self._done: dict[_Key, FollowedRegion] = {}
        self._after = before
        self._settings = EditSettings()

    @property
    def voxels_kji(self) -> np.ndarray:
        """Gives the scan after the last update. The next update writes into the same array."""
        return self._voxels

    def update(
        self,
        after: LabelMap,
        settings: EditSettings | None = None,
        is_quick: bool = False,
        on_progress: Callable[[float, str], None] | None = None,
    ) -> ChangedBox | None:
        """Makes the scan of an edited label map; gives back the box that changed, or None if
        nothing changed.

        is_quick makes a first picture, which an update without it has to follow. on_progress is
        called many times within a region with the fraction that is done and a text on the present
        step. An exception that it raises before the last call, for example to cancel the update, is
        passed on. Raises EditError for a map on another grid than the first one, for a new label
        without a look, and for a look like a label that the scan does not have; then nothing has
        changed.
        """
        settings = settings or EditSettings()
        report = on_progress or (lambda fraction, text: None)
        if not same_grid(self.before, after):
            raise EditError(
                f"The edited label map has {after.shape_kji} voxels (K, J, I) or another "
                f"position than the one before with {self.before.shape_kji}; expected the "
                "same grid. Export both with the same reference geometry."
            )
        report(0.0, "comparing the label maps")
        regions = self._regions(after, settings)
        self._check(after, settings, regions)
        keys = [self._key(after, region, settings, is_quick) for region in regions]
        done: dict[_Key, FollowedRegion] = {}
        for number, (key, region) in enumerate(zip(keys, regions, strict=True)):
            text = f"region {number + 1} of {len(regions)}"

            def step(fraction: float, number: int = number, text: str = text) -> None:
                report(0.1 + 0.8 * (number + fraction) / len(regions), text)

            step(0.0)
            found = self._done.get(key)
            if found is None:
                labels = after.labels_kji
                found = follow_region(self._labeled, labels, region, settings, is_quick, step)
            if found is not None:
                done[key] = found
        changed = self._write(done)
        self._after, self._settings = after, settings
        report(1.0, "done")
        return changed

    def edited(self) -> EditedScan:
        """Gives a copy of the scan of the last update, with its provenance."""
        counts, scan = self.counts(), self.scan
        volume = Volume(
            self._voxels.copy(), scan.ijk_to_ras, scan.window, scan.unit, self.provenance()
        )
        return EditedScan(
            volume,
            counts["Moved"],
            counts["Filled"],
            counts["Painted"],
            self.warnings(),
            tuple(self._done.values()),
            bool(self._warnings_of_other_anatomy()),
        )

    def counts(self) -> dict[str, int]:
        """Gives the numbers of voxels that the last update Moved, Filled and Painted."""
        return {
            name: sum(int(np.count_nonzero(part.how_made == how)) for part in self._done.values())
            for name, how in (("Moved", MOVED), ("Filled", FILLED), ("Painted", PAINTED))
        }

    def provenance(self) -> dict[str, str]:
        """Gives the provenance of the last update."""
        hashes = {**self._hashes, "LabelMapAfterSHA256": self._after.sha256()}
        return edit_provenance(self.scan, hashes, self._settings, self.counts())

    @cached_property
    def _hashes(self) -> dict[str, str]:
        """Gives the hashes of what stays the same. Reading a large scan for them takes longer than
        a stroke."""
        return {
            "EditedScanSHA256": scan_sha256(self.scan),
            "LabelMapBeforeSHA256": self.before.sha256(),
        }

    def _regions(self, after: LabelMap, settings: EditSettings) -> list[Region]:
        spacing = self._labeled.label_spacing_kji
        sizes = self.before.shape_kji
        lengths = [mm for mm, size in zip(spacing, sizes, strict=True) if size > 1] or spacing
        return find_regions(
            self.before.labels_kji,
            after.labels_kji,
            spacing,
            settings.reach_mm or DEFAULT_REACH_VOXELS * min(lengths),
            settings.reach_mm is None,
        )

    def _check(self, after: LabelMap, settings: EditSettings, regions: list[Region]) -> None:
        """Raises EditError if a look is missing, or is like a label that the scan does not have."""
        new: set[int] = set()
        for region in regions:
            new |= set(np.unique(after.labels_kji[region.box]).tolist())
        new -= self._labeled.labels | {0} | set(settings.looks)
        if new:
            which = ", ".join(_called(label, after) for label in sorted(new))
            raise EditError(
                f"The edited label map has labels that the scan does not have: {which}; "
                "expected a look for each. Say what each looks like: like another label, "
                "mean and standard deviation, a tissue such as fluid or fat, or keep if "
                "labels were only split or renamed."
            )
        for label, look in [*settings.looks.items(), *settings.fills.items()]:
            missing = sorted(look.labels - self._labeled.labels - {0})
            if missing:
                raise EditError(
                    f"Label {_called(label, after)} should look like label {missing[0]}, "
                    "which the scan does not have; expected one of "
                    f"{sorted(self._labeled.labels)}. Give another label, or mean and "
                    "standard deviation."
                )

    def _key(self, after: LabelMap, region: Region, settings: EditSettings, is_quick: bool) -> _Key:
        """Gives what a region's voxels depend on in addition to the scan and the map before."""
        digest = hashlib.blake2b(digest_size=16)
        for labels in after.labels_kji[region.box]:
            digest.update(np.ascontiguousarray(labels, dtype=np.int64).data)
        box = tuple((side.start, side.stop) for side in region.box)
        return (box, region.reach_mm, digest.hexdigest(), repr(settings.to_dict()), is_quick)

    def _write(self, done: dict[_Key, FollowedRegion]) -> ChangedBox | None:
        """Puts regions into the scan and takes out those that no longer exist. Gives the box that
        changed."""
        removed = [self._done[key] for key in self._done if key not in done]
        added = [done[key] for key in done if key not in self._done]
        old = {id(region): self._voxels[region.box].copy() for region in removed + added}
        for region in removed:
            self._voxels[region.box] = self.scan.voxels_kji[region.box]
        # a box restored above may overlap one that stays
        stays = [done[key] for key in done if key in self._done]
        for region in [*stays, *added]:
            if region in added or any(overlap(region.box, other.box) for other in removed):
                self._put(region)
        self._done = done
        boxes = []
        for region in removed + added:
            inner = changed_box(old[id(region)], self._voxels[region.box])
            if inner is not None:
                boxes.append(
                    [
                        (side.start + own.start, side.stop + own.start)
                        for side, own in zip(inner, region.box, strict=True)
                    ]
                )
        if not boxes:
            return None
        edges = np.array(boxes)
        start, stop = edges[:, :, 0].min(axis=0).tolist(), edges[:, :, 1].max(axis=0).tolist()
        voxels = self._voxels[tuple(map(slice, start, stop))].copy()
        return ChangedBox(tuple(start), tuple(stop), voxels)

    def _put(self, region: FollowedRegion) -> None:
        # on turned grids the boxes of two regions may overlap where neither changes anything
        is_made = region.how_made > 0
        self._voxels[region.box][is_made] = region.voxels[is_made]

    def warnings(self) -> tuple[str, ...]:
        """Tells what the user should know of the last update, in whole sentences."""
        return (*self._warnings_of_other_anatomy(), *self._other_warnings())

    def _warnings_of_other_anatomy(self) -> tuple[str, ...]:
        regions = tuple(self._done.values())
        before, after = self.before.labels_kji, self._after.labels_kji
        num_to_move = sum(region.num_to_move for region in regions)
        num_missed = sum(region.num_missed for region in regions)
        if num_to_move < _FEWEST_TO_JUDGE:
            return ()
        fraction = num_missed / num_to_move
        num_labeled = int(np.count_nonzero((before != 0) | (after != 0)))
        most = _MOST_CHANGED if fraction < _MOST_MISSED else _MOST_CHANGED_MISSED
        if num_to_move <= most * num_labeled:
            return ()
        return (
            f"{num_to_move} voxels changed their label, of {num_labeled} labeled ones, and moving "
            f"brought {100 * (1 - fraction):.0f} % of them to their new place: this is a different "
            "anatomy rather than an edit. A model that knows the labels is better suited for such "
            "a change.",
        )

    def _other_warnings(self) -> tuple[str, ...]:
        found = []
        num_outside = len(self._regions(self._after, self._settings)) - len(self._done)
        if num_outside:
            found.append(
                f"{num_outside} regions of the edit are outside the scan; nothing was "
                "changed there."
            )
        gone = sorted(set(self.before.values) - set(self._after.values))
        gone = [label for label in gone if label not in self._settings.fills]
        if gone:
            which = ", ".join(_called(label, self.before) for label in gone)
            found.append(f"Removed and filled like the surroundings: {which}.")
        return tuple(found)


def _called(label: int, label_map: LabelMap) -> str:
    name = label_map.names.get(label)
    return f"{label} ({name})" if name else str(label)
