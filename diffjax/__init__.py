"""Better, checked, fast 3D human annotations: diffusion refiners in pure-functional JAX."""

__version__ = "0.1.0"
