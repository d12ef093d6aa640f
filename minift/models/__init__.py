"""The language models, written by hand, with the three doors that every method goes through."""
