"""How fast synthesis is on this machine: one run, one table.

    python Testing/benchmarks/synthesis.py [--threads N] [--avx2] [--quick] [--large] [--gpu]
                                           [--rows WORD]

Every row runs in a process of its own (so that its peak memory is its own), and every row that is
a ratio compares rows of this run. "Naive" is the plain call of the same generator with the label
maps convolved. The labels are those of the bundled sample, resized to 224x224 pixels and repeated
to the number of slices; weights other than the bundled model's are random, which costs the same.
--avx2 stands for machines without AVX-512. --gpu adds the bundled model on an NVIDIA GPU, in
float32 and in float16, with its difference from the CPU.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[2]
SAMPLE = REPOSITORY / "Resources" / "SampleData" / "brain-t1-sub-19" / "seg.nii.gz"
NUM_CLASSES = 36
SIZE = 224
AVX2 = {
    "ATEN_CPU_CAPABILITY": "avx2",
    "ONEDNN_MAX_CPU_ISA": "AVX2",
    "MKL_ENABLE_INSTRUCTIONS": "AVX2",
    "MKL_CBWR": "AVX2",
}

Row = dict[str, Any]


@contextmanager
def measured(row: Row, per: int = 1) -> Iterator[None]:
    """Notes wall time and CPU time of what runs inside, each divided by `per`."""
    wall, cpu = time.perf_counter(), time.process_time()
    yield
    row["wall"] = (time.perf_counter() - wall) / per
    row["cpu"] = (time.process_time() - cpu) / per


def peak_mib() -> float:
    """Peak memory of this process so far."""
    import psutil

    information = psutil.Process().memory_info()
    if hasattr(information, "peak_wset"):
        return information.peak_wset / 2**20
    import resource

    factor = 1 if platform.system() == "Darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * factor / 2**20


def sample_labels(num_slices: int) -> Any:
    """[num_slices,224,224] uint8: the labeled slices of the sample, resized, there and back."""
    import numpy as np

    from AnatoMaskGANLib.synthesis.engine.synthesis_box import labeled_box
    from AnatoMaskGANLib.volumes import load_label_table, read_label_map
    from AnatoMaskGANLib.volumes.label_matching import apply_matches, match_labels
    from AnatoMaskGANLib.volumes.resampling import to_model_grid

    label_map = read_label_map(SAMPLE)
    matches = match_labels(label_map, load_label_table("freesurfer-brain"))
    labels = to_model_grid(apply_matches(label_map, matches), (1.0, 1.0, 1.0)).labels_kji
    box = labeled_box(labels, 1)
    labels = box.cut(labels, box.slices)
    rows, columns = (
        np.linspace(0, size - 1, SIZE).round().astype(int) for size in labels.shape[1:]
    )
    there_and_back = np.concatenate([labels, labels[::-1]])
    numbers = np.arange(num_slices) % len(there_and_back)
    if num_slices < len(labels):
        numbers += (len(labels) - num_slices) // 2  # of the middle of the head
    return np.ascontiguousarray(there_and_back[numbers][:, rows][:, :, columns])


def random_generator(preset: str) -> Any:
    """The preset with weights none of which is zero."""
    import torch

    from AnatoMaskGANLib import config
    from AnatoMaskGANLib.networks.generator import Generator

    torch.manual_seed(0)
    generator = Generator(getattr(config, f"{preset}_generator")(NUM_CLASSES))
    with torch.no_grad():
        for parameter in generator.parameters():
            parameter += 0.01 * torch.randn_like(parameter)
    return generator.eval().requires_grad_(False)


def ceiling(options: argparse.Namespace) -> Row:
    """Large float32 convolutions, the most that this machine does in this run."""
    import torch

    image, kernel = torch.randn(1, 256, 96, 96), torch.randn(256, 256, 3, 3)
    image, kernel = (x.contiguous(memory_format=torch.channels_last) for x in (image, kernel))
    giga = 2 * 256 * 256 * 9 * 96 * 96 / 1e9
    row: Row = {}
    best_by_wall = best_by_cpu = 0.0
    with torch.inference_mode():
        for _ in range(15):
            with measured(row):
                torch.nn.functional.conv2d(image, kernel, padding=1)
            best_by_wall = max(best_by_wall, giga / row["wall"])
            best_by_cpu = max(best_by_cpu, giga / row["cpu"])
    return {"gigaflop_per_second": best_by_wall, "gigaflop_per_cpu_second": best_by_cpu}


def naive(preset: str, options: argparse.Namespace) -> Row:
    """A stack of slices by the plain generator, per slice."""
    import torch

    from AnatoMaskGANLib.networks.noise import noise_field
    from AnatoMaskGANLib.networks.slice_batch import SliceBatch

    generator = random_generator(preset)
    num_slices = 3 if options.quick else 5
    labels = torch.from_numpy(sample_labels(num_slices)).long()[None]
    positions = torch.arange(num_slices, dtype=torch.float32)[None]
    noise = noise_field(
        0, (0, 0, 0), labels.shape[1:], (1.0, 1.0, 1.0), generator.settings.noise_sigmas_mm
    )
    row: Row = {}
    with torch.inference_mode():
        for _ in range(2):  # the first one warms up
            with measured(row, num_slices):
                generator(SliceBatch(labels, positions, noise[None], use_words=False))
    row["gigaflop"] = naive_gigaflop(generator)
    return row


def naive_gigaflop(generator: Any) -> float:
    """Multiply-adds times two of one slice of the plain generator."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from AnatoMaskGANLib.networks.slice_batch import SliceBatch

    labels = torch.zeros(1, 1, SIZE, SIZE, dtype=torch.long)
    noise = torch.zeros(1, len(generator.settings.noise_sigmas_mm), 1, SIZE, SIZE)
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        generator(SliceBatch(labels, torch.zeros(1, 1), noise, use_words=False))
    return counter.get_total_flops() / 1e9


def words(preset: str, options: argparse.Namespace) -> Row:
    """First and further sample of a volume by the label dictionary, per slice."""
    import torch

    from AnatoMaskGANLib.synthesis.engine.fast_generator import FastGenerator
    from AnatoMaskGANLib.synthesis.engine.memory_plan import slab_size_within
    from AnatoMaskGANLib.synthesis.engine.passes import NoiseChoice
    from AnatoMaskGANLib.synthesis.engine.slab_cache import SlabCache
    from AnatoMaskGANLib.synthesis.engine.synthesis_box import BoxLabels, SynthesisBox
    from AnatoMaskGANLib.synthesis.engine.volume_pass import VolumePass

    num_slices = {"compact": 200, "paper": 200}[preset] if not options.quick else 24
    generator = random_generator(preset)
    fast = FastGenerator(generator)
    labels = sample_labels(num_slices)
    box = SynthesisBox((0, num_slices), (0, SIZE), (0, SIZE))
    weights = 4 * sum(p.numel() for p in generator.parameters())
    limit = 4 * 2**30
    slab = slab_size_within(limit, generator.settings, box, labels.size, options.threads, weights)
    first: Row = {}
    further: Row = {}
    with torch.inference_mode():
        with measured(first, num_slices):
            grid = BoxLabels(labels, box, (1.0, 1.0, 1.0))
            shared = SlabCache(fast, grid, slab, limit // 2)
            for _ in VolumePass(shared, NoiseChoice(0, 1.0)).images():
                pass
        with measured(further, num_slices):
            for _ in VolumePass(shared, NoiseChoice(1, 1.0)).images():
                pass
    first["gigaflop"] = fast_gigaflop(shared)
    return {**first, "further": further, "slices": num_slices, "slab": slab}


def fast_gigaflop(shared: Any) -> float:
    """Multiply-adds times two of one slice without its label tables."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from AnatoMaskGANLib.synthesis.engine import fast_layers
    from AnatoMaskGANLib.synthesis.engine.memory_plan import Kept
    from AnatoMaskGANLib.synthesis.engine.passes import NoiseChoice
    from AnatoMaskGANLib.synthesis.engine.volume_pass import VolumePass

    def in_place(total: Any, left: Any, right: Any, **options: Any) -> int:
        return 2 * left[0] * left[1] * right[1]  # shapes

    left_out = {torch.ops.aten.addmm_: in_place}  # by PyTorch
    counted, fast_layers.HAS_ONEDNN = fast_layers.HAS_ONEDNN, False
    try:
        one = VolumePass(shared, NoiseChoice(0, 1.0), Kept(slices=True), threads=1)
        middle = shared.numbers[len(shared.numbers) // 2]
        with torch.inference_mode():
            list(one.images([middle]))
            with FlopCounterMode(display=False, custom_mapping=left_out) as counter:
                one._encode(middle)
                one._image(middle)
    finally:
        fast_layers.HAS_ONEDNN = counted
    return counter.get_total_flops() / 1e9


def monai(preset: str, options: argparse.Namespace) -> Row:
    """MONAI's SPADENet of the same channels (five stages), one slice, after a warm-up."""
    import torch
    from monai.networks.nets import SPADENet

    settings = random_generator(preset).settings
    # Five stages, the most that 224 pixels can be halved into; of six the coarsest is left out.
    channels = settings.channels[-5:]
    network = SPADENet(
        spatial_dims=2,
        in_channels=1,
        out_channels=1,
        label_nc=NUM_CLASSES,
        input_shape=[SIZE, SIZE],
        channels=list(reversed(channels)),  # from fine to coarse
        z_dim=64,
        is_vae=False,
        spade_intermediate_channels=settings.spade_hidden,
    ).eval()
    labels = torch.from_numpy(sample_labels(1)).long()
    segmentation = torch.nn.functional.one_hot(labels, NUM_CLASSES).permute(0, 3, 1, 2).float()
    row: Row = {}
    with torch.inference_mode():
        for _ in range(3):
            with measured(row):
                network(segmentation)
    return row


def bundled(options: argparse.Namespace) -> Row:
    """The bundled model on the bundled sample, from label map to volume."""
    from dataclasses import replace

    from AnatoMaskGANLib.synthesis import Synthesizer
    from AnatoMaskGANLib.volumes import read_label_map

    synthesizer = Synthesizer.from_checkpoint("brain-t1", "cpu")
    label_map = read_label_map(SAMPLE)
    rows: Row = {"shape": "x".join(map(str, reversed(label_map.shape_kji)))}
    samples = synthesizer.synthesize_samples(label_map, seeds=[0, 1])
    for name in ("first", "further"):
        rows[name] = {}
        with measured(rows[name]):
            next(samples)
    samples.close()
    del samples
    rows["first"]["peak"] = peak_mib()
    rows["session"] = {}
    with measured(rows["session"]):
        session = synthesizer.session(label_map)
    labels = label_map.labels_kji.copy()
    places = labels.nonzero()
    middle = [int(sorted(axis)[len(axis) // 2]) for axis in places]
    values = label_map.values
    thin = label_map.ijk_to_ras[2, :3]  # the array axis along which slices are stacked
    axis = 2 - int(abs(thin).argmax())
    for name, num_slices in (("edit 1", 1), ("edit 10", 10)):
        rows[name] = {}
        brush = [slice(place - 4, place + 5) for place in middle]
        brush[axis] = slice(middle[axis], middle[axis] + num_slices)
        best: Row = {}
        for turn in range(3):
            labels[tuple(brush)] = values[(turn + num_slices) % len(values)]
            with measured(best):
                session.update(replace(label_map, labels_kji=labels.copy()))
            if not rows[name] or best["wall"] < rows[name]["wall"]:
                rows[name] = dict(best)
    rows["edit 10"]["peak"] = peak_mib()
    return rows


def large(options: argparse.Namespace) -> Row:
    """512x512x400 with the compact preset: peak memory within a limit of 4 GiB."""
    import numpy as np
    import torch

    from AnatoMaskGANLib.synthesis import ModelCard, Synthesizer
    from AnatoMaskGANLib.volumes import LabelMap

    generator = random_generator("compact")
    names = {value: f"part {value}" for value in range(1, NUM_CLASSES)}
    card = ModelCard(
        name="random",
        description="random weights",
        generator=generator.settings,
        label_table={"name": "parts", "labels": {str(v): n for v, n in names.items()}},
        spacing_ijk_mm=(1.0, 1.0, 1.0),
        window=(0.0, 1.0),
        unit="",
        training_data="none",
        licence="MIT",
        not_for="anything",
    )
    synthesizer = Synthesizer(card, generator, torch.device("cpu"), memory_limit_bytes=4 * 2**30)
    labels = np.pad(sample_labels(400), ((0, 0), (0, 512 - SIZE), (0, 512 - SIZE)), mode="wrap")
    row: Row = {}
    with measured(row):
        synthesizer.synthesize(LabelMap(labels, np.eye(4), names))
    return row


def gpu(options: argparse.Namespace) -> Row:
    """The bundled model on a GPU in both precisions: times, and differences from the CPU."""
    from dataclasses import replace

    import numpy as np
    import torch

    from AnatoMaskGANLib.synthesis import Synthesizer
    from AnatoMaskGANLib.volumes import read_label_map

    label_map = read_label_map(SAMPLE)
    on_cpu = Synthesizer.from_checkpoint("brain-t1", "cpu").synthesize(label_map, seed=1)
    low, high = on_cpu.window
    edited = label_map.labels_kji.copy()
    middle = [int(sorted(axis)[len(axis) // 2]) for axis in edited.nonzero()]
    edited[tuple(slice(place - 4, place + 5) for place in middle)] = label_map.values[0]
    rows: Row = {}
    for name, is_half in (("float32", False), ("float16", True)):
        row: Row = {}
        synthesizer = Synthesizer.from_checkpoint("brain-t1", "cuda", is_half)
        torch.cuda.reset_peak_memory_stats()
        for _ in range(2):  # the first one warms up
            with measured(row):  # a volume is on the CPU when it is there
                volume = synthesizer.synthesize(label_map, seed=1)
        differences = np.abs(volume.voxels_kji - on_cpu.voxels_kji) / (high - low)
        row["largest"], row["mean"] = float(differences.max()), float(differences.mean())
        row["gpu peak"] = torch.cuda.max_memory_allocated() / 2**20
        session = synthesizer.session(label_map)
        rows[name] = row
        rows[f"{name} edit"] = {}
        with measured(rows[f"{name} edit"]):
            session.update(replace(label_map, labels_kji=edited))
    return rows


ROWS: dict[str, Callable[[argparse.Namespace], Row]] = {
    "ceiling": ceiling,
    "compact naive": lambda options: naive("compact", options),
    "compact words": lambda options: words("compact", options),
    "compact monai": lambda options: monai("compact", options),
    "paper naive": lambda options: naive("paper", options),
    "paper words": lambda options: words("paper", options),
    "paper monai": lambda options: monai("paper", options),
    "bundled": bundled,
    "large": large,
    "gpu": gpu,
}


def run_row(name: str, options: argparse.Namespace) -> Row | None:
    """A row, measured in a process of its own; None where it cannot run."""
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
    environment["OMP_NUM_THREADS"] = str(options.threads)
    if options.avx2:
        environment |= AVX2
    command = [sys.executable, __file__, "--row", name, "--threads", str(options.threads)]
    if options.quick:
        command.append("--quick")
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        print(f"{name}: left out, exit code {done.returncode}", file=sys.stderr)
        return None
    line = done.stdout.splitlines()[-1]
    print(f"{name}: {line}", file=sys.stderr)  # what is known, should the rest be cut off
    return json.loads(line)


def table(rows: dict[str, Row], options: argparse.Namespace) -> list[str]:
    """The table in Markdown."""
    lines = ["| work | CPU-s | wall s | peak MiB | against naive | share of ceiling |"]
    lines.append("|---|---|---|---|---|---|")
    most = rows.get("ceiling") or {}
    per_cpu_second = most.get("gigaflop_per_cpu_second", 0.0)

    def add(work: str, row: Row, peak: float | None, naive_row: Row | None = None) -> None:
        ratio = f"{naive_row['cpu'] / row['cpu']:.1f}x" if naive_row else ""
        share = ""
        if per_cpu_second and "gigaflop" in row:
            share = f"{100 * row['gigaflop'] / row['cpu'] / per_cpu_second:.0f} %"
        memory = "" if peak is None else f"{peak:.0f}"
        lines.append(
            f"| {work} | {row['cpu']:.3f} | {row['wall']:.3f} | {memory} | {ratio} | {share} |"
        )

    for preset in ("compact", "paper"):
        naive_row, fast = rows.get(f"{preset} naive"), rows.get(f"{preset} words")
        slice_of = f"{preset}, {SIZE}x{SIZE}, {NUM_CLASSES} labels, a slice"
        if naive_row:
            add(f"{slice_of}: naive", naive_row, naive_row["peak"])
        if fast:
            add(f"{slice_of}: first sample of {fast['slices']}", fast, fast["peak"], naive_row)
            further = {**fast["further"], "gigaflop": fast["gigaflop"]}
            add(f"{slice_of}: further sample", further, None, naive_row)
        if rows.get(f"{preset} monai"):
            other = rows[f"{preset} monai"]
            add(f"{slice_of}: MONAI SPADENet, same channels", other, other["peak"])
    if rows.get("bundled"):
        whole = rows["bundled"]
        for name, work in (
            ("first", "first sample"),
            ("further", "further sample"),
            ("session", "start of a live session"),
            ("edit 1", "live update, 1 edited slice"),
            ("edit 10", "live update, 10 edited slices"),
        ):
            add(f"brain-t1, {whole['shape']}: {work}", whole[name], whole[name].get("peak"))
    if rows.get("large"):
        add("compact, 512x512x400, limit 4 GiB: whole", rows["large"], rows["large"]["peak"])
    if rows.get("gpu"):
        for name in ("float32", "float16"):
            row = rows["gpu"][name]
            difference = f"largest {row['largest']:.1e}, mean {row['mean']:.1e} of the window"
            add(f"brain-t1 on a GPU, {name}: a volume; {difference}", row, row["gpu peak"])
            edit = rows["gpu"][f"{name} edit"]
            add(f"brain-t1 on a GPU, {name}: live update, 9 edited slices", edit, None)
    if most:
        lines += [
            "",
            f"Ceiling: {most['gigaflop_per_second']:.0f} GFLOP/s in large float32 convolutions, "
            f"{per_cpu_second:.0f} a CPU-second.",
        ]
    return lines


def main() -> int:
    """Runs the rows and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=min(2, os.cpu_count() or 1))
    parser.add_argument("--avx2", action="store_true", help="as a machine without AVX-512")
    parser.add_argument("--quick", action="store_true", help="few slices, rough figures")
    parser.add_argument("--large", action="store_true", help="512x512x400 as well; minutes")
    parser.add_argument("--gpu", action="store_true", help="an NVIDIA GPU as well")
    parser.add_argument("--rows", default="", help="only rows whose name holds this word")
    parser.add_argument("--row", choices=ROWS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.row:
        import torch

        torch.set_num_threads(options.threads)
        row = ROWS[options.row](options)
        print(json.dumps({"peak": peak_mib(), **row}))
        return 0
    names = [name for name in ROWS if options.rows in name or name == "ceiling"]
    if not options.large:
        names = [name for name in names if name != "large"]
    if not options.gpu:
        names = [name for name in names if name != "gpu"]
    rows = {name: row for name in names if (row := run_row(name, options)) is not None}
    import torch

    isa = "AVX2" if options.avx2 else torch.backends.cpu.get_cpu_capability()
    print(f"{options.threads} threads, {isa}, PyTorch {torch.__version__}, {platform.machine()}\n")
    print("\n".join(table(rows, options)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
