"""Training: data set, losses, the adversarial step, the loop and its checkpoints.

Shape letters: B cases, S slices of a stack, C label classes, H rows (J), W columns (I), Z noise
octaves.
"""
