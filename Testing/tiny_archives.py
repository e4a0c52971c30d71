"""Small archives with exactly the folders and names of the public ones, for tests of `prepare`.

The anatomy is made up: boxes of labels, each with an intensity of its own, in an image whose axes
are stored as LIA, LPS or RAS, as the archives do.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import nibabel
import numpy as np

SHAPE_IJK = (24, 22, 20)


def anatomy(values: Sequence[int], seed: int = 0, shape_ijk=SHAPE_IJK) -> np.ndarray:
    """Labels [I,J,K] in RAS order: one box a value, no two alike, all inside a margin of two."""
    generator = np.random.default_rng(seed)
    labels = np.zeros(shape_ijk, dtype=np.int32)
    inner = labels[2:-2, 2:-2, 2:-2]
    boxes = np.array_split(np.arange(inner.shape[0]), min(len(values), inner.shape[0]))
    layers = np.array_split(np.arange(inner.shape[2]), -(-len(values) // len(boxes)))
    for number, value in enumerate(values):
        columns, layer = boxes[number % len(boxes)], layers[number // len(boxes)]
        rows = slice(int(generator.integers(0, 4)), inner.shape[1] - int(generator.integers(0, 4)))
        inner[columns[0] : columns[-1] + 1, rows, layer[0] : layer[-1] + 1] = value
    return labels


def image_of(labels: np.ndarray, low: float, high: float, seed: int = 0) -> np.ndarray:
    """An intensity for each label between low and high, with a little noise."""
    generator = np.random.default_rng(seed)
    values = np.unique(labels)
    places = np.searchsorted(values, labels)
    gray = np.linspace(low, high, len(values))[places]
    return gray + generator.normal(0, (high - low) / 200, labels.shape)


def write_nifti(
    path: Path,
    array_ras: np.ndarray,
    spacing_mm: Sequence[float] = (1.0, 1.0, 1.0),
    orientation: str = "RAS",
    dtype: type = np.int16,
) -> None:
    """Writes an array in RAS order as a NIfTI file whose axes are stored in another order."""
    path.parent.mkdir(parents=True, exist_ok=True)
    affine = np.diag([*spacing_mm, 1.0])
    affine[:3, 3] = (-30.0, 12.0, 5.0)
    image = nibabel.Nifti1Image(array_ras.astype(dtype), affine)
    turned = nibabel.orientations.ornt_transform(
        nibabel.orientations.axcodes2ornt("RAS"), nibabel.orientations.axcodes2ornt(orientation)
    )
    nibabel.save(image.as_reoriented(turned), path)


def l2r_oasis(folder: Path, num_subjects: int = 4) -> Path:
    """Neurite's OASIS: one folder a session, many files in it; LIA, images in [0,1]."""
    for number in range(1, num_subjects + 1):
        session = folder / f"OASIS_OAS1_{number:04d}_MR1"
        labels = anatomy(range(1, 36), number)
        image = image_of(labels, 0, 0.9, number)
        for prefix in ("", "aligned_"):
            write_nifti(session / f"{prefix}norm.nii.gz", image, (1, 1, 1), "LIA", np.float32)
            write_nifti(session / f"{prefix}orig.nii.gz", image, (1, 1, 1), "LIA", np.float32)
            write_nifti(session / f"{prefix}seg35.nii.gz", labels, (1, 1, 1), "LIA", np.uint8)
            write_nifti(session / f"{prefix}seg4.nii.gz", labels % 5, (1, 1, 1), "LIA", np.uint8)
    (folder / "subjects.txt").write_text("OASIS_OAS1_0001_MR1\n")
    return folder


def l2r_abdomen_ct(folder: Path, num_training: int = 4, num_test: int = 2) -> Path:
    """Learn2Reg's AbdomenCT: imagesTr, labelsTr and imagesTs in a folder of the task's name."""
    task = folder / "AbdomenCTCT"
    for number in range(1, num_training + num_test + 1):
        labels = anatomy(range(1, 14), number)
        image = image_of(labels, -100, 200, number)
        part = "Tr" if number <= num_training else "Ts"
        name = f"AbdomenCT_{number:04d}_0000.nii.gz"
        write_nifti(task / f"images{part}" / name, image, (2, 2, 2))
        if part == "Tr":
            write_nifti(task / f"labels{part}" / name, labels, (2, 2, 2), dtype=np.uint8)
    (task / "AbdomenCTCT_dataset.json").write_text("{}")
    return folder


def btcv(folder: Path, num_training: int = 3, num_test: int = 1) -> Path:
    """BTCV: Abdomen/RawData/Training/img/img0001.nii.gz and label/label0001.nii.gz; LAS."""
    raw = folder / "Abdomen" / "RawData"
    for number in range(1, num_training + num_test + 1):
        labels = anatomy(range(1, 14), number)
        image = image_of(labels, -100, 200, number)
        is_training = number <= num_training
        part = raw / ("Training" if is_training else "Testing")
        write_nifti(part / "img" / f"img{number:04d}.nii.gz", image, (1.5, 1.5, 3), "LAS")
        if is_training:
            path = part / "label" / f"label{number:04d}.nii.gz"
            write_nifti(path, labels, (1.5, 1.5, 3), "LAS", np.uint8)
    return folder


def totalsegmentator(folder: Path, organs: Sequence[str], num_cases: int = 4) -> Path:
    """TotalSegmentator's data: s0000/ct.nii.gz with a mask file an organ, some of them empty, and
    meta.csv with its split."""
    splits = [*["train"] * (num_cases - 2), "val", "test"]
    lines = ["image_id;age;gender;split"]
    for number, split in enumerate(splits):
        values = range(1, len(organs) - number % 2 + 1)  # the last organ is not in every scan
        labels = anatomy(values, number)
        case = folder / f"s{number:04d}"
        write_nifti(case / "ct.nii.gz", image_of(labels, -100, 200, number), (1.5, 1.5, 1.5))
        for value, organ in enumerate(organs, start=1):
            mask = case / "segmentations" / f"{organ}.nii.gz"
            write_nifti(mask, labels == value, (1.5, 1.5, 1.5), dtype=np.uint8)
        lines.append(f"{case.name};50;m;{split}")
    (folder / "meta.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


MM_WHS_VALUES = (205, 420, 500, 550, 600, 820, 850)


def mm_whs(folder: Path, modality: str = "ct", num_training: int = 3, num_test: int = 1) -> Path:
    """MM-WHS: ct_train/ct_train_1001_image.nii.gz and ..._label.nii.gz, ct_test without labels."""
    for number in range(1, num_training + 1):
        labels = anatomy(MM_WHS_VALUES, number)
        name = folder / f"{modality}_train" / f"{modality}_train_{1000 + number}"
        write_nifti(Path(f"{name}_image.nii.gz"), image_of(labels, -150, 500, number))
        write_nifti(Path(f"{name}_label.nii.gz"), labels)
    for number in range(1, num_test + 1):
        name = folder / f"{modality}_test" / f"{modality}_test_{2000 + number}"
        write_nifti(Path(f"{name}_image.nii.gz"), image_of(anatomy(MM_WHS_VALUES), -150, 500))
    return folder


def case_folders(folder: Path, num_cases: int = 4, values: Sequence[int] = (1, 2, 3)) -> Path:
    """Case folders sub-01, ... with image.nii.gz and seg.nii.gz, and labels.json beside them."""
    for number in range(1, num_cases + 1):
        labels = anatomy(values, number)
        case = folder / f"sub-{number:02d}"
        write_nifti(case / "image.nii.gz", image_of(labels, 0, 900, number))
        write_nifti(case / "seg.nii.gz", labels, dtype=np.uint8)
    names = {1: "left lung", 2: "heart", 3: "right lung"}
    text = ", ".join(f'"{value}": "{names.get(value, f"part {value}")}"' for value in values)
    (folder / "labels.json").write_text("{" + text + "}")
    return folder


def dicom_series(folder: Path, image_ras: np.ndarray, spacing_mm: Sequence[float]) -> None:
    """A CT series of axial slices, one file each, head first supine (LPS) as scanners write it."""
    import SimpleITK

    folder.mkdir(parents=True)
    # rows to the left and posterior: RAS order with i and j reversed
    stack = np.ascontiguousarray(image_ras[::-1, ::-1].transpose(2, 1, 0)).astype(np.int16)
    sizes = np.array(image_ras.shape)
    last_ras = np.array((-30.0, 12.0, 5.0)) + (sizes - 1) * np.array(spacing_mm)
    origin_lps = (-last_ras[0], -last_ras[1], 5.0)
    writer = SimpleITK.ImageFileWriter()
    writer.KeepOriginalImageUIDOn()
    for k, pixels in enumerate(stack):
        image = SimpleITK.GetImageFromArray(pixels[None])
        position = (origin_lps[0], origin_lps[1], origin_lps[2] + k * spacing_mm[2])
        tags = {
            "0008|0016": "1.2.840.10008.5.1.4.1.1.2",
            "0008|0018": f"1.2.826.0.1.3680043.2.1125.1.{k + 1}",
            "0008|0060": "CT",
            "0020|000d": "1.2.826.0.1.3680043.2.1125.2",
            "0020|000e": "1.2.826.0.1.3680043.2.1125.3",
            "0020|0013": str(k + 1),
            "0020|0032": "\\".join(f"{value:.6f}" for value in position),
            "0020|0037": "1\\0\\0\\0\\1\\0",
            "0018|0050": str(spacing_mm[2]),
        }
        image.SetSpacing([float(mm) for mm in spacing_mm])
        image.SetOrigin(position)
        for tag, value in tags.items():
            image.SetMetaData(tag, value)
        writer.SetFileName(str(folder / f"slice-{k:03d}.dcm"))
        writer.Execute(image)
