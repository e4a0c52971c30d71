"""Lengths of text headers in other units than millimeters, and headers that name no space."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from AnatoMaskGANLib.volumes import VolumeError, read_volume

LPS = "space: left-posterior-superior\n"
DIRECTIONS = "space directions: (1,0,0) (0,2,0) (0,0,3)\nspace origin: (4,5,6)\n"


def _nrrd(path: Path, *lines: str) -> Path:
    head = "NRRD0004\ntype: uint8\ndimension: 3\nsizes: 4 3 2\nencoding: raw\n"
    path.write_bytes((head + "".join(lines) + "\n").encode() + bytes(range(24)))
    return path


def _metaimage(path: Path, line: str) -> Path:
    head = "ObjectType = Image\nNDims = 3\nDimSize = 4 3 2\nElementSpacing = 1 2 3\n"
    end = "ElementType = MET_UCHAR\nElementDataFile = LOCAL\n"
    path.write_bytes((head + line + end).encode() + bytes(range(24)))
    return path


@pytest.mark.parametrize(
    ("unit", "factor"),
    [("cm", 10), ("m", 1000), ("um", 0.001), ("\u00b5m", 0.001), ("Microns", 0.001), ("mm", 1)]
    + [("millimeters", 1), ("", 1)],
)
def test_lengths_become_millimeters(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, unit: str, factor: float
) -> None:
    units = f'space units: "{unit}" "{unit}" "{unit}"\n'
    volume = read_volume(_nrrd(tmp_path / "a.nrrd", LPS, DIRECTIONS, units))
    expected = np.diag([-1.0, -2.0, 3.0, 1.0])
    expected[:3, 3] = (-4, -5, 6)
    expected[:3] *= factor
    assert np.allclose(volume.ijk_to_ras, expected, rtol=1e-12)
    assert ("converted to millimeters" in caplog.text) == (factor != 1)


def test_axes_and_metaimages_have_units_as_well(tmp_path: Path) -> None:
    axes = _nrrd(tmp_path / "a.nrrd", "spacings: 1 2 3\n", 'units: "cm" "cm" "cm"\n')
    assert np.allclose(read_volume(axes).spacing_ijk_mm, (10, 20, 30))
    metaimage = _metaimage(tmp_path / "a.mha", "DistanceUnits = cm\n")
    assert np.allclose(read_volume(metaimage).spacing_ijk_mm, (10, 20, 30))
    assert read_volume(_metaimage(tmp_path / "b.mha", "")).spacing_ijk_mm == (1, 2, 3)


@pytest.mark.parametrize("units", ['"cm" "cm" "mm"', '"s" "s" "s"', '"pixels" "pixels" "mm"'])
def test_units_that_are_no_length_or_differ_are_refused(tmp_path: Path, units: str) -> None:
    path = _nrrd(tmp_path / "a.nrrd", LPS, DIRECTIONS, f"space units: {units}\n")
    with pytest.raises(
        VolumeError, match="gives its lengths in .*expected a single unit: m, cm, mm"
    ):
        read_volume(path)


@pytest.mark.parametrize("spelling", ["left-posterior-superior", "RAS", "left-anterior-superior"])
def test_a_space_of_the_patient_needs_no_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, spelling: str
) -> None:
    read_volume(_nrrd(tmp_path / "a.nrrd", f"space: {spelling}\n", DIRECTIONS))
    assert caplog.text == ""


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("", "no space"),
        ("space dimension: 3\n", "no space"),
        ("space: scanner-xyz\n", "space: scanner-xyz"),
    ],
)
def test_a_header_that_does_not_say_where_its_axes_lead_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, line: str, words: str
) -> None:
    place = DIRECTIONS if line else "spacings: 1 2 3\n"
    read_volume(_nrrd(tmp_path / "a.nrrd", line, place))
    assert f"does not say how it is positioned ({words})" in caplog.text
