"""All clusters of tasks: name -> part -> how an item is drawn. Train never asks for HELD_OUT's."""

from data.generate.instruction_clusters import (
    composing,
    counting,
    grammar_forms,
    groups,
    held_out,
    knowledge,
    letters,
    lists,
    opposites,
    ordering,
    plurals,
    records,
    rewriting,
    texts,
    tongues,
)

HELD_OUT = held_out.CLUSTERS
TRAINED = (
    lists.CLUSTERS | counting.CLUSTERS | ordering.CLUSTERS | opposites.CLUSTERS | plurals.CLUSTERS
)
TRAINED |= groups.CLUSTERS | letters.CLUSTERS | grammar_forms.CLUSTERS | rewriting.CLUSTERS
TRAINED |= texts.CLUSTERS | records.CLUSTERS | tongues.CLUSTERS | knowledge.CLUSTERS
TRAINED |= composing.CLUSTERS
