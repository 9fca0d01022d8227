"""How published papers measure: which joints, which root, which truth, which mean. One value a protocol."""
