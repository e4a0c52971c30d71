"""The networks that the paper's generator is compared with, and the segmenter."""
