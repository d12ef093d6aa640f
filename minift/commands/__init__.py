"""The commands of `python -m minift`, one file each."""
