from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
from tiny_models import label_map_of, tiny_synthesizer, write_tiny_model

from AnatoMaskGANLib.cli import main
from AnatoMaskGANLib.volumes import LabelMap, VolumeError, read_volume, write_label_map

FINE_IJK_MM = (0.25, 0.25, 0.25)


def fine_map(has_surroundings: bool = True) -> LabelMap:
    """One voxel of label 1 between the centers of the model's voxels, inside a box of label 2."""
    labels = np.zeros((40, 40, 40), dtype=np.uint8)
    if has_surroundings:
        labels[8:32, 8:32, 8:32] = 2
    labels[20, 20, 20] = 1
    return label_map_of(labels, FINE_IJK_MM)


def warnings_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]


def test_a_label_too_small_for_the_model_grid_is_told_once_and_recorded(
    caplog: pytest.LogCaptureFixture,
) -> None:
    volumes = list(tiny_synthesizer().synthesize_samples(fine_map(), seeds=[0, 1]))
    assert [volume.provenance["LostLabels"] for volume in volumes] == ["1 part 1", "1 part 1"]
    (warning,) = warnings_of(caplog)
    assert "1 x 1 x 2 mm" in warning and "1 part 1" in warning and "part 2" not in warning


def test_a_map_of_which_every_label_is_left_says_so() -> None:
    labels = np.full((4, 12, 12), 3, dtype=np.uint8)
    assert tiny_synthesizer().synthesize(label_map_of(labels)).provenance["LostLabels"] == "none"


def test_a_label_whose_class_another_label_keeps_is_not_lost() -> None:
    table = {"part 1": "part 2"}
    volume = tiny_synthesizer().synthesize(fine_map(), user_table=table)
    assert volume.provenance["LostLabels"] == "none"


def test_a_map_of_which_no_label_is_left_is_refused() -> None:
    with pytest.raises(VolumeError, match=r"No label is left .* 1 x 1 x 2 mm: 1 part 1 fell"):
        tiny_synthesizer().synthesize(fine_map(has_surroundings=False))


def test_a_session_records_what_a_synthesis_records_and_warns_when_it_changes(
    caplog: pytest.LogCaptureFixture,
) -> None:
    synthesizer = tiny_synthesizer()
    grown = fine_map().labels_kji.copy()
    grown[12:28, 12:28, 12:28] = 1
    maps = [fine_map(), fine_map(), label_map_of(grown, FINE_IJK_MM)]
    session = synthesizer.session(maps[0])
    for label_map in maps[1:]:
        session.update(label_map)
    assert len(warnings_of(caplog)) == 1
    assert session.volume.provenance == synthesizer.synthesize(maps[-1]).provenance
    assert session.volume.provenance["LostLabels"] == "none"
    with pytest.raises(VolumeError, match="No label is left"):
        session.update(fine_map(has_surroundings=False))
    session.update(maps[0])
    assert session.volume.provenance == synthesizer.synthesize(maps[0]).provenance
    assert session.volume.provenance["LostLabels"] == "1 part 1"


def test_the_command_line_tells_lost_labels_and_fails_when_none_is_left(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = write_tiny_model(tmp_path / "tiny")
    for name, has_surroundings, exit_code in (("whole", True, 0), ("alone", False, 1)):
        source, target = tmp_path / f"{name}.nrrd", tmp_path / f"{name}-image.nrrd"
        write_label_map(fine_map(has_surroundings), source)
        command = ["synthesize", str(source), "--output", str(target), "--model", str(model)]
        assert main([*command, "--device", "cpu"]) == exit_code
        assert ("1 part 1" in capsys.readouterr().err) and target.exists() == has_surroundings
    assert read_volume(tmp_path / "whole-image.nrrd").provenance["LostLabels"] == "1 part 1"
