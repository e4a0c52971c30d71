"""One place in two spaces: left-posterior-superior and left-anterior-superior."""

from pathlib import Path

import numpy as np

labels = np.zeros((12, 12, 12), np.uint8)
labels[3:9, 3:9, 3:9] = 13
for space, sign in (("posterior", 1), ("anterior", -1)):
    header = f"""NRRD0004
type: unsigned char
dimension: 3
space: left-{space}-superior
sizes: 12 12 12
space directions: (1,0,0) (0,{sign},0) (0,0,1)
kinds: domain domain domain
encoding: raw
space origin: (10,{20 * sign},30)

"""
    Path(f"l{space[0]}s.nrrd").write_bytes(header.encode() + labels.tobytes())
