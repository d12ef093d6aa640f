"""The Encoder and its masked language model: arithmetic, masks and doors."""

from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from minift.batching import Batch
from minift.models.attention import Extra
from minift.models.encoder import Encoder, EncoderConfig
from minift.models.heads import TextClassifier
from minift.models.masked import MaskedLM
from tests import slow

CONFIG = EncoderConfig(vocab_size=61, context=40, d_model=12, n_layers=3, n_heads=3, types=3)
EPS = 1e-12


def order_one(model):
    """The model with weights so large that every part matters and that what it writes varies."""
    for name, parameter in model.named_parameters():
        mean = 1.0 if "norm" in name and name.endswith("weight") else 0.0
        std = 0.1 if "norm" in name else 2.0 if "position" in name else 0.3
        nn.init.normal_(parameter, mean=mean, std=std)
    return model.eval()


def encoder(seed=0, **changes):
    torch.manual_seed(seed)
    return order_one(Encoder(EncoderConfig(**{**CONFIG.__dict__, **changes})))


def masked(seed=0):
    torch.manual_seed(seed)
    return order_one(MaskedLM(Encoder(CONFIG)))


def tokens(b, t, seed=1):
    return torch.randint(0, 61, (b, t), generator=torch.Generator().manual_seed(seed))


def ragged(t=9, side="right"):
    """Three rows with 9, 7 and 4 real tokens."""
    real = torch.arange(t) >= torch.tensor([[0], [2], [5]])
    return real if side == "left" else real.flip(1)


def slow_hidden(model, ids, types=None, prefix=None):
    """Hidden states of one row by equations (1) and (2)."""
    x = model.embedding.weight[ids] + model.position_embedding.weight[: len(ids)]
    x = x + model.type_embedding.weight[torch.zeros_like(ids) if types is None else types]
    x = slow.layer_norm(model.norm, x, EPS)
    for n, block in enumerate(model.blocks):
        x = slow.encoder_block(block, x, EPS, None if prefix is None else prefix[n])
    return x


def test_the_encoder_is_the_formula():
    """Post-LN, exact GELU, types added to the embedding, pooler: the equations written out."""
    model, ids = encoder(), tokens(2, 7)
    types = ids % 3
    want = torch.stack([slow_hidden(model, *row) for row in zip(ids, types, strict=True)])
    torch.testing.assert_close(model(ids, types=types), want, rtol=1e-4, atol=1e-5)
    pooled = torch.tanh(want[:, 0] @ model.pooler.weight.T + model.pooler.bias)
    torch.testing.assert_close(model.summary(ids, types=types), pooled, rtol=1e-4, atol=1e-5)
    plain = torch.stack([slow_hidden(model, row) for row in ids])
    torch.testing.assert_close(model(ids), plain, rtol=1e-4, atol=1e-5)


def test_the_masked_head_is_the_formula():
    """logits = LN(GELU(W h + b)) Eᵀ + b_v."""
    model, ids = masked(), tokens(1, 6)
    z = model.dense(slow_hidden(model.body, ids[0]))
    z = slow.layer_norm(model.norm, z * (1 + torch.erf(z / 2**0.5)) / 2, EPS)
    want = z @ model.body.embedding.weight.T + model.bias
    torch.testing.assert_close(model(ids)[0], want, rtol=1e-4, atol=1e-5)


def test_every_token_sees_every_token():
    """Another last token changes all hidden states, the first one's too."""
    model, ids = encoder(), tokens(1, 8)
    changed = ids.clone()
    changed[0, 7] = (ids[0, 7] + 1) % 61
    assert ((model(ids) - model(changed)).abs().amax(-1) > 1e-3).all()


@pytest.mark.parametrize("side", ["left", "right"])
def test_padding_changes_nothing(side):
    """A padded row gives the hidden states and the summary that it gives alone."""
    model, ids, mask = encoder(), tokens(3, 9), ragged(side=side)
    got, summary = model(ids, mask=mask), model.summary(ids, mask=mask)
    for row in range(3):
        alone = ids[row : row + 1, mask[row]]
        torch.testing.assert_close(got[row, mask[row]], model(alone)[0], rtol=1e-4, atol=1e-5)
        want = model.summary(alone)
        torch.testing.assert_close(summary[row : row + 1], want, rtol=1e-4, atol=1e-5)


def test_packed_documents_are_strangers():
    """Each document of a packed row gives what it gives alone, at its own positions."""
    model, ids = encoder(), tokens(2, 9)
    documents = torch.tensor([[0, 0, 0, 1, 1, 2, 2, 2, 2], [0, 0, 0, 0, 0, 0, 1, -1, -1]])
    got = model(ids, documents=documents)
    for row, n in [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1)]:
        own = documents[row] == n
        alone = model(ids[row : row + 1, own])[0]
        torch.testing.assert_close(got[row, own], alone, rtol=1e-4, atol=1e-5)


class Bank(nn.Module):
    """Random keys and values of four slots, other ones for each user and layer."""

    length = 4

    def __init__(self, banks=("self",), users=3, layers=3, seed=7):
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.made = {
            bank: torch.randn(layers, 2, users, 3, 4, 4, generator=generator) for bank in banks
        }
        self.calls = 0

    def forward(self, b, rows):
        self.calls += 1
        rows = torch.zeros(b, dtype=torch.long) if rows is None else rows
        return {
            name: [Extra(layer[0][rows], layer[1][rows]) for layer in bank]
            for name, bank in self.made.items()
        }

    def of(self, bank, user):
        """[(keys, values) (h, p, d) of each layer]."""
        return [(layer[0][user], layer[1][user]) for layer in self.made[bank]]


def test_a_prefix_is_seen_by_all_and_moves_no_position():
    """Door 2: keys and values left of the text, each user's own, under padding on either side."""
    model, ids, rows = encoder(), tokens(3, 9), torch.tensor([2, 0, 1])
    model.prefix = Bank()
    for side in ("left", "right"):
        mask = ragged(side=side)
        got = model(ids, mask=mask, rows=rows)
        for n, user in enumerate(rows):
            want = slow_hidden(model, ids[n, mask[n]], prefix=model.prefix.of("self", user))
            torch.testing.assert_close(got[n, mask[n]], want, rtol=1e-4, atol=1e-5)
    assert model.prefix.calls == 2  # once a forward


def test_an_adapter_stands_before_the_residual_add():
    """Door 3: it gets the sub-layer's output and input; what it returns is added and normed."""
    model, seen = encoder(), []

    class Spy(nn.Module):
        def forward(self, output, input):
            seen.append((output, input))
            return torch.zeros_like(output)

    block, x = model.blocks[1], torch.randn(2, 5, 12)
    block.after_attention = Spy()
    got = block(x)
    torch.testing.assert_close(seen[0][0], block.attention(x))
    assert seen[0][1] is x
    x = block.norm1(x)
    torch.testing.assert_close(got, block.norm2(x + block.feedforward(x)))
    block.after_feedforward = Spy()
    torch.testing.assert_close(block(x), block.norm2(block.norm1(x)))


def test_a_module_reads_the_context_of_its_batch():
    """Rows and mask are there during the pass; a gate may pool over all real tokens."""
    model, ids, mask, seen = encoder(), tokens(3, 9), ragged(), []

    class Reader(nn.Module):
        def forward(self, output, input):
            seen.append(model.context.now)
            return output

    model.blocks[0].after_attention = Reader()
    model.checkpoint_activations = True
    rows = torch.tensor([1, 0, 2])
    model(ids, mask=mask, rows=rows).sum().backward()
    model(ids)
    assert seen[0] is seen[1] and seen[0].rows is rows and seen[0].start == 0
    assert torch.equal(seen[0].pool, mask) and seen[2].pool.all()
    assert model.context.now.pool is None
    model.prefix = Bank()
    model(ids)
    assert seen[3].start == 4


def test_loss_counts_only_labelled_positions():
    """Each label is the token at its own place; the sum equals a log-softmax with loops."""
    model, ids, mask = masked(), tokens(3, 9), ragged()
    labels = ids.where(mask & (torch.rand(3, 9) < 0.5), -100)
    logp = model(ids, mask=mask).log_softmax(-1)
    want = -sum(logp[i, j, labels[i, j]] for i in range(3) for j in range(9) if labels[i, j] >= 0)
    torch.testing.assert_close(model.loss(Batch(ids, labels, mask)), want, rtol=1e-4, atol=1e-5)


def test_activation_checkpointing_changes_no_gradient():
    """Recomputed blocks give the same gradients, dropout included."""
    ids, mask, gradients = tokens(3, 9), ragged(), []
    for switch in (False, True):
        model = encoder(dropout=0.2).train()
        model.checkpoint_activations = switch
        torch.manual_seed(5)
        model(ids, mask=mask).square().sum().backward()
        gradients.append([p.grad for n, p in model.named_parameters() if "pooler" not in n])
    for one, two in zip(*gradients, strict=True):
        torch.testing.assert_close(one, two, rtol=1e-4, atol=1e-5)


def test_the_start():
    """N(0, 0.3/c) everywhere, zero biases; the pooler is the identity: tanh of the first state."""
    torch.manual_seed(0)
    model, ids = Encoder(EncoderConfig(500, 16, 96, 2, 4)).eval(), tokens(2, 5)
    block = model.blocks[1]
    for weight in (block.attention.out_proj.weight, model.position_embedding.weight):
        assert weight.std().item() == pytest.approx((0.3 / 96) ** 0.5, rel=0.05)
    assert not block.feedforward.up_proj.bias.any()
    assert {m.eps for m in MaskedLM(model).modules() if isinstance(m, nn.LayerNorm)} == {EPS}
    assert torch.equal(model.summary(ids), model(ids)[:, 0].tanh())
    head = MaskedLM(model)
    assert head.dense.weight.std().item() == pytest.approx((0.3 / 96) ** 0.5, rel=0.05)
    assert not head.dense.bias.any() and not head.bias.any() and head.config is model.config


def test_what_a_classifier_reads_from():
    """The pooler reads the first real token, as BERT's, or the last, wherever padding stands."""
    model, ids, mask = masked().body, tokens(3, 9), ragged()
    last = EncoderConfig(**vars(model.config) | {"reads": "last"})
    other = Encoder(last).eval()
    other.load_state_dict(model.state_dict())
    hidden = model(ids, mask=mask)
    for row, real in enumerate(mask):
        places = real.nonzero()[:, 0]
        for reader, place in ((model, places[0]), (other, places[-1])):
            want = reader.pooler(hidden[row, place]).tanh()
            got = reader.summary(ids, mask=mask)[row]
            torch.testing.assert_close(got, want, rtol=1e-4, atol=1e-6)
    with pytest.raises(ValueError, match="reads 'middle': expected one of first, last"):
        EncoderConfig(500, 16, 96, 2, 4, reads="middle")


def test_the_classifier_reads_the_pooler():
    """Scores are the head on the summary, and of a masked language model the encoder is taken."""
    model, ids, mask = masked(), tokens(3, 9), ragged()
    classifier, labels = TextClassifier(model, 4), torch.tensor([0, 3, 1])
    assert classifier.body is model.body
    want = classifier.head(model.body.summary(ids, mask=mask))
    torch.testing.assert_close(classifier(ids, mask=mask), want)
    loss = classifier.loss(SimpleNamespace(ids=ids, mask=mask, labels=labels))
    torch.testing.assert_close(loss, F.cross_entropy(want, labels, reduction="sum"))


def test_what_an_encoder_cannot_do_is_one_clear_line():
    """No cache, and no more positions than there are; a prefix takes none of them."""
    model = encoder()
    model.prefix = Bank()
    assert model(tokens(1, 40)).shape == (1, 40, 12)
    with pytest.raises(ValueError, match="41 positions exceed the context of 40"):
        model(tokens(1, 41))
    with pytest.raises(ValueError, match="keeps no cache"):
        model(tokens(1, 4), cache=object())
    with pytest.raises(ValueError, match="sizes of at least 1"):
        EncoderConfig(61, 40, 12, 0, 3)
