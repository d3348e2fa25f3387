"""REST edge over the service functions."""
