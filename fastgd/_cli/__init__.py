"""Implement the command line, `python -m fastgd`."""
