"""HTML edge over the service functions."""
