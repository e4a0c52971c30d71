"""The fast engine: evaluates a trained generator slice by slice, slab by slab.

It makes the same images as the networks, in fewer passes over memory. So what the networks say is
said here again, and whoever changes one side changes the other:

    networks/generator.py Generator <-> fast_generator.py FastGenerator
    networks/generator.py Stage <-> fast_stage.py FastStage
    networks/generator.py ThroughPlaneContext <-> modulation_tables.py ContextTables
    networks/generator.py MaskEncoder <-> fast_generator.py CoarseLabels
    networks/label_words.py LabelWords <-> modulation_tables.py ModulationTables
    networks/noise.py NoiseInjection <-> fast_layers.py FastNoise
    networks/spade.py SPADE <-> fast_layers.py FastSPADE
    networks/spade.py SPADEResidualBlock <-> fast_stage.py FastStage
    networks/slice_graph.py SliceGraphFusion <-> fast_generator.py FastFusion
    networks/slice_graph.py SliceGraphFusion <-> volume_pass.py VolumePass
        held by test_synthesis_volume_pass.py
        test_slice_by_slice_equals_the_generator_on_the_whole_stack
        test_the_presets_in_their_full_width_equal_the_whole_stack

    networks/baselines/oasis.py OasisGenerator <-> slice_pass.py SlicePass
    networks/baselines/unet.py UNetGenerator <-> slice_pass.py SlicePass
        held by test_synthesis_slice_pass.py
        test_a_volume_is_what_the_generator_makes_of_each_slice

What both sides share stands in the networks alone: the noise field and its means (noise.py), the
slice graph and its patches (slice_graph.py), the numbering of neighborhoods (label_words.py). Two
more invariants are held within the engine: an update equals a full synthesis
(test_synthesis_session.py), and a product by Winograd's way equals the convolution
(test_synthesis_winograd.py).

The other files: passes.py says what an engine is, memory_plan.py how many slices fit into memory,
synthesis_box.py which part of the grid is made, slab_cache.py what is found of the labels,
workspace.py where features are written.
"""
