"""Serves published handset files; reads only the published store, imports nothing of the control plane."""
