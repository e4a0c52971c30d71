"""What the module file AnatoMaskGAN.py is made of; no file here is a module of Slicer's own.

logic.py is what scripts call, parameters.py what the panel shows and the scene keeps. Each feature
has a folder: in job.py what it does, in panel.py its section of the panel.

    synthesis/  a volume of a segmentation, once or live while the segments are edited
    edit/       a real scan that becomes synthetic only where its segments changed
    compare/    a synthetic volume against a real scan
    models/     the models that are here, and those of a catalog
    batch/      a folder of segmentations
    training/   a model of one's own
    packages/   what Slicer does not bring
    host/       what every feature uses of Slicer and its window: processes, views, status, work

Nothing here imports the core or PyTorch when it is loaded, so that the module loads in a Slicer
without them.
"""
