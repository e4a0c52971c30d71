"""The module's own test: Slicer runs it from its panel and its build, our tests in their host."""

from __future__ import annotations

import pathlib

import numpy as np
import slicer
import vtk
from slicer.ScriptedLoadableModule import ScriptedLoadableModuleTest

from AnatoMaskGANModule.logic import AnatoMaskGANLogic

# Slices of the sample that are synthesized, so that the test is short.
SLICES = slice(93, 103)


class AnatoMaskGANTest(ScriptedLoadableModuleTest):
    """The way of a user on the bundled sample; it runs in Slicer and in the tests' stand-in."""

    def setUp(self) -> None:
        slicer.mrmlScene.Clear()
        missing = AnatoMaskGANLogic().missingPackages()
        if missing:
            self.skipTest(f"not installed: {', '.join(missing)}")

    def runTest(self) -> None:
        for test in (self.test_wholeWay, self.test_unmatchedSegmentStops, self.test_cancel):
            self.setUp()
            test()
        self.delayDisplay("All tests passed")

    def test_wholeWay(self) -> None:
        """Load, synthesize, edit, compare, save, load and make again."""
        logic = AnatoMaskGANLogic()
        segmentationNode, volumeNode = logic.loadSampleData()
        slab = self._slab(volumeNode)
        before = logic.rememberSegments(segmentationNode)

        self.delayDisplay("Synthesizing a few slices of the sample")
        shares = []
        output = logic.synthesize(
            segmentationNode,
            referenceVolume=slab,
            seed=5,
            progressCallback=lambda share, text: shares.append(share),
        )
        compareGeometry = slicer.modules.volumes.logic().CompareVolumeGeometry
        self.assertEqual(compareGeometry(output, slab), "")
        self.assertEqual(shares, sorted(shares))
        self.assertEqual(logic.provenance(output)["Seed"], "5")
        self.assertIn("synthetic", output.GetName())
        made = slicer.util.arrayFromVolume(output).copy()
        self.assertGreater(made.std(), 0)

        if self._hasComparePackages():
            self.delayDisplay("Comparing with the real scan")
            comparison = logic.compare(output, slab)
            self.assertGreater(comparison.metrics["psnr"], 15)
            self.assertEqual(compareGeometry(comparison.differenceVolume, output), "")
            self.assertEqual(comparison.chart.GetNumberOfPlotSeriesNodes(), 2)

        self.delayDisplay("Editing the scan in place")
        grown = self._growSegment(segmentationNode, slab)
        edited = logic.editInPlace(slab, before, segmentationNode, marginMm=2.0, seed=5)
        isChanged = slicer.util.arrayFromVolume(edited) != slicer.util.arrayFromVolume(slab)
        self.assertTrue(isChanged[grown].any())
        self.assertLess(isChanged.mean(), 0.2)

        self.delayDisplay("Saving and making again from the provenance")
        path = pathlib.Path(slicer.app.temporaryPath) / "AnatoMaskGANTest.nrrd"
        logic.saveVolume(output, str(path))
        self.assertIn(logic.provenance(output)["ModelSHA256"].encode(), path.read_bytes())
        path.unlink()
        with self.assertRaisesRegex(ValueError, "has changed since then"):
            logic.makeAgain(output)  # it was edited
        segmentationNode.GetSegmentation().DeepCopy(before.GetSegmentation())
        again = logic.makeAgain(output)
        self.assertTrue((slicer.util.arrayFromVolume(again) == made).all())

    def test_unmatchedSegmentStops(self) -> None:
        self.delayDisplay("A segment that the model does not know")
        logic = AnatoMaskGANLogic()
        segmentationNode, _volumeNode = logic.loadSampleData()
        segment = segmentationNode.GetSegmentation().GetNthSegment(0)
        segment.SetName("Antenna")
        segment.SetTerminology("")
        unmatched = [m.segmentName for m in logic.matchSegments(segmentationNode) if m.isUnmatched]
        self.assertEqual(unmatched, ["Antenna"])
        numberOfNodes = slicer.mrmlScene.GetNumberOfNodes()
        with self.assertRaisesRegex(ValueError, "Antenna"):
            logic.synthesize(segmentationNode)
        self.assertEqual(slicer.mrmlScene.GetNumberOfNodes(), numberOfNodes)

    def test_cancel(self) -> None:
        self.delayDisplay("Cancelling a synthesis")
        from AnatoMaskGANLib.synthesis import SynthesisCancelledError

        logic = AnatoMaskGANLogic()
        segmentationNode, volumeNode = logic.loadSampleData()
        slab = self._slab(volumeNode)
        numberOfNodes = slicer.mrmlScene.GetNumberOfNodes()
        with self.assertRaises(SynthesisCancelledError):
            logic.synthesize(
                segmentationNode,
                referenceVolume=slab,
                progressCallback=lambda share, text: logic.cancel() if share > 0 else None,
            )
        self.assertEqual(slicer.mrmlScene.GetNumberOfNodes(), numberOfNodes)

    def _slab(self, volumeNode: slicer.vtkMRMLScalarVolumeNode) -> slicer.vtkMRMLScalarVolumeNode:
        """A volume of a few slices of another one: a scan and a reference that are small."""
        voxels = slicer.util.arrayFromVolume(volumeNode)[SLICES]
        matrix = vtk.vtkMatrix4x4()
        volumeNode.GetIJKToRASMatrix(matrix)
        ijkToRAS = slicer.util.arrayFromVTKMatrix(matrix)
        ijkToRAS[:3, 3] += SLICES.start * ijkToRAS[:3, 2]
        slab = slicer.util.addVolumeFromArray(voxels.copy(), ijkToRAS, "Slab")
        slab.CreateDefaultDisplayNodes()
        return slab

    def _growSegment(
        self,
        segmentationNode: slicer.vtkMRMLSegmentationNode,
        slab: slicer.vtkMRMLScalarVolumeNode,
    ) -> np.ndarray:
        """Let the left ventricle grow by two voxels to either side; where it has grown."""
        segmentation = segmentationNode.GetSegmentation()
        segmentID = segmentation.GetSegmentIdBySegmentName("Left-Lateral-Ventricle")
        old = slicer.util.arrayFromSegmentBinaryLabelmap(segmentationNode, segmentID, slab) > 0
        new = old.copy()
        for step in (-2, -1, 1, 2):
            new |= np.roll(old, step, axis=2)
        slicer.util.updateSegmentBinaryLabelmapFromArray(
            new.astype(np.uint8), segmentationNode, segmentID, slab
        )
        return new & ~old

    def _hasComparePackages(self) -> bool:
        from AnatoMaskGANModule.packages.job import Purpose, packageGroup

        return not packageGroup(Purpose.COMPARISON).missing
