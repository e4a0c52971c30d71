from __future__ import annotations

import csv
import hashlib
import json
import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_models import tiny_card, tiny_generator, tiny_settings, write_tiny_model

from AnatoMaskGANLib.cli import main
from AnatoMaskGANLib.commands.evaluate.baselines import LABEL_GAUSSIAN, LABEL_MEAN, NEAREST
from AnatoMaskGANLib.commands.evaluate.cases import (
    each_once,
    find_cases,
    find_evaluated,
    find_volume,
    named_values,
    notes_on_windows,
    stored_volume,
)
from AnatoMaskGANLib.commands.evaluate.networks import encoder_features
from AnatoMaskGANLib.commands.evaluate.training import notes_on_seen_cases
from AnatoMaskGANLib.config import GeneratorSettings
from AnatoMaskGANLib.networks.generator import build_generator
from AnatoMaskGANLib.synthesis import write_model
from AnatoMaskGANLib.synthesis.segmenting import VolumeSegmenter
from AnatoMaskGANLib.volumes import (
    LabelMap,
    Volume,
    read_label_map,
    read_volume,
    write_label_map,
    write_volume,
)
from AnatoMaskGANLib.volumes.case_store import open_store, write_index
from AnatoMaskGANLib.volumes.case_store import write_case as store_case

MEANS = np.array([0.0, 60.0, 180.0, 120.0], dtype=np.float32)


def write_case(folder: Path) -> None:
    """A case whose scan is exactly the label-mean image of the tiny model."""
    labels_kji = np.zeros((20, 40, 40), dtype=np.uint8)
    labels_kji[2:18, 4:36, 4:36] = 1
    labels_kji[4:16, 8:30, 8:30] = 2
    labels_kji[6:14, 12:24, 12:24] = 3
    ijk_to_ras = np.diag([2.0, 2.0, 2.0, 1.0])
    folder.mkdir(parents=True)
    names = {1: "skin", 2: "bone", 3: "marrow"}
    write_label_map(LabelMap(labels_kji, ijk_to_ras, names), folder / "seg.nii.gz")
    write_volume(Volume(MEANS[labels_kji], ijk_to_ras), folder / "image.nii.gz")


def write_shifted_case(folder: Path, shift: int) -> None:
    """The case with its anatomy moved by some voxels and noise on its scan: another subject."""
    write_case(folder)
    labels = np.roll(read_label_map(folder / "seg.nii.gz").labels_kji, shift, axis=1)
    ijk_to_ras = np.diag([2.0, 2.0, 2.0, 1.0])
    names = {1: "skin", 2: "bone", 3: "marrow"}
    noise = np.random.default_rng(shift % 100).normal(0, 5, labels.shape).astype(np.float32)
    write_label_map(LabelMap(labels, ijk_to_ras, names), folder / "seg.nii.gz")
    write_volume(Volume(MEANS[labels] + noise, ijk_to_ras), folder / "image.nii.gz")


def write_script(path: Path, module: torch.nn.Module) -> str:
    """Saves a module as TorchScript; gives back the file's SHA-256."""
    torch.jit.script(module).save(str(path))
    return hashlib.sha256(path.read_bytes()).hexdigest()


class PooledPixels(torch.nn.Module):
    """[N,3,H,W] -> [N,16]: means of 4x4 tiles."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        pooled = torch.nn.functional.adaptive_avg_pool2d(images[:, :1], (4, 4))
        return pooled.flatten(1)


class NearestMean(torch.nn.Module):
    """[N,1,H,W] -> [N,4,H,W]: the label whose mean in [0,1] is nearest."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        means = torch.tensor([0.0, 0.3, 0.9, 0.6]).view(1, 4, 1, 1)
        return -(images - means).abs()


def write_plain_model(folder: Path, **changes: object) -> Path:
    """A model without noise, of the tiny model's window, that saw no marrow."""
    statistics = {"0": (0.0, 0.0), "1": (0.3, 0.1), "2": (0.9, 0.1)}
    table = {"name": "limb", "labels": {"1": "skin", "2": "bone", "3": "marrow"}}
    values = {"name": "plain", "label_table": table, "window": (0.0, 200.0)}
    settings = tiny_settings(num_classes=4, use_noise3d=False)
    card = tiny_card(settings, **(values | {"label_statistics": statistics} | changes))
    write_model(folder, card, tiny_generator(settings))
    return folder


def evaluate(model: Path, *arguments: str | Path) -> int:
    return main(["evaluate", *map(str, arguments), "--model", str(model), "--device", "cpu"])


def test_the_model_is_compared_beside_the_label_mean_image(
    tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_case(tmp_path / "cases" / "sub-1")
    output = tmp_path / "figures"
    assert evaluate(tiny_model, tmp_path / "cases", "--output", output) == 0
    rows = list(csv.DictReader((output / "figures.csv").open()))
    methods = ["tiny, noise 1", "tiny, noise 0", LABEL_MEAN, LABEL_GAUSSIAN]
    assert [row["method"] for row in rows] == methods
    # The scan is the label-mean image, so that one is met exactly.
    assert float(rows[2]["ssim"]) == pytest.approx(1.0, abs=1e-6)
    assert float(rows[2]["dz_ratio"]) == pytest.approx(1.0, abs=1e-6)
    assert float(rows[0]["psnr"]) < 40
    assert json.loads((output / "figures.json").read_text())["num_subjects"] == 1
    assert (output / "sub-1.png").read_bytes().startswith(b"\x89PNG")
    assert "bone" in (output / "labels.csv").read_text()
    printed = capsys.readouterr().out
    assert LABEL_MEAN in printed
    assert str(output / "report.html") in printed
    assert "sub-1" in (output / "report.html").read_text()


def test_a_case_that_fails_is_told_and_the_others_are_compared(
    tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_case(tmp_path / "cases" / "sub-1")
    write_case(tmp_path / "cases" / "sub-2")
    (tmp_path / "cases" / "sub-1" / "image.nii.gz").write_bytes(b"")
    output = tmp_path / "figures"
    assert evaluate(tiny_model, tmp_path / "cases", "--output", output) == 1
    rows = list(csv.DictReader((output / "figures.csv").open()))
    assert {row["case"] for row in rows} == {"sub-2"}
    assert "1 of 2 succeeded, 1 failed:" in capsys.readouterr().err


def write_with_nan(source: Path, target: Path) -> None:
    volume = read_volume(source)
    volume.voxels_kji[10:12] = np.nan
    write_volume(volume, target)


def test_a_scan_and_a_volume_with_nan_are_no_case_that_a_mean_leaves_out(
    tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cases, elsewhere = tmp_path / "cases", tmp_path / "elsewhere"
    elsewhere.mkdir()
    for number in (1, 2, 3):
        write_case(cases / f"sub-{number}")
        write_volume(
            read_volume(cases / f"sub-{number}/image.nii.gz"), elsewhere / f"sub-{number}.nii"
        )
    write_with_nan(cases / "sub-1" / "image.nii.gz", cases / "sub-1" / "image.nii.gz")
    write_with_nan(elsewhere / "sub-2.nii", elsewhere / "sub-2.nii")
    output = tmp_path / "figures"
    assert evaluate(tiny_model, cases, "--output", output, "--volumes", f"a={elsewhere}") == 1
    rows = list(csv.DictReader((output / "figures.csv").open()))
    assert {row["case"] for row in rows} == {"sub-3"}
    told = capsys.readouterr().err
    for path in (cases / "sub-1" / "image.nii.gz", elsewhere / "sub-2.nii"):
        assert f"{path} has 3200 of 32000 voxels whose values are NaN or infinite" in told


def test_a_label_map_without_its_scan_is_refused(tmp_path: Path) -> None:
    write_case(tmp_path / "sub-1")
    (tmp_path / "sub-1" / "image.nii.gz").unlink()
    with pytest.raises(ValueError, match="0 scans named image"):
        find_cases(tmp_path)


def test_a_folder_without_cases_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="contains no case"):
        find_cases(tmp_path)


def test_a_case_folder_is_a_case_and_gives_it_its_name(tmp_path: Path) -> None:
    write_case(tmp_path / "sub-1")
    assert [case.name for case in find_cases(tmp_path / "sub-1")] == ["sub-1"]
    assert [case.name for case in find_cases(tmp_path)] == ["sub-1"]


def test_cases_are_found_through_links_and_not_in_hidden_folders(tmp_path: Path) -> None:
    for name in ("in/b", "in/.old", "elsewhere/a"):
        write_case(tmp_path / name)
    (tmp_path / "in" / "link").symlink_to(tmp_path / "elsewhere")
    cases = find_cases(tmp_path / "in")
    assert [case.label_map.parent for case in cases] == [
        tmp_path / "in" / "b",
        tmp_path / "in" / "link" / "a",
    ]
    (tmp_path / "elsewhere" / "a" / "seg.nii.gz").unlink()
    assert find_volume(tmp_path / "in", "a").parent == tmp_path / "in" / "link" / "a"
    with pytest.raises(ValueError, match="0 volumes of the case .old"):
        find_volume(tmp_path / "in", ".old")


def test_two_cases_with_one_name_are_refused(
    tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_case(tmp_path / "a" / "sub-1")
    write_case(tmp_path / "b" / "sub-1")
    assert evaluate(tiny_model, tmp_path, "--output", tmp_path / "figures") == 1
    assert "two cases with the same name" in capsys.readouterr().err
    assert not (tmp_path / "figures").exists()


def test_a_case_that_two_inputs_stand_for_is_taken_once(tmp_path: Path) -> None:
    for name in ("sub-1", "sub-2"):
        write_case(tmp_path / "cases" / name)
    again = [tmp_path / "cases", tmp_path / "cases" / "sub-1", tmp_path / "cases" / ".." / "cases"]
    cases = each_once(case for place in again for case in find_evaluated(place))
    assert [case.name for case in cases] == ["sub-1", "sub-2"]
    segmentation = tmp_path / "cases" / "sub-1" / "seg.nii.gz"
    write_label_map(read_label_map(segmentation), segmentation.with_name("seg.nrrd"))
    with pytest.raises(
        ValueError, match="seg.nii.gz and .*seg.nrrd have two cases with the same name"
    ):
        each_once(find_evaluated(tmp_path / "cases"))


def test_everything_that_is_asked_for_stands_in_one_report(
    tiny_model: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for number in (1, 2):
        write_shifted_case(tmp_path / "cases" / f"sub-{number}", number - 1)
        write_shifted_case(tmp_path / "training" / f"trained-{number}", -number)
    (tmp_path / "unet").mkdir()
    for number in (1, 2):  # a method made elsewhere that is perfect
        scan = (tmp_path / "cases" / f"sub-{number}" / "image.nii.gz").read_bytes()
        (tmp_path / "unet" / f"sub-{number}.nii.gz").write_bytes(scan)
    extractor, segmenter = tmp_path / "pixels.pt", tmp_path / "nearest.pt"
    extractor_hash = write_script(extractor, PooledPixels())
    segmenter_hash = write_script(segmenter, NearestMean())
    output = tmp_path / "figures"
    caplog.set_level(logging.INFO, logger="AnatoMaskGANLib")
    arguments = f"""
        --output {output} --volumes unet={tmp_path / "unet"} --training {tmp_path / "training"}
        --baseline-model {write_plain_model(tmp_path / "plain")}
        --samples 2 --noise-strength 1 --slice-step 1 --embedding-plot
        --segmenter {segmenter} --segmenter-sha256 {segmenter_hash}
        --extractor pixels={extractor} --extractor-sha256 pixels={extractor_hash[:12]}
        --mm-fid --resolutions 32 64"""
    assert evaluate(tiny_model, tmp_path / "cases", *arguments.split()) == 0
    content = json.loads((output / "figures.json").read_text())
    summary, sets = content["summary"], content["sets"]
    others = {LABEL_MEAN, LABEL_GAUSSIAN, NEAREST, "Real, training subjects"}
    assert set(summary) == {"tiny, noise 1", "unet", "plain"} | others
    # Two scans of one make, with noise of one strength: real against real is right.
    assert summary["Real, training subjects"]["label_deviation_ratio"]["mean"] == pytest.approx(
        1, abs=0.05
    )
    assert summary["Real, training subjects"]["psnr"]["mean"] is None
    assert summary["unet"]["ssim"]["mean"] == pytest.approx(1)
    assert summary["unet"]["dice_ratio"]["mean"] == pytest.approx(1)
    assert summary["unet"]["dice_real"]["mean"] > 0.9
    assert summary["tiny, noise 1"]["diversity"]["mean"] > 0
    assert 0 <= summary["tiny, noise 1"]["samples_dice"]["mean"] <= 1
    assert summary["plain"]["diversity"]["mean"] is None
    assert summary["unet"]["diversity"]["mean"] is None
    assert summary[LABEL_MEAN]["psnr"]["interval_95"] is not None
    assert sets["unet"]["fid (pixels)"] == pytest.approx(0, abs=1e-9)
    assert sets["tiny, noise 1"]["fid (pixels)"] > sets["Real, training subjects"]["fid (pixels)"]
    assert sets["unet"]["mm_fid"] == pytest.approx(0, abs=1e-9)
    assert sets[NEAREST]["copy_share"] > sets["unet"]["copy_share"]
    report = (output / "report.html").read_text()
    assert "Slices in the plane, by pixels" in report
    assert "Not measured: LPIPS (--lpips)." in report
    assert extractor_hash[:12] in report or "pixels.pt" in report
    told = [r.getMessage() for r in caplog.records if "labels matched" in r.getMessage()]
    assert len(told) == 1


def test_a_store_gives_the_training_subjects_too(tiny_model: Path, tmp_path: Path) -> None:
    write_case(tmp_path / "cases" / "sub-1")
    store = tmp_path / "store"
    entries = []
    for number in range(2):
        case = write_case_arrays(tmp_path / f"trained-{number}", -number - 1)
        entry = store_case(store, f"trained-{number}", *case, (0.0, 200.0))
        entries.append({**entry, "subject": f"trained-{number}", "split": "train"})
    table = {"name": "limb", "labels": {"1": "skin", "2": "bone", "3": "marrow"}}
    write_index(store, entries, (2.0, 2.0, 2.0), (0.0, 200.0), "", table)
    output = tmp_path / "figures"
    arguments = ["--output", output, "--training", store, "--noise-strength", "0"]
    assert evaluate(tiny_model, tmp_path / "cases", *arguments) == 0
    content = json.loads((output / "figures.json").read_text())
    assert "neighbor_distance_ratio" in content["sets"][NEAREST]
    # The nearest anatomy is the case's own, moved by one voxel; its noise is all that differs.
    assert content["summary"][NEAREST]["ssim"]["mean"] > 0.7
    assert "neighbor_distance_ratio" in content["sets"][NEAREST]


def test_the_test_split_of_a_store_is_evaluated(tiny_model: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    entries = []
    for number, split in enumerate(("train", "validation", "test")):
        case = write_case_arrays(tmp_path / f"sub-{number}", -number - 1)
        entry = store_case(store, f"sub-{number}", *case, (0.0, 200.0))
        entries.append({**entry, "subject": f"person-{number}", "split": split})
    table = {"name": "limb", "labels": {"1": "skin", "2": "bone", "3": "marrow"}}
    write_index(store, entries, (2.0, 2.0, 2.0), (0.0, 200.0), "", table)
    output = tmp_path / "figures"
    assert evaluate(tiny_model, store, "--output", output, "--noise-strength", "0") == 0
    rows = list(csv.DictReader((output / "figures.csv").open()))
    assert {(row["case"], row["subject"]) for row in rows} == {("sub-2", "person-2")}
    for entry in entries:
        entry["split"] = "train"
    write_index(store, entries, (2.0, 2.0, 2.0), (0.0, 200.0), "", table)
    with pytest.raises(ValueError, match="no test or validation case"):
        find_evaluated(store)


def test_a_stored_case_with_a_window_of_its_own_is_compared_in_it(
    tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two scanners, one of three times the gain; percentiles give both the same numbers."""
    store, entries = tmp_path / "store", []
    image, labels = write_case_arrays(tmp_path / "sub", -1)
    for gain, split in ((1.0, "train"), (3.0, "test")):
        window = (0.0, 200.0 * gain)
        entry = store_case(store, f"gain-{gain:g}", gain * image, labels, window)
        entries.append({**entry, "subject": f"gain-{gain:g}", "split": split})
    table = {"name": "limb", "labels": {"1": "skin", "2": "bone", "3": "marrow"}}
    write_index(store, entries, (2.0, 2.0, 2.0), (0.0, 200.0), "", table)
    train, test = (stored_volume(open_store(store), c) for c in open_store(store).cases)
    np.testing.assert_allclose(test.voxels_kji, train.voxels_kji, atol=0.01)
    np.testing.assert_allclose(train.voxels_kji, np.clip(image, 0, 200), atol=0.01)
    output = tmp_path / "figures"
    assert evaluate(tiny_model, store, "--output", output, "--noise-strength", "0") == 0
    assert "in their own windows" in (output / "report.html").read_text()
    assert "gain-3 0 to 600" in capsys.readouterr().err


def test_a_store_of_another_window_than_the_models_is_told(tmp_path: Path) -> None:
    store = tmp_path / "store"
    case = write_case_arrays(tmp_path / "sub", -1)
    entry = store_case(store, "sub", *case, (0.0, 100.0))
    table = {"name": "limb", "labels": {"1": "skin", "2": "bone", "3": "marrow"}}
    entries = [{**entry, "subject": "sub", "split": "test"}]
    write_index(store, entries, (2.0, 2.0, 2.0), (0.0, 100.0), "", table)
    cases = find_evaluated(store)
    (note,) = notes_on_windows(cases, tiny_card(window=(0.0, 200.0)))
    assert note.endswith(
        "is 0 to 100, that of tiny 0 to 200: intensities outside the model's window are clipped."
    )
    assert list(notes_on_windows(cases, tiny_card(window=(0.0, 100.0)))) == []


def write_case_arrays(folder: Path, shift: int) -> tuple[np.ndarray, np.ndarray]:
    write_shifted_case(folder, shift)
    image = read_volume(folder / "image.nii.gz").voxels_kji
    return image, read_label_map(folder / "seg.nii.gz").labels_kji


def test_figures_of_sets_that_cannot_be_found_do_not_lose_the_others(
    tiny_model: Path, tmp_path: Path
) -> None:
    write_case(tmp_path / "cases" / "sub-1")
    digest = write_script(tmp_path / "pixels.pt", PooledPixels())
    output = tmp_path / "figures"
    extractor = ["--extractor", f"pixels={tmp_path / 'pixels.pt'}"]
    hashes = ["--extractor-sha256", f"pixels={digest}", "--slice-step", "8"]
    assert evaluate(tiny_model, tmp_path / "cases", "--output", output, *extractor, *hashes) == 1
    assert "metrics of image sets are missing" in (output / "report.html").read_text()


def test_a_script_of_another_hash_is_refused_before_anything_is_made(
    tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_case(tmp_path / "cases" / "sub-1")
    write_script(tmp_path / "pixels.pt", PooledPixels())
    output = tmp_path / "figures"
    extractor = ["--extractor", f"pixels={tmp_path / 'pixels.pt'}"]
    hashes = ["--extractor-sha256", "pixels=0123456789ab"]
    assert evaluate(tiny_model, tmp_path / "cases", "--output", output, *extractor, *hashes) == 1
    assert "expected 0123456789ab" in capsys.readouterr().err
    assert not output.exists()


def test_the_encoder_of_a_trained_segmenter_gives_features(tmp_path: Path) -> None:
    settings = GeneratorSettings(num_classes=4, kind="segmenter", channels=(16, 16, 8, 8))
    card = tiny_card(settings)
    segmenter = VolumeSegmenter(card, build_generator(settings), torch.device("cpu"))
    slices = np.random.default_rng(0).random((3, 32, 48), dtype=np.float32)
    features = encoder_features(segmenter)(slices)
    assert features.shape == (3, 16)
    again = encoder_features(segmenter)(slices[::-1])[::-1]
    assert np.allclose(features, again, atol=1e-5)


def test_a_model_without_noise_is_measured_once(tmp_path: Path) -> None:
    write_case(tmp_path / "cases" / "sub-1")
    plain = write_plain_model(tmp_path / "plain")
    output = tmp_path / "figures"
    assert evaluate(plain, tmp_path / "cases", "--output", output) == 0
    rows = list(csv.DictReader((output / "figures.csv").open()))
    assert [row["method"] for row in rows] == ["plain", LABEL_MEAN, LABEL_GAUSSIAN]
    report = (output / "report.html").read_text()
    assert "No training subject had 3 marrow. There, the label-mean image" in report


def test_a_case_that_the_model_was_trained_on_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("limbs-sub-1", "sub-2", "sub-11"):
        write_case(tmp_path / "cases" / name)
    training = {"train cases": "sub-1, sub-3", "validation cases": "sub-2"}
    plain = write_plain_model(tmp_path / "plain", training=training)
    output = tmp_path / "figures"
    assert evaluate(plain, tmp_path / "cases", "--output", output) == 0
    report = (output / "report.html").read_text()
    seen = "plain was trained on limbs-sub-1: its metrics there prove nothing."
    assert seen in report and seen in capsys.readouterr().err
    assert "plain was not trained on sub-2, but settings or a checkpoint may have been" in report


@pytest.mark.parametrize(
    ("folder", "training", "seen"),
    [
        ("sub-01_ses-2", {"train cases": "sub-01_ses-1"}, True),
        ("sub-01/ses-2", {"train cases": "sub-01_ses-1"}, True),
        ("sub-02/ses-1", {"train cases": "sub-01_ses-1"}, False),
        ("p7-scan2", {"train cases": "p7-scan1"}, False),
        ("sub-p7/scan2", {"train cases": "first", "train subjects": "sub-p7"}, True),
    ],
)
def test_another_scan_of_a_subject_that_the_model_was_trained_on_is_told(
    tmp_path: Path, folder: str, training: dict[str, str], seen: bool
) -> None:
    write_case(tmp_path / "cases" / folder)
    (case,) = find_cases(tmp_path / "cases")
    card = tiny_card(training=training)
    notes = list(notes_on_seen_cases([card], {case.name: case.subject}))
    told = f"tiny was trained on the subject of {case.name}: its metrics there prove nothing."
    assert any(note.startswith(told) for note in notes) == seen == bool(notes)


def test_another_scan_of_an_evaluated_subject_is_no_training_subject(tmp_path: Path) -> None:
    for number, name in enumerate(("sub-1_ses-1", "sub-1_ses-2", "sub-2", "sub-3")):
        write_shifted_case(tmp_path / "cases" / name, number)
    training = {"train cases": "sub-1_ses-1, sub-2, sub-3"}
    plain = write_plain_model(tmp_path / "plain", training=training)
    output = tmp_path / "figures"
    arguments = ["--output", output, "--training", tmp_path / "cases"]
    assert evaluate(plain, tmp_path / "cases" / "sub-1_ses-2", *arguments) == 0
    assert "<th>Training subjects</th><td>sub-2, sub-3</td>" in (output / "report.html").read_text()


def test_a_card_that_is_silent_about_its_training_cases_is_told(
    tiny_model: Path, tmp_path: Path
) -> None:
    write_case(tmp_path / "cases" / "sub-1")
    output = tmp_path / "figures"
    assert evaluate(tiny_model, tmp_path / "cases", "--output", output) == 0
    assert "does not name its training cases" in (output / "report.html").read_text()


def test_training_subjects_are_those_that_the_card_names(tmp_path: Path) -> None:
    for number in (1, 2, 3):
        write_shifted_case(tmp_path / "cases" / f"sub-{number}", number)
    plain = write_plain_model(tmp_path / "plain", training={"train cases": "sub-1, sub-2"})
    output = tmp_path / "figures"
    arguments = ["--output", output, "--training", tmp_path / "cases"]
    assert evaluate(plain, tmp_path / "cases" / "sub-3", *arguments) == 0
    report = (output / "report.html").read_text()
    assert "<th>Training subjects</th><td>sub-1, sub-2</td>" in report
    assert "also among the given training subjects" not in report
    rows = list(csv.DictReader((output / "figures.csv").open()))
    pairs = [row["case"] for row in rows if row["method"] == "Real, training subjects"]
    assert pairs == ["sub-3 against sub-1", "sub-3 against sub-2"]


def test_models_of_two_windows_are_not_compared(
    tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_case(tmp_path / "cases" / "sub-1")
    other = write_tiny_model(tmp_path / "other", name="other")
    code = main(
        ["evaluate", str(tmp_path / "cases"), "--output", str(tmp_path / "figures")]
        + ["--device", "cpu", "--model", str(tiny_model), str(other)]
    )
    assert code == 1
    assert "expected models with the same window" in capsys.readouterr().err


def test_volumes_made_elsewhere_are_found_by_the_case_name(tmp_path: Path) -> None:
    volume = Volume(np.zeros((2, 2, 2), dtype=np.float32), np.eye(4))
    (tmp_path / "sub-1").mkdir()
    write_volume(volume, tmp_path / "sub-1" / "seg_synthetic.nii.gz")
    write_volume(volume, tmp_path / "sub-2.mha")
    # what a killed process was writing
    (tmp_path / "sub-1" / ".writing-5bce98f7-a337d32c6e36.nii.gz").write_bytes(b"half")
    assert find_volume(tmp_path, "sub-1").name == "seg_synthetic.nii.gz"
    assert find_volume(tmp_path, "sub-2").name == "sub-2.mha"
    with pytest.raises(ValueError, match="0 volumes of the case sub-3"):
        find_volume(tmp_path, "sub-3")


def test_named_values_have_a_name_and_a_value() -> None:
    assert named_values(["unet=a=b"], "volumes") == {"unet": "a=b"}
    for text in ("unet", "=folder", "unet="):
        with pytest.raises(ValueError, match="expected NAME=VALUE"):
            named_values([text], "volumes")


def test_two_models_of_one_name_are_not_compared(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_case(tmp_path / "cases" / "sub-1")
    models = [str(write_tiny_model(tmp_path / name)) for name in ("one", "other")]
    arguments = ["--output", str(tmp_path / "figures"), "--device", "cpu", "--model", *models]
    assert main(["evaluate", str(tmp_path / "cases"), *arguments]) == 1
    told = capsys.readouterr().err
    assert "have the same name (tiny, tiny)" in told and "Export one of them under another" in told


def test_a_hash_for_an_extractor_that_is_not_there_is_told(
    tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_case(tmp_path / "cases" / "sub-1")
    hashes = ["--extractor-sha256", "pixels=0123456789ab"]
    output = tmp_path / "figures"
    assert evaluate(tiny_model, tmp_path / "cases", "--output", output, *hashes) == 1
    assert (
        "names pixels, which is not an extractor; expected one of none" in capsys.readouterr().err
    )
