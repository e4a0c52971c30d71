"""What a run will do is settled before it writes, and stays settled when a store is continued."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tiny_archives
from tiny_archives import write_nifti

from AnatoMaskGANLib.preparation.plan import make_plan
from AnatoMaskGANLib.preparation.prepared_case import prepare_case
from AnatoMaskGANLib.preparation.settings import PreparationError, PreparationSettings
from AnatoMaskGANLib.preparation.store_index import finish_store
from AnatoMaskGANLib.volumes import read_label_map, write_label_map


def settings_for(folder: Path, **changes: object) -> PreparationSettings:
    return replace(PreparationSettings("folder", folder / "in", folder / "out"), **changes)


def add_case(folder: Path, name: str, spacing: tuple[float, ...], values=(1, 2)) -> None:
    labels = tiny_archives.anatomy(values)
    write_nifti(folder / name / "image.nii.gz", tiny_archives.image_of(labels, 0, 900), spacing)
    write_nifti(folder / name / "seg.nii.gz", labels, spacing, dtype=np.uint8)


def test_the_spacing_of_a_folder_is_the_median_of_its_cases(tmp_path: Path) -> None:
    for name, slice_mm in (("a", 2.0), ("b", 3.0), ("c", 5.0)):
        add_case(tmp_path / "in", name, (0.7, 0.7, slice_mm))
    assert make_plan(settings_for(tmp_path)).spacing_mm == (0.7, 0.7, 3.0)


def test_a_store_that_is_continued_keeps_its_spacing_and_classes(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        add_case(tmp_path / "in", name, (1.0, 1.0, 2.0))
    plan = make_plan(settings_for(tmp_path))
    finish_store(plan, [prepare_case(plan, case) for case in plan.cases], {})
    for name in ("d", "e", "f", "g", "h"):
        add_case(tmp_path / "in", name, (3.0, 3.0, 3.0), (1, 2, 5))
    later = make_plan(settings_for(tmp_path))
    assert later.spacing_mm == (1.0, 1.0, 2.0)
    assert later.classes.target.labels == plan.classes.target.labels == {1: "label 1", 2: "label 2"}
    with pytest.raises(PreparationError, match="labels 5"):
        prepare_case(later, later.cases[-1])
    other = make_plan(settings_for(tmp_path, percentiles=(1.0, 99.0)))
    assert other.spacing_mm == (3.0, 3.0, 3.0) and 5 in other.classes.target.labels


def test_cases_that_cannot_be_read_do_not_hinder_the_plan(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        add_case(tmp_path / "in", name, (1.0, 1.0, 2.0))
    (tmp_path / "in" / "b" / "seg.nii.gz").write_bytes(b"damaged")
    plan = make_plan(settings_for(tmp_path))
    assert len(plan.cases) == 3 and plan.spacing_mm == (1.0, 1.0, 2.0)


def test_a_folder_without_cases_tells_what_was_expected(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    with pytest.raises(PreparationError, match="no case of the layout folder; expected case fold"):
        make_plan(settings_for(tmp_path))
    with pytest.raises(PreparationError, match="expected img/img0001.nii.gz"):
        make_plan(settings_for(tmp_path, layout="btcv"))
    with pytest.raises(PreparationError, match="expected files like"):
        make_plan(settings_for(tmp_path, images="{case}.nii"))


def test_a_source_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PreparationError, match="is not a folder"):
        make_plan(settings_for(tmp_path))


def test_an_archive_of_test_images_only_is_refused(tmp_path: Path) -> None:
    tiny_archives.btcv(tmp_path / "in", num_training=0, num_test=2)
    with pytest.raises(PreparationError, match="2 test cases without labels and no other"):
        make_plan(settings_for(tmp_path, layout="btcv"))
    kept = make_plan(settings_for(tmp_path, layout="btcv", incomplete="keep", split=(1, 0, 0)))
    assert len(kept.cases) == 2 and kept.left_out == ()


def test_the_median_window_of_the_training_images_is_the_store_s(tmp_path: Path) -> None:
    tiny_archives.case_folders(tmp_path / "in", 5)
    plan = make_plan(settings_for(tmp_path))
    prepared = [prepare_case(plan, case) for case in plan.cases]
    counts = finish_store(plan, prepared, {})
    assert counts == {"train": 3, "validation": 1, "test": 1}
    from AnatoMaskGANLib.volumes.case_store import open_store

    store = open_store(tmp_path / "out")
    windows = [case.window for case in store.of_split("train")]
    assert store.window == tuple(np.median(windows, axis=0))
    assert store.preparation["normalization"] == "percentiles"


def test_two_cases_of_one_name_are_refused(tmp_path: Path) -> None:
    for name in ("a/b", "a_b", "c"):
        add_case(tmp_path / "in", name, (1.0, 1.0, 2.0))
    with pytest.raises(PreparationError, match="holds 2 cases named a_b; expected one. Rename"):
        make_plan(settings_for(tmp_path))


def test_a_folder_in_which_no_image_can_be_read_is_refused(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        add_case(tmp_path / "in", name, (1.0, 1.0, 2.0))
        (tmp_path / "in" / name / "seg.nii.gz").write_bytes(b"damaged")
    with pytest.raises(PreparationError, match="expected at least one readable image"):
        make_plan(settings_for(tmp_path, table="freesurfer-brain"))


def name_labels(folder: Path, name: str, names: dict[int, str]) -> None:
    """Writes the label map of a case with names in it."""
    path = folder / name / "seg.nii.gz"
    write_label_map(replace(read_label_map(path), names=names), path)


def test_a_folder_with_and_without_names_for_a_value_is_refused(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        add_case(tmp_path / "in", name, (1.0, 1.0, 2.0), (1, 2, 3) if name == "b" else (1, 2))
    for name in ("a", "c"):
        name_labels(tmp_path / "in", name, {1: "liver", 2: "spleen"})
    with pytest.raises(PreparationError, match="label map of case b has no names for values that"):
        make_plan(settings_for(tmp_path))
    (tmp_path / "names.json").write_text('{"1": "liver", "2": "spleen", "3": "aorta"}')
    plan = make_plan(settings_for(tmp_path, table=str(tmp_path / "names.json")))
    assert prepare_case(plan, plan.cases[1]).entry["labels"] == [1, 2, 3]


def test_a_case_without_names_is_not_taken_for_the_named_ones_of_its_store(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        add_case(tmp_path / "in", name, (1.0, 1.0, 2.0))
        name_labels(tmp_path / "in", name, {1: "liver", 2: "spleen"})
    plan = make_plan(settings_for(tmp_path))
    finish_store(plan, [prepare_case(plan, case) for case in plan.cases], {})
    add_case(tmp_path / "in", "d", (1.0, 1.0, 2.0))
    later = make_plan(settings_for(tmp_path))
    with pytest.raises(PreparationError, match="labels 1, 2, which the table"):
        prepare_case(later, later.cases[3])


def test_values_without_names_are_found_again_where_names_are_renumbered(tmp_path: Path) -> None:
    names = {"a": {1: "liver", 2: "spleen"}, "b": {1: "spleen", 2: "liver"}}
    for name in ("a", "b", "c"):
        values = (5, 6) if name == "c" else (1, 2)
        add_case(tmp_path / "in", name, (1.0, 1.0, 2.0), values)
    for name in ("a", "b"):
        name_labels(tmp_path / "in", name, names[name])
    plan = make_plan(settings_for(tmp_path))
    assert plan.classes.target.labels == {1: "liver", 2: "spleen", 3: "label 5", 4: "label 6"}
    assert prepare_case(plan, plan.cases[2]).entry["labels"] == [3, 4]


def test_visits_that_count_as_subjects_are_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("patient1/visit1", "patient1/visit2", "patient2/visit1"):
        add_case(tmp_path / "in", name, (1.0, 1.0, 2.0))
    make_plan(settings_for(tmp_path))
    assert "patient1_visit1 and patient1_visit2 are treated as two subjects" in caplog.text
    caplog.clear()
    plan = make_plan(settings_for(tmp_path, subject_pattern=r"patient\d+", split=(0.5, 0, 0.5)))
    assert set(plan.split_of) == {"patient1", "patient2"}
    assert "are treated as two subjects" not in caplog.text


def prepare_all(settings: PreparationSettings) -> dict[str, str]:
    """Subject to split in the store that is made."""
    plan = make_plan(settings)
    finish_store(plan, [prepare_case(plan, case) for case in plan.cases], {})
    return plan.split_of


def test_a_run_that_made_no_store_leaves_no_split(tmp_path: Path) -> None:
    for name in ("a", "b", "c", "d"):
        add_case(tmp_path / "in", name, (1.0, 1.0, 2.0))
    plan = make_plan(settings_for(tmp_path))
    with pytest.raises(PreparationError, match="No case of the split"):
        finish_store(plan, [], {})
    assert not (tmp_path / "out" / "split.json").exists()
    assert set(prepare_all(settings_for(tmp_path, split=(1.0, 0.0, 0.0))).values()) == {"train"}


def test_a_run_that_failed_leaves_the_split_of_the_store(tmp_path: Path) -> None:
    for name in "abcdefgh":
        add_case(tmp_path / "in", name, (1.0, 1.0, 2.0))
    first = prepare_all(settings_for(tmp_path))
    other = make_plan(settings_for(tmp_path, split_seed=1))
    assert other.split_of != first
    with pytest.raises(PreparationError, match="No case of the split"):
        finish_store(other, [], {})
    assert prepare_all(settings_for(tmp_path)) == first


def test_a_subject_that_was_away_comes_back_to_its_split(tmp_path: Path) -> None:
    for name in "abcdefgh":
        add_case(tmp_path / "in", name, (1.0, 1.0, 2.0))
    first = prepare_all(settings_for(tmp_path))
    away = [subject for subject, split in first.items() if split == "train"][:2]
    for subject in away:
        (tmp_path / "in" / subject).rename(tmp_path / subject)
    for name in ("i", "j", "k"):
        add_case(tmp_path / "in", name, (1.0, 1.0, 2.0))
        prepare_all(settings_for(tmp_path))
    for subject in away:
        (tmp_path / subject).rename(tmp_path / "in" / subject)
    later = prepare_all(settings_for(tmp_path))
    assert {subject: later[subject] for subject in first} == first


def test_a_split_whose_only_subject_is_gone_is_refused(tmp_path: Path) -> None:
    for name in "abcd":
        add_case(tmp_path / "in", name, (1.0, 1.0, 2.0))
    first = prepare_all(settings_for(tmp_path))
    (gone,) = [subject for subject, split in first.items() if split == "validation"]
    shutil.rmtree(tmp_path / "in" / gone)
    with pytest.raises(PreparationError, match=f"split validation .the archive had {gone} for it"):
        make_plan(settings_for(tmp_path))
    assert len(prepare_all(settings_for(tmp_path, split_seed=1))) == 3
