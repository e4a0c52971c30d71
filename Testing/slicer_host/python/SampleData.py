"""The registering part of Slicer's SampleData module; stands in for it."""

import slicer


class SampleDataLogic:
    @staticmethod
    def registerCustomSampleDataSource(
        category="Custom",
        sampleName=None,
        uris=None,
        fileNames=None,
        nodeNames=None,
        customDownloader=None,
        thumbnailFileName=None,
        loadFileType=None,
        loadFiles=None,
        loadFileProperties=None,
        checksums=None,
    ):
        if not hasattr(slicer.modules, "sampleDataSources"):
            slicer.modules.sampleDataSources = {}
        source = {
            "sampleName": sampleName,
            "customDownloader": customDownloader,
            "thumbnailFileName": thumbnailFileName,
        }
        sources = slicer.modules.sampleDataSources.setdefault(category, [])
        if all(known["sampleName"] != sampleName for known in sources):
            sources.append(source)
