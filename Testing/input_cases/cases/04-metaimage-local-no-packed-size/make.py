"""A MetaImage with packed data behind its header that leaves out how many bytes they are."""

import zlib
from pathlib import Path

import numpy as np

labels = np.zeros((12, 12, 12), np.uint8)
labels[3:9, 3:9, 3:9] = 13
header = """ObjectType = Image
NDims = 3
BinaryData = True
BinaryDataByteOrderMSB = False
CompressedData = True
TransformMatrix = 1 0 0 0 1 0 0 0 1
Offset = 0 0 0
ElementSpacing = 1 1 1
DimSize = 12 12 12
ElementType = MET_UCHAR
ElementDataFile = LOCAL
"""
Path("case.mha").write_bytes(header.encode() + zlib.compress(labels.tobytes()))
