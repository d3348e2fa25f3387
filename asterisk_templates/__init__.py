"""Jinja2 templates for Asterisk and handset files: data only."""
