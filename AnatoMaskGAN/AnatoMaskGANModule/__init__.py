"""The parts of the module file AnatoMaskGAN.py; no file here is a module of Slicer by itself.

Scripts call logic.py; parameters.py holds what the panel shows and the scene keeps. Each feature
has a folder: job.py does its work, and panel.py is its section of the panel.

    synthesis/  a volume of a segmentation, once or live while the segments are edited
    edit/       a real scan that becomes synthetic only where its segments changed
    compare/    a synthetic volume against a real scan
    models/     the models that are here, and those of a catalog
    batch/      a folder of segmentations
    training/   training of a new model
    packages/   installation of Python packages that Slicer does not have
    host/       access of all features to Slicer and its window: processes, views, status, work

Nothing here imports the core or PyTorch when it is loaded, so that the module loads in a Slicer
without them.
"""
