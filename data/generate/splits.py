"""Which split a name or a combination of words belongs to, decided by a checksum of the words.

The decision depends on the words alone, not on a seed or on list order, so that what a test set
holds stays out of every training file and of the corpus for good, however the world grows.
"""

from itertools import pairwise
from zlib import crc32

SPLITS = ("train", "dev", "test")
CORPUS = "corpus"  # the pretraining text: it may name people and towns of all splits, no more
DEV, TEST = range(0, 8), range(8, 24)  # of 100


def split_of_name(name: str) -> str:
    """8 % of all names and combinations belong to dev, 16 % to test."""
    bucket = crc32(name.encode()) % 100
    return "test" if bucket in TEST else "dev" if bucket in DEV else "train"


def belongs(name: str, split: str) -> bool:
    """Whether a split may show this name or combination; the corpus shows what train shows."""
    return split_of_name(name) == ("train" if split == CORPUS else split)


def split_of_pairs(words: list[str]) -> str:
    """A text belongs to train only if none of its neighbouring word pairs is held out."""
    found = {split_of_name("+".join(pair)) for pair in pairwise(words)}
    return next((split for split in ("test", "dev") if split in found), "train")
