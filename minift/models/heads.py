r"""Heads: what turns a model's hidden states into a number to train on.

    scores = W_head h + b_head                  (1)   h: the body's summary of the text
    loss = − Σ_i log softmax(logits_i)[y_i]     (2)   over the positions i that have a label y_i

Each family sums a text up in its own way (`body.summary`): a GPT by the hidden state of the last
real token, an Encoder by its pooler, a Seq2Seq by its decoder's last token.

The head of a classifier is the task's own: every method trains it, and it is counted apart from the
method (`delta.count_parameters`). A language model's tied output layer is no task head and never
trains.
"""

import torch.nn.functional as F
from torch import nn


def token_loss(model, hidden, labels):
    """Equation (2), summed, for labels (b, t), -100 where there is none.

    labels[:, i] is what position i must predict, in every family: for a GPT the next token, for
    a masked language model the token that stood there. Only these positions get logits.
    """
    target = labels != -100
    logits = model.logits(hidden[target]).float()
    return F.cross_entropy(logits, labels[target], reduction="sum")  # ()   (2)


class TextClassifier(nn.Module):
    """`TextClassifier(body, classes)(ids, mask=mask) -> scores (b, classes)`.

    Of a masked language model the encoder becomes the body, without its own head.
    """

    def __init__(self, body, classes):
        super().__init__()
        self.body = getattr(body, "body", body)
        self.head = nn.Linear(body.config.d_model, classes)
        nn.init.normal_(self.head.weight, std=0.02)
        nn.init.zeros_(self.head.bias)

    def forward(self, ids, *, mask=None, **call):
        summary = self.body.summary(ids, mask=mask, **call)  # (b, c)
        return self.head(summary)  # (b, o)   (1)

    def loss(self, batch):
        """Summed cross-entropy of batch.labels (b,)."""
        call = {name: getattr(batch, name, None) for name in ("mask", "pool", "rows")}
        scores = self(batch.ids, **call)
        return F.cross_entropy(scores.float(), batch.labels, reduction="sum")
