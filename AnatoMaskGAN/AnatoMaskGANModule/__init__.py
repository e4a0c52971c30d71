"""What the module file AnatoMaskGAN.py is made of; no file here is a module of Slicer's own.

Nothing here imports the core or PyTorch when it is loaded, so that the module loads in a Slicer
without them.
"""
