"""The wirechief control plane: one model, planned changes, proven calls."""
