"""DICOM: reads headers, images and segmentation objects, and writes series and SEG objects."""
