"""Executor and reconciler: run plans through ports."""
