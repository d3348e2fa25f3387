"""The REST API under /api/v1: thin edges over the use cases.

Nothing is imported here: commands use the shapes of answers without the framework, whose import takes
longer than most of them run.
"""
