"""The HTML edge over the service functions; empty as yet."""
