"""The inputs that fuzzing begins with: small whole files of every kind, and hostile ones.

All are made here; nothing of them is kept in the repository.
"""

from __future__ import annotations

import gzip
import io
import json
import pickle
import stat
import struct
import tempfile
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import nibabel
import numpy as np
import SimpleITK
from pydicom.dataset import FileDataset

from AnatoMaskGANLib.synthesis.models.folder import WEIGHTS_FILE
from AnatoMaskGANLib.volumes import LabelMap, Volume, write_label_map, write_volume
from AnatoMaskGANLib.volumes.dicom.patient import anonymous_patient
from AnatoMaskGANLib.volumes.dicom.series import series_of
from Testing.dicom_objects import enhanced_mr, segmentation
from Testing.tiny_models import label_map_of, random_labels, write_tiny_model

OUTSIDE = "outside.safetensors"
"""Name of the file that hostile archives try to write beside their target."""


@dataclass(frozen=True)
class Seed:
    """One input: under which name it is read, and its bytes."""

    name: str
    content: bytes


def model_seeds() -> list[Seed]:
    """A whole model, and what is none: a pickle, a torch archive's beginning, a lying length."""
    whole = tiny_model_bytes()
    header = json.dumps({"__metadata__": {"format": "anatomaskgan-model", "version": "1"}})
    hostile = [
        pickle.dumps(_Opens(OUTSIDE)),
        b"PK\x03\x04" + bytes(100),
        struct.pack("<Q", 2**63) + b"{}",
        struct.pack("<Q", len(header)) + header.encode(),
        struct.pack("<Q", 100_000) + b"[" * 100_000,
        with_card(whole, "[" * 100_000),
        with_card(whole, '{"generator": {"num_classes": 4096, "channels": [1000000, 8, 8]}}'),
        with_card(whole, _with_huge_network(whole)),
        b"",
    ]
    return [Seed(WEIGHTS_FILE, content) for content in (whole, *hostile)]


def archive_seeds() -> list[Seed]:
    """A whole archive, and those that climb out, link out, unpack to gigabytes or lie."""
    whole = tiny_model_bytes()
    inside = f"tiny/{WEIGHTS_FILE}"
    archives = [
        zip_of({inside: whole, "tiny/card.md": b"# tiny"}),
        zip_of({f"../{OUTSIDE}": whole}),
        zip_of({f"../../{WEIGHTS_FILE}": whole}),
        zip_of({f"/tmp/{WEIGHTS_FILE}": whole}),
        zip_of({f"..\\..\\{WEIGHTS_FILE}": whole}),
        zip_of({f"C:\\{WEIGHTS_FILE}": whole}),
        zip_of({inside: b"../../outside"}, mode=stat.S_IFLNK | 0o777),
        zip_of({inside: bytes(256 * 2**20)}),
        zip_of({inside: whole} | {f"tiny/{number}": b"" for number in range(10_000)}),
        zip_of({inside: whole, f"other/{WEIGHTS_FILE}": whole}),
        zip_of({inside: zip_of({inside: whole})}),
        # the card's name decides the folder; an archive's path does not
        *(
            zip_of({inside: with_name(whole, name)})
            for name in ("../outside", "/tmp/outside", "..", "a/b", "con\0", "x" * 5000)
        ),
        pickle.dumps(_Opens(OUTSIDE)),
    ]
    return [Seed("model.zip", content) for content in archives]


def name_table_seeds() -> list[Seed]:
    """Names of labels in the text tables of other programs, and lines that are long or strange."""
    snap = ' 0 0 0 0 0 0 0 "Clear Label"\n 16 1 2 3 1 1 1 "Brain-Stem"\n'
    return [
        Seed("LUT.txt", b"#No. Label Name: R G B A\n0 Unknown 0 0 0 0\n16 Brain-Stem 1 2 3 0\n"),
        Seed("a.ctbl", b"# Color table\n16 Brain-Stem 1 2 3 255\n"),
        Seed("a.label", snap.encode()),
        Seed("a.tsv", b"index\tname\tcolor\n16\tBrain-Stem\t#779fb0\n"),
        Seed("a.csv", b'LabelValue,Name\n16,"Brain, ""Stem"""\n'),
        Seed("wb.txt", b"Brain-Stem\n16 1 2 3 255\n"),
        Seed("bom.tsv", "index\tname\n16\tM\u00fcller\n".encode("utf-16")),
        Seed("digits.txt", b"9" * 100_000 + b" a 1 2 3 4\n"),
        Seed("quote.csv", b'value,name\n1,"' + b"a" * 200_000),
        Seed("blanks.txt", b"1 " + b" " * 50_000 + b"a\n"),
    ]


def json_seeds() -> list[Seed]:
    """A label table, names of labels, and JSON that is deep, long or twisted."""
    table = {
        "name": "limb",
        "description": "For tests.",
        "labels": {"1": "skin", "2": "left bone", "3": "right bone"},
        "codes": {"1": "SCT:39937001"},
        "aliases": {"2": ["bone of the left", "tibia *"]},
        "swaps": {"2": 3, "3": 2},
        "relatives": {"knee *": ["left bone", "right bone"], "cast": ["background"]},
        "more_values": {"7": "skin"},
    }
    texts = [
        json.dumps(table),
        json.dumps({"1": "liver", "2": "spleen"}),
        json.dumps({"labels": {"background": 0, "liver": 1, "both": [1, 2]}}),
        json.dumps([{"labels": [{"value": 1, "name": "liver"}]}]),
        "[" * 100_000,
        '{"a":' * 100_000,
        '{"name": "x", "labels": {"1": "a"}, "swaps": {"1": Infinity}}',
        '{"name": "x", "labels": {"' + "9" * 5000 + '": "a"}}',
        '{"name": "x", "labels": {"1": "\\ud800"}}',
        "1" * 1_000_000,
    ]
    return [Seed("table.json", text.encode()) for text in texts]


def yaml_seeds() -> list[Seed]:
    """The examples that ship, and YAML that runs code, repeats itself or has odd tags."""
    examples = Path(__file__).resolve().parents[2] / "Resources" / "Examples"
    whole = [path.read_bytes() for path in sorted(examples.glob("*.yaml"))[:4]]
    levels = [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    bomb = "\n".join(["a0: &a0 [x, x]", *levels])
    hostile = [
        "!!python/object/apply:os.system ['touch outside']",
        "!!python/object/new:subprocess.Popen [[touch, outside]]",
        f"{bomb}\noutput: *a11\ndata: {{store: s}}\n",
        "a: &a [*a]\n",
        "[" * 5000,
        "output: !!int ''\n",
        "output: !!bool perhaps\n",
        "output: !!timestamp x\n",
        "? [1, 2]\n: x\n",
        "data: {store: s}\noutput: o\nseed: " + "9" * 5000,
    ]
    return [Seed("run.yaml", c) for c in (*whole, *(text.encode() for text in hostile))]


def label_map_seeds(folder: Path | None = None) -> list[Seed]:
    """Label maps in every file type that is read, a packed bomb, and headers that promise much.

    folder: gets the data files that some headers name.
    """
    if folder is not None:
        (folder / "inside.raw").write_bytes(bytes(range(16)))
        (folder / "x.zraw").write_bytes(zlib.compress(bytes(16)))
    labels = random_labels((3, 6, 5))
    names = {1: "skin", 2: "bone"}
    oblique = np.array([[0, -2.0, 0, 3], [1.0, 0, 0, -7], [0, 0, 3.0, 5], [0, 0, 0, 1]])
    label_map = LabelMap(labels, oblique, names, {1: "SCT:39937001"})
    volume = Volume(labels.astype(np.float32), oblique, (0.0, 9.0), "HU", {"Seed": "1"})
    seeds = []
    with tempfile.TemporaryDirectory() as made:
        for name in ("a.nii", "a.nii.gz", "a.nrrd", "a.seg.nrrd", "a.mha"):
            write_label_map(label_map, Path(made) / name)
            seeds.append(Seed(name, (Path(made) / name).read_bytes()))
        for name in ("v.nii.gz", "v.nrrd", "v.mha"):
            write_volume(volume, Path(made) / name)
            seeds.append(Seed(name, (Path(made) / name).read_bytes()))
    for name, kind in (("caret.nii", nibabel.Nifti1Image), ("two.nii", nibabel.Nifti2Image)):
        image = kind(labels.T.astype(np.uint8), oblique)
        text = b'<CaretExtension><LabelTable><Label Key="1">liver</Label></LabelTable>'
        extension = nibabel.nifti1.Nifti1Extension(30, text + b"</CaretExtension>")
        image.header.extensions.append(extension)
        seeds.append(Seed(name, image.to_bytes()))
    nifti = bytearray(seeds[0].content)
    struct.pack_into("<4h", nifti, 40, 3, 1200, 1200, 1300)
    nrrd = b"NRRD0004\ntype: uchar\ndimension: 3\nsizes: 1200 1200 1300\nencoding: %s\n\n%s"
    meta = b"ObjectType = Image\nNDims = 3\nDimSize = 2 2 2\nElementType = MET_SHORT\n"
    meta += b"ElementDataFile = %s\n"
    plain = b"NRRD0004\ntype: short\ndimension: 3\nsizes: 2 2 2\nspace: left-posterior-superior\n"
    return [
        *seeds,
        Seed("a.mgz", gzip.compress(_mgh(), mtime=0)),
        Seed("plain.nrrd", plain + b"encoding: raw\n\n" + bytes(16)),
        Seed(
            "mitk.nrrd",
            plain + b"encoding: raw\norg.mitk.multilabel.segmentation.labelgroups:="
            b'[{"labels":[{"value":1,"name":"liver"}]}]\n\n' + bytes(16),
        ),
        Seed("pair.hdr", b"ni1".join((seeds[0].content[:344], seeds[0].content[347:]))),
        Seed("huge.nii", bytes(nifti)),
        Seed("bomb.nii.gz", gzip.compress(seeds[0].content + bytes(256 * 2**20), 1, mtime=0)),
        Seed("huge.nrrd", nrrd % (b"raw", b"")),
        Seed("d.nhdr", plain + b"encoding: raw\ndata file: inside.raw\n"),
        Seed("up.nhdr", plain + b"encoding: raw\ndata file: ../inside.raw\n"),
        Seed("list.nhdr", plain + b"encoding: raw\ndata file: LIST\ninside.raw\n/etc/passwd\n"),
        Seed("many.nhdr", plain + b"encoding: raw\ndata file: inside%d.raw 1 999999999 1\n"),
        Seed("d.mhd", meta % b"inside.raw"),
        Seed("up.mhd", meta % b"/etc/passwd"),
        Seed("packed.mhd", b"CompressedData = True\nCompressedDataSize = 9\n" + meta % b"x.zraw"),
        Seed("packed.nrrd", nrrd % (b"gzip", gzip.compress(bytes(256 * 2**20), 1, mtime=0))),
        Seed("text.nrrd", nrrd % (b"ascii", b"1 2 3")),
        Seed(
            "huge.mha",
            b"ObjectType = Image\nNDims = 3\nDimSize = 1200 1200 1300\nElementType = MET_UCHAR\n"
            b"ElementDataFile = LOCAL\n",
        ),
    ]


def dicom_seeds(folder: Path) -> list[Seed]:
    """A slice of a whole series, which lies in the folder `series`, and others packed by ITK."""
    (folder / "series").mkdir()
    paths = [folder / "series" / f"{number}.dcm" for number in range(3)]
    packed = []
    for number, path in enumerate(paths):
        _write_slice(path, number)
    for compressor in ("JPEG", "JPEG2000"):
        _write_slice(folder / "packed.dcm", 1, compressor)
        packed.append(Seed("series/1.dcm", (folder / "packed.dcm").read_bytes()))
    return [Seed("series/1.dcm", paths[1].read_bytes()), *packed]


def dicom_object_seeds() -> list[Seed]:
    """Segmentation objects of every type, an Enhanced image, a slice with this program's record,
    and objects that promise places, segments and frames that are not there."""
    labels = random_labels((3, 8, 8)) % 3
    frames = [(value, k, labels[k] == value) for value in (1, 2) for k in range(3)]
    fractions = [(value, k, 200 * mask) for value, k, mask in frames]
    far = segmentation(frames)
    groups = far.PerFrameFunctionalGroupsSequence
    groups[0].PlanePositionSequence[0].ImagePositionPatient = [1e9, 1e9, 1e9]
    thin = segmentation(frames)
    thin.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0].PixelSpacing = [1e-300, 1]
    many = segmentation(frames)
    many.NumberOfFrames = 2_000_000_000
    contours = segmentation(frames, SOPClassUID="1.2.840.10008.5.1.4.1.1.481.3")
    provenance = {"SyntheticData": "YES", "Seed": "1"}
    volume = Volume(np.float32(labels), np.eye(4), (0.0, 2.0), "HU", provenance)
    made = [
        segmentation(frames),
        segmentation(fractions, "FRACTIONAL"),
        segmentation([(0, k, labels[k]) for k in range(3)], "LABELMAP"),
        enhanced_mr(60 * labels.astype(np.int64), (2, 0, 1)),
        series_of(volume, anonymous_patient("nobody"))[0],
        *(far, thin, many, contours),
    ]
    return [Seed("a.dcm", _bytes_of(data_set)) for data_set in made]


def _bytes_of(data_set: FileDataset) -> bytes:
    buffer = io.BytesIO()
    data_set.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def _write_slice(path: Path, number: int, compressor: str = "") -> None:
    image = SimpleITK.GetImageFromArray(np.arange(256, dtype=np.uint16).reshape(16, 16) + number)
    for tag, value in (
        ("0008|0060", "CT"),
        ("0020|000e", "1.2.826.0.1.3680043.2.1125.1"),
        ("0020|0032", f"0\\0\\{2 * number}"),
        ("0020|0037", "1\\0\\0\\0\\1\\0"),
    ):
        image.SetMetaData(tag, value)
    writer = SimpleITK.ImageFileWriter()
    writer.KeepOriginalImageUIDOn()
    writer.SetUseCompression(bool(compressor))
    writer.SetCompressor(compressor)
    writer.SetFileName(str(path))
    writer.Execute(image)


def catalog_seeds() -> list[Seed]:
    """A catalog of models to download, and addresses that lead elsewhere."""
    entry = {
        "name": "ct",
        "description": "For tests.",
        "licence": "MIT",
        "url": "https://example.org/ct.zip",
        "sha256": "0" * 64,
        "size_bytes": 1000,
    }
    whole = {"format": "anatomaskgan-model-catalog", "version": 1, "models": [entry]}
    urls = ("file:///etc/passwd", "http://[::1", "https://a@b/", "https://\n/", "//x", "ftp://x/")
    catalogs = [whole, *(whole | {"models": [entry | {"url": url}]} for url in urls)]
    texts = [*map(json.dumps, catalogs), "[" * 100_000]
    return [Seed("catalog.json", text.encode()) for text in texts]


def weights_seeds() -> list[Seed]:
    """Weights of others as safetensors, and a pickle under that name."""
    whole = tiny_model_bytes()
    return [Seed("vgg.safetensors", c) for c in (whole, pickle.dumps(_Opens(OUTSIDE)), b"")]


def manifest_seeds() -> list[Seed]:
    """A manifest as a batch writes it, and lines that are cut, deep or no objects."""
    record = {"target": "a.nii.gz", "status": "done", "seed": 0, "target_sha256": "0" * 64}
    lines = [
        json.dumps(record),
        json.dumps(record | {"target": "../outside", "status": "failed", "error": "no"}),
        '{"target": "b',
        "[" * 100_000,
        "null",
    ]
    return [Seed("manifest.jsonl", "\n".join(lines[:first]).encode()) for first in (1, 2, 5)]


def tiny_model_bytes() -> bytes:
    """The weights' file of a tiny model."""
    with tempfile.TemporaryDirectory() as folder:
        return (write_tiny_model(Path(folder) / "tiny") / WEIGHTS_FILE).read_bytes()


def array_bytes() -> bytes:
    """A label array as the worker's client writes it."""
    file = io.BytesIO()
    np.save(file, label_map_of(random_labels((3, 8, 8))).labels_kji, allow_pickle=False)
    return file.getvalue()


def header_of(model: bytes) -> tuple[dict, bytes]:
    """Header and weights of a safetensors file."""
    length = struct.unpack_from("<Q", model)[0]
    return json.loads(model[8 : 8 + length]), model[8 + length :]


def with_header(header: object, weights: bytes) -> bytes:
    """The safetensors file of a header, whatever it says, with its right length."""
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + weights


def with_card(model: bytes, card: str) -> bytes:
    """The same weights with another card's text."""
    header, weights = header_of(model)
    header["__metadata__"]["card"] = card
    return with_header(header, weights)


def with_name(model: bytes, name: str) -> bytes:
    """The same model under another name."""
    card = json.loads(header_of(model)[0]["__metadata__"]["card"])
    return with_card(model, json.dumps(card | {"name": name}))


def zip_of(files: dict[str, bytes], mode: int = stat.S_IFREG | 0o644) -> bytes:
    """A zip archive with these names, just as they are."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, data in files.items():
            entry = zipfile.ZipInfo("x")
            entry.filename = name
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = mode << 16
            archive.writestr(entry, data)
    return content.getvalue()


def _with_huge_network(model: bytes) -> str:
    """The card of a network that would need terabytes."""
    card = json.loads(header_of(model)[0]["__metadata__"]["card"])
    card["generator"]["channels"] = [2**20] * 4
    return json.dumps(card)


def _mgh() -> bytes:
    header = struct.pack(">7ih", 1, 5, 6, 3, 1, 0, 0, 1)
    header += struct.pack(">15f", 1, 1, 1, -1, 0, 0, 0, 0, -1, 0, 1, 0, 0, 0, 0)
    return header.ljust(284, b"\0") + bytes(range(90))


class _Opens:
    """What a hostile pickle does when it is read: it opens a file."""

    def __init__(self, path: str) -> None:
        self._path = path

    def __reduce__(self) -> tuple:
        return open, (self._path, "w")
