"""Everything that touches the outside world, behind ports."""
