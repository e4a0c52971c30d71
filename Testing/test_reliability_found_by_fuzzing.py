"""What fuzzing found, one test a finding; `python -m Testing.fuzz` looks for more."""

from __future__ import annotations

import gzip
import json
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import pytest
import torch

from AnatoMaskGANLib.commands.train import TrainOptions, run_settings
from AnatoMaskGANLib.synthesis import CheckpointError
from AnatoMaskGANLib.synthesis.models.archive import install_model
from AnatoMaskGANLib.synthesis.models.folder import WEIGHTS_FILE, read_model
from AnatoMaskGANLib.training.checkpoints import RunStateError, read_tensors, write_tensors
from AnatoMaskGANLib.volumes import LabelTable, VolumeError, read_label_map, read_volume
from AnatoMaskGANLib.volumes.case_store import INDEX, StoreError, open_store
from AnatoMaskGANLib.volumes.label_names import read_label_names
from Testing.fuzz import corpus
from Testing.tiny_runs import write_tiny_store


def write_model_with(folder: Path, **changes: object) -> Path:
    """A model folder whose card has other values."""
    whole = corpus.tiny_model_bytes()
    card = json.loads(corpus.header_of(whole)[0]["__metadata__"]["card"])
    (folder / WEIGHTS_FILE).write_bytes(corpus.with_card(whole, json.dumps(card | changes)))
    return folder


def test_a_card_that_is_nested_too_deeply_is_refused(tmp_path: Path) -> None:
    content = corpus.with_card(corpus.tiny_model_bytes(), "[" * 100_000)
    (tmp_path / WEIGHTS_FILE).write_bytes(content)
    with pytest.raises(CheckpointError, match="cannot be read"):
        read_model(tmp_path)


def test_a_card_of_a_network_of_terabytes_is_refused_without_taking_memory(tmp_path: Path) -> None:
    generator = {"num_classes": 6, "channels": [2**13] * 4, "fusion_stage": 0}
    with pytest.raises(CheckpointError, match="do not match their card"):
        read_model(write_model_with(tmp_path, generator=generator))


@pytest.mark.parametrize(
    "change",
    [
        {"spacing_ijk_mm": [1.0, float("nan"), 1.0]},
        {"spacing_ijk_mm": [1.0, float("inf"), 1.0]},
        {"window": [float("-inf"), 1.0]},
    ],
)
def test_a_card_without_finite_spacing_and_window_is_refused(tmp_path: Path, change: dict) -> None:
    with pytest.raises(CheckpointError, match="finite"):
        read_model(write_model_with(tmp_path, **change))


def test_an_infinite_swap_partner_in_a_label_table_is_refused() -> None:
    content = {"name": "x", "labels": {"1": "a"}, "swaps": {"1": float("inf")}}
    with pytest.raises(VolumeError, match="damaged"):
        LabelTable.from_dict(content)


def test_a_label_value_of_thousands_of_digits_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "labels.json"
    path.write_text(json.dumps({"9" * 5000: "liver"}))
    with pytest.raises(VolumeError, match="whole number") as raised:
        read_label_names(path)
    assert len(str(raised.value)) < 1000


@pytest.mark.parametrize(
    "text", ["[" * 5000, "output: !!int ''", "output: !!bool perhaps", "output: !!timestamp x"]
)
def test_yaml_that_its_reader_stumbles_over_is_told_as_no_yaml(tmp_path: Path, text: str) -> None:
    path = tmp_path / "run.yaml"
    path.write_text(text)
    with pytest.raises(ValueError, match="is not valid YAML"):
        run_settings(TrainOptions(config=path))


def test_an_nrrd_origin_of_thousands_of_digits_is_refused_before_itk_overruns(
    tmp_path: Path,
) -> None:
    path = tmp_path / "a.nrrd"
    header = "NRRD0004\ntype: uchar\ndimension: 3\nsizes: 1 1 1\nspace: left-posterior-superior\n"
    origin = f"space origin: ({'9' * 5000},0,0)\n"
    path.write_bytes((header + origin + "encoding: raw\n\n").encode() + b"\1")
    with pytest.raises(VolumeError, match="5006 characters"):
        read_label_map(path)


@pytest.mark.parametrize(
    "lines",
    [
        "NRRD0004\ntype: uchar\ndimension: 3\nsizes: 1200 1200 1300\nencoding: raw\n\n",
        "NRRD0004\ntype: uchar\ndimension: 3\nsizes: 1200 1200 1300x\nencoding: raw\n\n",
        "ObjectType = Image\nNDims = 3\nDimSize = 1200 1200 1300\nElementType = MET_UCHAR\n"
        "ElementDataFile = LOCAL\n",
    ],
)
def test_a_header_that_promises_more_than_its_file_is_refused_before_memory_is_taken(
    tmp_path: Path, lines: str
) -> None:
    path = tmp_path / ("a.nrrd" if lines.startswith("NRRD") else "a.mha")
    path.write_bytes(lines.encode() + bytes(8))
    with pytest.raises(VolumeError, match="only 8 bytes follow"):
        read_label_map(path)


def test_an_archive_whose_packed_data_are_torn_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.zip"
    content = bytearray(corpus.zip_of({WEIGHTS_FILE: corpus.tiny_model_bytes()}))
    content[60:90] = b"\xff" * 30
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="damaged archive"):
        install_model(path, target=tmp_path / "models")
    assert not list((tmp_path / "models").glob("[!.]*"))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("spacing_ijk_mm", [1.0, float("nan"), 1.0]),
        ("spacing_ijk_mm", [1.0, 10**400, 1.0]),
        ("label_table", {"labels": {}}),
        ("label_table", {"name": "x", "labels": {"9" * 5000: "a"}}),
    ],
)
def test_a_store_that_training_would_stumble_over_is_refused_when_opened(
    tmp_path: Path, key: str, value: object
) -> None:
    index = json.loads((write_tiny_store(tmp_path) / INDEX).read_text())
    (tmp_path / INDEX).write_text(json.dumps(index | {key: value}))
    with pytest.raises(StoreError, match="damaged"):
        open_store(tmp_path)


def test_labels_beyond_the_end_of_a_stored_case_are_refused(tmp_path: Path) -> None:
    index = json.loads((write_tiny_store(tmp_path) / INDEX).read_text())
    index["cases"][0]["labeled_extent"][0] = [0, 99]
    (tmp_path / INDEX).write_text(json.dumps(index))
    with pytest.raises(StoreError, match="from 0 to 99 of 14"):
        open_store(tmp_path)


def test_an_array_whose_header_is_torn_is_refused(tmp_path: Path) -> None:
    path = write_tiny_store(tmp_path) / "sub-0" / "image.npy"
    path.write_bytes(path.read_bytes().replace(b"}", b"(", 1))
    with pytest.raises(StoreError, match="cannot be read"):
        open_store(tmp_path)


@pytest.mark.parametrize("text", ["{", "[]", "[" * 100_000])
def test_a_run_state_with_a_damaged_header_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "latest.safetensors"
    write_tensors(path, {"a": torch.zeros(1)}, {"version": "1", "run": text})
    with pytest.raises(RunStateError, match="damaged header"):
        read_tensors(path)


@pytest.mark.parametrize(
    "table",
    [
        {"name": True, "labels": {"1": "a"}},
        {"name": "x", "labels": {"1": "a", "2": "a"}},
        {"name": "x", "labels": ["1"]},
        {"name": "x", "labels": {"1": "a"}, "odd": 1},
    ],
)
def test_a_card_with_a_damaged_label_table_is_refused(tmp_path: Path, table: dict) -> None:
    with pytest.raises(CheckpointError, match="label table of the card is damaged"):
        read_model(write_model_with(tmp_path, label_table=table))


def test_an_archive_with_an_entry_without_a_name_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.zip"
    path.write_bytes(corpus.zip_of({"": b"", WEIGHTS_FILE: corpus.tiny_model_bytes()}))
    with pytest.raises(CheckpointError, match="damaged archive|holds ''"):
        install_model(path, target=tmp_path / "models")


@pytest.mark.parametrize(("offset", "value"), [(4, 0), (20, -1329460727)])
def test_an_mgh_file_without_size_or_of_an_unknown_type_is_refused(
    tmp_path: Path, offset: int, value: int
) -> None:
    (whole,) = [seed for seed in corpus.label_map_seeds() if seed.name == "a.mgz"]
    content = bytearray(gzip.decompress(whole.content))
    struct.pack_into(">i", content, offset, value)
    path = tmp_path / "a.mgz"
    path.write_bytes(gzip.compress(bytes(content)))
    with pytest.raises(VolumeError, match="cannot be read"):
        read_label_map(path)


def test_segment_values_of_thousands_of_digits_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "a.seg.nrrd"
    header = "NRRD0004\ntype: uchar\ndimension: 3\nsizes: 1 1 1\nspace: left-posterior-superior\n"
    header += "space directions: (1,0,0) (0,1,0) (0,0,1)\nspace origin: (0,0,0)\nencoding: raw\n"
    notes = f"Segment0_LabelValue:={'9' * 5000}\nSegment0_Name:=a\n"
    notes += f"Segment{'9' * 5000}_LabelValue:=1\n"
    record = json.dumps({"names": {"9" * 5000: "a", "1": "skin"}})
    path.write_bytes((header + notes + f"AnatoMaskGAN:={record}\n\n").encode() + b"\1")
    assert dict(read_label_map(path).names) == {1: "skin"}


@pytest.mark.parametrize("limit", ["9" * 400, "1e999", "NaN", '"1"'])
def test_a_window_that_is_no_range_of_numbers_is_left_out(tmp_path: Path, limit: str) -> None:
    header = "NRRD0005\ntype: uchar\ndimension: 3\nspace: left-posterior-superior\nsizes: 1 1 1\n"
    header += "space directions: (1,0,0) (0,1,0) (0,0,1)\nspace origin: (0,0,0)\nencoding: raw\n"
    path = tmp_path / "image.nrrd"
    record = f'{{"window": [0, {limit}], "unit": "HU"}}'
    path.write_bytes(f"{header}AnatoMaskGAN:={record}\n\n".encode() + b"\1")
    volume = read_volume(path)
    assert volume.window is None and volume.unit == "HU"


@pytest.mark.parametrize("sizes", ["9" * 5000, "2 " * 20_000])
def test_a_metaimage_with_sizes_of_thousands_of_digits_is_refused(
    tmp_path: Path, sizes: str
) -> None:
    path = tmp_path / "image.mha"
    header = f"NDims = 3\nDimSize = {sizes}\nElementType = MET_UCHAR\nCompressedData = True\n"
    path.write_bytes(f"{header}ElementDataFile = LOCAL\n".encode() + zlib.compress(bytes(8)))
    with pytest.raises(VolumeError, match="sizes in its header; expected three"):
        read_volume(path)


def test_a_metaimage_whose_data_file_has_a_name_of_thousands_of_letters_is_refused(
    tmp_path: Path,
) -> None:
    path = tmp_path / "a.mha"
    lines = "ObjectType = Image\nNDims = 3\nDimSize = 1 1 1\nElementType = MET_UCHAR\n"
    path.write_text(lines + f"CompressedData = True\nElementDataFile = {'9' * 5000}\n")
    with pytest.raises(VolumeError, match="names the data file '9999"):
        read_label_map(path)


def test_a_card_with_half_a_character_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="cannot be read"):
        read_model(write_model_with(tmp_path, description="\ud800"))


def test_a_long_nrrd_line_without_a_colon_is_refused_before_itk_overruns(tmp_path: Path) -> None:
    path = tmp_path / "a.nrrd"
    path.write_bytes(b"NRRD0004\ntype: uchar\ndimension: 3\nend " + b"9" * 5000 + b"\n\n\1")
    with pytest.raises(VolumeError, match="5004 characters"):
        read_label_map(path)


NRRD = "NRRD0004\ntype: short\ndimension: 3\nsizes: {sizes}\nencoding: gzip\n\n"
META = (
    "ObjectType = Image\nNDims = 3\nDimSize = {sizes}\nElementType = MET_SHORT\n"
    "CompressedData = True\nElementDataFile = LOCAL\n"
)


def peak_growth_of_reading(path: Path) -> int:
    """Bytes by which reading a file raises the peak of a process of its own."""
    code = (
        "import resource, sys; from AnatoMaskGANLib.volumes import read_label_map, VolumeError\n"
        "unit = 1 if sys.platform == 'darwin' else 1024\n"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit\n"
        "import nibabel, SimpleITK; before = peak()\n"
        "try: read_label_map(sys.argv[1])\n"
        "except VolumeError as error: print(peak() - before, error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True
    )
    growth, _, message = done.stdout.partition(" ")
    assert "truncated or damaged" in message
    return int(growth)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows does not tell a process's peak so")
@pytest.mark.parametrize("name", ["a.nrrd", "a.mha", "a.nii.gz", "a.mgz"])
def test_packed_data_that_are_fewer_than_promised_are_refused_without_being_kept(
    tmp_path: Path, name: str
) -> None:
    """A file of 0.3 MB that promises 500 MB and holds 256 MB."""
    sizes, zeros = (1000, 500, 500), bytes(256 * 2**20)
    whole = {seed.name: seed.content for seed in corpus.label_map_seeds()}
    if name == "a.nii.gz":
        header = bytearray(whole["a.nii"][:352])
        struct.pack_into("<4h", header, 40, 3, *sizes)
        struct.pack_into("<2h", header, 70, 4, 16)
        content = gzip.compress(bytes(header) + zeros, 1)
    elif name == "a.mgz":
        header = bytearray(gzip.decompress(whole["a.mgz"])[:284])
        struct.pack_into(">3i", header, 4, *sizes)
        struct.pack_into(">i", header, 20, 4)  # 16-bit numbers
        content = gzip.compress(bytes(header) + zeros, 1)
    else:
        text = NRRD if name == "a.nrrd" else META
        packed = gzip.compress(zeros, 1) if name == "a.nrrd" else zlib.compress(zeros, 1)
        content = text.format(sizes=" ".join(map(str, sizes))).encode() + packed
    (tmp_path / name).write_bytes(content)
    assert peak_growth_of_reading(tmp_path / name) < 64 * 2**20


@pytest.mark.parametrize(
    ("name", "named"),
    [
        ("a.nhdr", "../secret.raw"),
        ("a.nhdr", "link.raw"),
        ("a.nhdr", "{folder}/secret.raw"),
        ("a.mhd", "../secret.raw"),
        ("a.mhd", "{folder}/secret.raw"),
        ("a.mhd", "x" * 300),
    ],
)
def test_a_header_that_names_data_outside_its_folder_is_refused(
    tmp_path: Path, name: str, named: str
) -> None:
    (tmp_path / "secret.raw").write_bytes(bytes(range(16)))
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "link.raw").symlink_to(tmp_path / "secret.raw")
    write_detached(folder / name, named.format(folder=tmp_path))
    with pytest.raises(VolumeError, match="expected one in its own folder"):
        read_label_map(folder / name)


@pytest.mark.parametrize("name", ["a.nhdr", "a.mhd"])
def test_data_beside_their_header_are_read_and_a_missing_or_second_file_is_told(
    tmp_path: Path, name: str
) -> None:
    (tmp_path / "a.raw").write_bytes(bytes([1, 0] * 8))
    write_detached(tmp_path / name, "a.raw")
    assert read_label_map(tmp_path / name).values == (1,)
    write_detached(tmp_path / name, "b.raw")
    with pytest.raises(VolumeError, match="b.raw does not exist"):
        read_label_map(tmp_path / name)
    for named in ("LIST", "a%d.raw 1 2 1"):
        write_detached(tmp_path / name, named)
        with pytest.raises(VolumeError, match="names several data files"):
            read_label_map(tmp_path / name)


def write_detached(path: Path, named: str) -> None:
    """A header of 2x2x2 16-bit voxels in another file."""
    if path.suffix == ".nhdr":
        lines = "NRRD0004\ntype: short\ndimension: 3\nsizes: 2 2 2\nencoding: raw\n"
        lines += "endian: little\nspace: left-posterior-superior\nspace origin: (0,0,0)\n"
        lines += f"space directions: (1,0,0) (0,1,0) (0,0,1)\ndata file: {named}\n"
    else:
        lines = "ObjectType = Image\nNDims = 3\nDimSize = 2 2 2\nElementType = MET_SHORT\n"
        lines += f"ElementDataFile = {named}\n"
    path.write_text(lines)


def test_a_field_said_twice_a_colon_in_metaimage_and_a_blank_line_hide_nothing(
    tmp_path: Path,
) -> None:
    start = "ObjectType = Image\nNDims = 3\nElementType = MET_UCHAR\n"
    path = tmp_path / "a.mha"
    path.write_text(start + "DimSize = 1 1 1\nDimSize = 2 2 2\nElementDataFile = LOCAL\n\1")
    with pytest.raises(VolumeError, match="'dimsize' twice"):
        read_label_map(path)
    for line in ("DimSize : 1200 1200 1300\n", "\nDimSize = 1200 1200 1300\n"):
        path.write_text(start + line + "ElementDataFile = LOCAL\n\1")
        with pytest.raises(VolumeError, match="only 1 bytes follow"):
            read_label_map(path)


@pytest.mark.parametrize(
    ("line", "message"),
    [("CompressedDataSize = 99999999999\n", "99999999999 bytes"), ("HeaderSize = 7\n", "to skip")],
)
def test_packed_data_that_would_be_looked_for_elsewhere_are_refused(
    tmp_path: Path, line: str, message: str
) -> None:
    path = tmp_path / "a.mha"
    text = META.format(sizes="2 2 2").replace("CompressedData = ", line + "CompressedData = ")
    path.write_bytes(text.encode() + zlib.compress(bytes([1, 0] * 8)))
    with pytest.raises(VolumeError, match=message):
        read_label_map(path)


def test_a_file_of_another_kind_than_its_name_says_is_refused(tmp_path: Path) -> None:
    (whole,) = [seed for seed in corpus.label_map_seeds() if seed.name == "a.mha"]
    path = tmp_path / "a.nrrd"
    path.write_bytes(whole.content)
    with pytest.raises(VolumeError, match="cannot be read"):
        read_label_map(path)


IMPLICIT_ROWS = b"\x28\0\x10\0\2\0\0\0\x10\0"
ROWS = b"\x28\0\x10\0US\2\0\x10\0"
MODALITY = b"\x08\0\x60\0CS\2\0CT"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (MODALITY, MODALITY[:4] + b"UN\0\0\xf0\xff\xff\xff", "4294967280 bytes"),
        (MODALITY, MODALITY[:4] + b"C\0\2\0CT", "unknown type"),
        (IMPLICIT_ROWS, IMPLICIT_ROWS[:-2] + b"\xff\xff", "promises 1048560 values in 512 bytes"),
        (ROWS, ROWS + ROWS, "00280010 twice"),
        (ROWS, ROWS[:6] + b"\4\0\x10\0\0\0", "has 4 bytes"),
        (b"1.2.840.10008.1.2.4.70", b"1.2.840.10008.1.2.1.99", "transfer syntax"),
    ],
)
def test_a_dicom_slice_that_gdcm_would_take_minutes_or_gigabytes_for_is_refused(
    tmp_path: Path, old: bytes, new: bytes, message: str
) -> None:
    contents = [seed.content for seed in corpus.dicom_seeds(tmp_path)[:2]]  # implicit, explicit
    (content,) = [content for content in contents if content.count(old) == 1]
    for path in (tmp_path / "slice.dcm", tmp_path / "series" / "1.dcm"):
        path.write_bytes(content.replace(old, new))
    for place in (tmp_path / "slice.dcm", tmp_path / "series"):
        with pytest.raises(VolumeError, match=message):
            read_volume(place)


def test_slices_without_the_preamble_of_dicom_are_not_passed_over(tmp_path: Path) -> None:
    corpus.dicom_seeds(tmp_path)
    path = tmp_path / "series" / "2.dcm"
    path.write_bytes(path.read_bytes()[132:])
    with pytest.raises(VolumeError, match="2.dcm cannot be read: its first bytes"):
        read_volume(tmp_path / "series")


def test_packed_slices_and_a_series_without_positions_are_read(tmp_path: Path) -> None:
    for seed in corpus.dicom_seeds(tmp_path):
        path = tmp_path / "slice.dcm"
        path.write_bytes(seed.content)
        assert read_volume(path).voxels_kji.ravel()[:3].tolist() == [1, 2, 3]
    for number in range(3):
        path = tmp_path / "series" / f"{number}.dcm"
        text = f"0\\0\\{2 * number}".encode()
        path.write_bytes(path.read_bytes().replace(text.ljust(6), b" " * 6))
    assert read_volume(tmp_path / "series").shape_kji == (3, 16, 16)
