"""Desired state to artefacts: pure and byte-stable."""
