"""Handset files: a neutral set-up goes in, the files a family asks for come out. Pure."""
