"""Makes a synthetic volume from every label map file of a folder, in any Python, without Slicer.

    python synthesize_folder.py label_maps synthetic --seed 7

It shows how the core is used from a program; `anatomaskgan synthesize` does the same and more.
For each file NAME it writes NAME.nii.gz. Files that already exist are kept. A case that fails is
reported and does not stop the others. The exit code is 0 if all volumes were made, else 1.
"""

import argparse
import pathlib
import sys

from AnatoMaskGANLib.commands.result_files import volume_stem, volume_suffix
from AnatoMaskGANLib.synthesis import Synthesizer
from AnatoMaskGANLib.volumes import read_label_map, write_volume


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("label_maps", type=pathlib.Path, help="folder of label maps")
    parser.add_argument("output", type=pathlib.Path, help="folder for the volumes")
    parser.add_argument("--model", default="brain-t1")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--unmatched", choices=("stop", "background"), default="stop")
    options = parser.parse_args()

    synthesizer = Synthesizer.from_checkpoint(options.model)
    options.output.mkdir(parents=True, exist_ok=True)
    files = sorted(file for file in options.label_maps.iterdir() if volume_suffix(file))
    num_failed = 0
    for file in files:
        target = options.output / f"{volume_stem(file)}.nii.gz"
        if target.exists():
            print(f"{target}: exists already")
            continue
        try:
            label_map = read_label_map(file)
            volume = synthesizer.synthesize(
                label_map, seed=options.seed, unmatched=options.unmatched
            )
            write_volume(volume, target)
            print(f"{target}: made")
        except Exception as error:  # whatever it is, the other cases go on
            num_failed += 1
            print(f"{file}: not synthesized: {error}", file=sys.stderr)
    print(f"{len(files) - num_failed} of {len(files)} are ready, {num_failed} failed")
    return 1 if num_failed or not files else 0


if __name__ == "__main__":
    sys.exit(main())
