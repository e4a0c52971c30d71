"""Makes a synthetic volume from a segmentation file in 3D Slicer, without a window.

Slicer --no-splash --no-main-window --python-script synthesize_segmentation.py \
    case.seg.nrrd synthetic.nrrd --seed 7

The exit code is 0 if the volume was made, else 1. The packages that the module needs must be
installed: press Synthesize in the module once, which offers to install them.
"""

import argparse
import sys

import slicer


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("segmentation", help="segmentation file, such as case.seg.nrrd")
    parser.add_argument("output", help="volume file to write, such as synthetic.nrrd")
    parser.add_argument("--reference", help="volume file that gives the output its grid")
    parser.add_argument("--model", default="brain-t1")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--noise-strength", type=float, default=1.0)
    parser.add_argument("--unmatched", choices=("stop", "background"), default="stop")
    options = parser.parse_args()

    from AnatoMaskGAN import AnatoMaskGANLogic

    try:
        segmentation = slicer.util.loadSegmentation(options.segmentation)
        reference = slicer.util.loadVolume(options.reference) if options.reference else None
        logic = AnatoMaskGANLogic()
        volume = logic.synthesize(
            segmentation,
            referenceVolume=reference,
            model=options.model,
            seed=options.seed,
            noiseStrength=options.noise_strength,
            unmatched=options.unmatched,
        )
        logic.saveVolume(volume, options.output)  # with its record in the header
    except Exception as error:  # Slicer would go on without a window, for ever
        print(f"not synthesized: {error}", file=sys.stderr)
        return 1
    print(options.output)
    return 0


if __name__ == "__main__":
    sys.exit(main())
