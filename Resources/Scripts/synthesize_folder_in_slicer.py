"""Makes a synthetic volume from every segmentation file of a folder in 3D Slicer, without a window.

Slicer --no-splash --no-main-window --python-script synthesize_folder_in_slicer.py \
    segmentations synthetic --seed 7 --log batch.log

For each NAME.seg.nrrd (or .nrrd, .nii, .nii.gz, .mha) it writes NAME.nrrd. Files that already exist
are kept. A case that fails is reported and does not stop the others. The exit code is 0 if all
volumes were made, else 1. On Windows Slicer prints nothing, so give --log a file. The packages that
the module needs must be installed: press Synthesize in the module once, which offers to install
them.
"""

import argparse
import pathlib
import sys

import SimpleITK
import slicer


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("segmentations", type=pathlib.Path, help="folder of segmentation files")
    parser.add_argument("output", type=pathlib.Path, help="folder for the volumes")
    parser.add_argument("--model", default="brain-t1")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--noise-strength", type=float, default=1.0)
    parser.add_argument("--unmatched", choices=("stop", "background"), default="stop")
    parser.add_argument(
        "--log", type=pathlib.Path, help="file to which the messages are also written"
    )
    options = parser.parse_args()

    lines = []

    def tell(line: str) -> None:
        print(line)
        lines.append(line)
        if options.log is not None:
            options.log.write_text("\n".join(lines) + "\n", encoding="utf-8")

    from AnatoMaskGAN import AnatoMaskGANLogic  # from here on Python finds the core
    from AnatoMaskGANLib.commands.result_files import volume_stem, volume_suffix

    logic = AnatoMaskGANLogic()  # keeps the model loaded from case to case
    options.output.mkdir(parents=True, exist_ok=True)
    files = sorted(file for file in options.segmentations.iterdir() if volume_suffix(file))
    num_failed = 0
    for file in files:
        target = options.output / f"{volume_stem(file)}.nrrd"
        if target.exists():
            tell(f"{target}: exists already")
            continue
        try:
            synthesize_file(logic, file, target, options)
            tell(f"{target}: made")
        except Exception as error:  # whatever it is, the other cases go on
            num_failed += 1
            tell(f"{file}: not synthesized: {' '.join(str(error).split())}")
        slicer.mrmlScene.Clear(0)
    tell(f"{len(files) - num_failed} of {len(files)} are ready, {num_failed} failed")
    return 1 if num_failed or not files else 0


def synthesize_file(logic, file: pathlib.Path, target: pathlib.Path, options) -> None:
    SimpleITK.ReadImage(str(file))  # says what is damaged; Slicer's own reader may end Slicer
    segmentation = slicer.util.loadSegmentation(str(file))
    volume = logic.synthesize(
        segmentation,
        model=options.model,
        seed=options.seed,
        noiseStrength=options.noise_strength,
        unmatched=options.unmatched,
    )
    logic.saveVolume(volume, str(target))  # with its record in the header; whole or not at all


if __name__ == "__main__":
    try:
        code = main()
    except Exception as error:  # Slicer would go on without a window, for ever
        print(f"nothing was synthesized: {error}", file=sys.stderr)
        code = 1
    sys.exit(code)
