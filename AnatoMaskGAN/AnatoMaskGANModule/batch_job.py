"""Where scripts for earlier versions find the request of a batch."""

from AnatoMaskGANModule.batch.job import BatchRequest as BatchRequest
