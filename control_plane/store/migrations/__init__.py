"""The history of the schema. Each version stands by itself: it imports nothing of the program."""
