"""The fast engine: evaluates a trained generator slice by slice, slab by slab."""
