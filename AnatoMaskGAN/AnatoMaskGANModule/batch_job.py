"""Scripts for earlier versions import the request of a batch from here."""

from AnatoMaskGANModule.batch.job import BatchRequest as BatchRequest
