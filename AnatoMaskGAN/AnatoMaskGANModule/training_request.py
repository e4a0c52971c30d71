"""Where scripts for earlier versions find the request of a training."""

from AnatoMaskGANModule.training.request import TrainingRequest as TrainingRequest
