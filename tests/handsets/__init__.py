"""Handsets as tests see them: set-ups, independent readers of what was rendered, handsets that boot."""
