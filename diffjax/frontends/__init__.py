"""Estimators for people, and tests, without images."""
