"""Turns archives of images and label maps into a case store for training."""
