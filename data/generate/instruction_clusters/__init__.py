"""All clusters of tasks: name -> part -> how an item is drawn.

ASKED   what the pretraining text asks for, as any large text asks for most things
TUNED   those of ASKED that training files ask for
UNSEEN  those of ASKED that no training file asks for: a tuned model has to carry over to them
FAR     what no training file and no document of the pretraining text ever asks for
"""

from data.generate.instruction_clusters import (
    far,
    kinds,
    lists,
    opposites,
    plurals,
    sentences,
    tongues,
)

ASKED = lists.CLUSTERS | kinds.CLUSTERS | opposites.CLUSTERS | plurals.CLUSTERS
ASKED |= sentences.CLUSTERS | tongues.CLUSTERS
UNSEEN = {name: ASKED[name] for name in ("count", "extract", "negative", "plural")}
TUNED = {name: parts for name, parts in ASKED.items() if name not in UNSEEN}
FAR = far.CLUSTERS
