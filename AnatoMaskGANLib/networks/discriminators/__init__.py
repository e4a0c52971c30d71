"""The discriminators: patches, segmentation and wavelets."""
