"""Sequence sets on disk, filmed and lifted, refined and scored: what surrounds D3PRefiner."""
