"""Pure folds of Asterisk events into state."""
