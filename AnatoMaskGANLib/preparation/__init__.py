"""From archives of images and label maps to a case store for training."""
