"""Diff, order and plan: pure."""
