"""Compiled loops over contiguous float arrays; they know no files, print nothing and allocate nothing."""
