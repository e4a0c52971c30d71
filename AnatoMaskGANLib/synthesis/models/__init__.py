"""Model folders: reading, checking, packing, listing and downloading them."""
