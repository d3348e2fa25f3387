"""The only place that wires adapters, store and services together."""
