"""Annotation sets, motion files, and how they are fed to training."""
