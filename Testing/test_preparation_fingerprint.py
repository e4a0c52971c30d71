"""A case is made again when something that its arrays depend on has changed, and only then."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tiny_archives
from tiny_archives import write_nifti

from AnatoMaskGANLib.preparation.archives import CaseFiles
from AnatoMaskGANLib.preparation.fingerprint import fingerprint
from AnatoMaskGANLib.preparation.plan import Plan, make_plan
from AnatoMaskGANLib.preparation.settings import PreparationSettings

ALL = (1.0, 0.0, 0.0)


def plan_for(folder: Path, **settings: object) -> Plan:
    settings = {"split": ALL} | settings
    return make_plan(PreparationSettings("folder", folder / "in", folder / "out", **settings))


@pytest.fixture
def first(tmp_path: Path) -> str:
    tiny_archives.case_folders(tmp_path / "in", 1)
    return of_only_case(plan_for(tmp_path))


def of_only_case(plan: Plan) -> str:
    return fingerprint(plan, plan.cases[0])


@pytest.mark.parametrize(
    "change",
    [
        {"window": (0.0, 800.0)},
        {"spacing_mm": (2.0, 2.0, 2.0)},
        {"labels": ("heart",)},
        {"merge": {"lungs": [1, 3]}},
        {"guidance": "superpixels"},
        {"remove_background": True},
        {"percentiles": (1.0, 99.0)},
        {"unmatched": "background"},
        {"unit": "HU"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_setting_that_makes_the_arrays_changes_it(
    tmp_path: Path, first: str, change: dict[str, object]
) -> None:
    assert of_only_case(plan_for(tmp_path, **change)) != first


@pytest.mark.parametrize(
    "change",
    [{"split_seed": 4}, {"grid_tolerance_mm": 0.5}, {"num_superpixels": 9}, {"incomplete": "keep"}],
    ids=lambda change: next(iter(change)),
)
def test_a_setting_that_does_not_leaves_it(
    tmp_path: Path, first: str, change: dict[str, object]
) -> None:
    assert of_only_case(plan_for(tmp_path, **change)) == first


def test_it_depends_on_the_content_of_image_labels_and_names(tmp_path: Path, first: str) -> None:
    plan = plan_for(tmp_path)
    seen = {first}
    labels = tiny_archives.anatomy((1, 2, 3), 8)
    image = tiny_archives.image_of(labels, 0, 900)
    write_nifti(tmp_path / "in" / "sub-01" / "image.nii.gz", image)
    seen.add(of_only_case(plan))
    write_nifti(tmp_path / "in" / "sub-01" / "seg.nii.gz", labels, dtype=np.uint8)
    seen.add(of_only_case(plan))
    (tmp_path / "in" / "labels.json").write_text('{"1": "a", "2": "b", "3": "c"}')
    seen.add(of_only_case(plan))
    assert len(seen) == 4


@pytest.mark.parametrize(
    ("name", "header"),
    [
        ("image.mhd", "ElementDataFile = {}"),
        ("image.MHD", "ElementDataFile = {}"),
        ("image.nhdr", "NRRD0004\ndata file: {}"),
    ],
)
@pytest.mark.parametrize("data_name", ["image.raw", "pixels.raw"])
def test_it_depends_on_the_data_file_beside_a_header(
    tmp_path: Path, first: str, name: str, header: str, data_name: str
) -> None:
    folder = tmp_path / "detached"
    folder.mkdir()
    (folder / name).write_text(header.format(data_name))
    (folder / data_name).write_bytes(b"one")
    plan = plan_for(tmp_path)
    files = CaseFiles("c", "c", folder / name, None)
    before = fingerprint(plan, files)
    (folder / data_name).write_bytes(b"two")
    assert fingerprint(plan, files) != before
