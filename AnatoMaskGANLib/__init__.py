"""The core of AnatoMaskGAN: label maps in, synthetic volumes out. Importing it does nothing."""

__version__ = "0.1.0"
