"""DICOM: what stands in its files, segmentation objects and images in, series and SEG out."""
