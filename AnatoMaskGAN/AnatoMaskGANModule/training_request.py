"""Scripts for earlier versions import the request of a training from here."""

from AnatoMaskGANModule.training.request import TrainingRequest as TrainingRequest
