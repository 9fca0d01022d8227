"""The published methods, one file each: arrays in, `Refined` out."""
