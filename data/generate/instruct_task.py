"""Instruction data of two kinds in Alpaca's fields: unseen tasks, and single turns.

    unseen_tasks  train and dev ask for the TUNED clusters (dev on items that train never shows),
                  test for the UNSEEN ones, far for those that pretraining never asks for either
    single_turn   TUNED clusters and open requests; test words every task in ways of its own

Each row has `instruction`, `input` ("" if none), `output`, `task`, `kind`; dev and test also have
`references`, which hold every right answer where a task has few, as nearly all have.
"""

import random
from collections.abc import Iterator

from data.generate import LANGUAGES
from data.generate.instruction_clusters import FAR, TUNED, UNSEEN
from data.generate.instruction_clusters.requests import request_row
from data.generate.instructions import asked

OPEN = 0.25  # of the single turns


def tasks_rows(rng: random.Random, split: str) -> Iterator[dict]:
    """Endless rows of the first kind; languages take turns."""
    clusters = UNSEEN if split == "test" else TUNED
    while True:
        for language in LANGUAGES:
            yield cluster_row(rng, split, language, clusters, "unseen_tasks")


def far_rows(rng: random.Random) -> Iterator[dict]:
    """Endless rows of tasks that no text asks for, neither in training nor in pretraining."""
    while True:
        for language in LANGUAGES:
            yield cluster_row(rng, "test", language, FAR, "unseen_tasks")


def single_rows(rng: random.Random, split: str) -> Iterator[dict]:
    """Endless rows of the second kind; languages take turns."""
    while True:
        for language in LANGUAGES:
            if rng.random() < OPEN:
                yield request_row(rng, split, language, "single_turn")
            else:
                yield cluster_row(rng, split, language, TUNED, "single_turn")


def cluster_row(rng: random.Random, split: str, language: str, clusters: dict, kind: str) -> dict:
    """A row of a cluster; each cluster is asked for equally often."""
    cluster = rng.choice(list(clusters))
    return asked(rng, split, language, cluster, clusters[cluster], kind)
