"""The module's own test: Slicer runs it from its panel and its build, our tests in their host."""

import slicer
import vtk
from slicer import vtkMRMLScalarVolumeNode
from slicer.ScriptedLoadableModule import ScriptedLoadableModuleTest

from .logic import AnatoMaskGANLogic


class AnatoMaskGANTest(ScriptedLoadableModuleTest):
    """The way of a user on the bundled sample; it runs in Slicer and in the tests' stand-in."""

    def setUp(self) -> None:
        slicer.mrmlScene.Clear()
        missing = AnatoMaskGANLogic().missingPackages()
        if missing:
            self.skipTest(f"not installed: {', '.join(missing)}")

    def runTest(self) -> None:
        for test in (self.test_segmentationBecomesVolume, self.test_unmatchedSegmentStops):
            self.setUp()
            test()
        self.delayDisplay("All tests passed")

    def _slab(self, volumeNode) -> vtkMRMLScalarVolumeNode:
        """A reference volume of a few slices of another one, so that the test is short."""
        voxels = slicer.util.arrayFromVolume(volumeNode)[90:106]
        matrix = vtk.vtkMatrix4x4()
        volumeNode.GetIJKToRASMatrix(matrix)
        ijkToRAS = slicer.util.arrayFromVTKMatrix(matrix)
        ijkToRAS[:3, 3] += 90 * ijkToRAS[:3, 2]
        return slicer.util.addVolumeFromArray(voxels, ijkToRAS, "Slab")

    def test_segmentationBecomesVolume(self) -> None:
        self.delayDisplay("Synthesizing a few slices of the sample")
        logic = AnatoMaskGANLogic()
        segmentationNode, volumeNode = logic.loadSampleData()
        reference = self._slab(volumeNode)
        shares = []
        output = logic.synthesize(
            segmentationNode,
            referenceVolume=reference,
            seed=5,
            progressCallback=lambda share, text: shares.append(share),
        )
        compare = slicer.modules.volumes.logic().CompareVolumeGeometry
        self.assertEqual(compare(output, reference), "")
        self.assertEqual(shares, sorted(shares))
        self.assertEqual(logic.provenance(output)["Seed"], "5")
        self.assertIn("synthetic", output.GetName())
        voxels = slicer.util.arrayFromVolume(output)
        self.assertGreater(voxels.std(), 0)
        again = logic.makeAgain(output)
        self.assertTrue((slicer.util.arrayFromVolume(again) == voxels).all())

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
