"""The call path as data: graph, explain, checks. Pure."""
