"""Networks of AnatoMaskGAN: they know tensors, not files.

Shape letters used in this folder:
    B cases, S slices, N = B * S slices of all cases, C label classes, F features,
    H rows (J), W columns (I), h x w a stage's own grid, Z noise octaves.
"""
