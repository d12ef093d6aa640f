"""All clusters of tasks: name -> part -> how an item is drawn. Train never asks for HELD_OUT's."""

from data.generate.instruction_clusters import (
    held_out,
    kinds,
    lists,
    opposites,
    plurals,
    sentences,
    tongues,
)

HELD_OUT = held_out.CLUSTERS
TRAINED = lists.CLUSTERS | kinds.CLUSTERS | opposites.CLUSTERS | plurals.CLUSTERS
TRAINED |= sentences.CLUSTERS | tongues.CLUSTERS
