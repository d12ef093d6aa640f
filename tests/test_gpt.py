"""The GPT: its arithmetic, its masks, and the three doors that methods go through."""

import math
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from minift.models.attention import Extra, MultiHeadAttention
from minift.models.gpt import GPT, GPTConfig
from minift.models.heads import TextClassifier
from minift.models.slots import last_real

CONFIG = GPTConfig(vocab_size=61, context=40, d_model=12, n_layers=3, n_heads=3)


def model(seed=0, **changes):
    """A small GPT whose weights are all of order 1, so that every part of it matters."""
    torch.manual_seed(seed)
    gpt = GPT(GPTConfig(**{**CONFIG.__dict__, **changes}))
    for name, parameter in gpt.named_parameters():
        nn.init.normal_(parameter, mean=1.0 if "norm" in name else 0.0, std=0.3)
    return gpt.eval()


def tokens(b, t, seed=1):
    return torch.randint(
        0, CONFIG.vocab_size, (b, t), generator=torch.Generator().manual_seed(seed)
    )


def slow_attention(layer, x):
    """Causal attention of one row with loops: the specification."""
    q, k, v = layer.q_proj(x), layer.k_proj(x), layer.v_proj(x)
    d = x.shape[-1] // layer.n_heads
    joined = torch.zeros_like(x)
    for head in range(layer.n_heads):
        part = slice(head * d, (head + 1) * d)
        for i in range(len(x)):
            score = torch.stack([q[i, part] @ k[j, part] / math.sqrt(d) for j in range(i + 1)])
            weight = score.exp() / score.exp().sum()
            joined[i, part] = sum(weight[j] * v[j, part] for j in range(i + 1))
    return layer.out_proj(joined)


@pytest.mark.parametrize("fused", [True, False])
def test_attention_is_the_formula(fused):
    """Both paths equal equation (1) written with loops."""
    torch.manual_seed(0)
    layer = MultiHeadAttention(12, 3)
    layer.fused = fused
    x = torch.randn(2, 7, 12)
    want = torch.stack([slow_attention(layer, row) for row in x])
    torch.testing.assert_close(layer(x, causal=True), want, rtol=1e-4, atol=1e-6)


def test_readable_and_fused_paths_agree_under_masks():
    """Padding on either side, packed documents and a cache give the same logits on both paths."""
    gpt, ids = model(), tokens(3, 9)
    ragged = torch.arange(9) >= torch.tensor([[0], [2], [5]])
    documents = torch.tensor([0, 0, 0, 1, 1, 2, 2, 2, 2]).expand(3, 9)
    for call in ({}, {"mask": ragged}, {"mask": ragged.flip(1)}, {"documents": documents}):
        results = []
        for fused in (True, False):
            for block in gpt.blocks:
                block.attention.fused = fused
            results.append(gpt(ids, **call))
        torch.testing.assert_close(*results, rtol=1e-4, atol=1e-5)


def test_the_block_is_prenorm_with_tanh_gelu_and_a_tied_output():
    """The whole forward pass equals the equations written out."""
    gpt, ids = model(), tokens(1, 6)
    x = gpt.embedding.weight[ids[0]] + gpt.position_embedding.weight[:6]
    for block in gpt.blocks:
        x = x + slow_attention(block.attention, block.norm1(x))
        hidden = block.feedforward.up_proj(block.norm2(x))
        cube = math.sqrt(2 / math.pi) * (hidden + 0.044715 * hidden**3)
        x = x + block.feedforward.down_proj(0.5 * hidden * (1 + torch.tanh(cube)))
    want = gpt.norm(x) @ gpt.embedding.weight.T
    torch.testing.assert_close(gpt(ids)[0], want, rtol=1e-4, atol=1e-5)


def test_no_token_sees_its_future():
    """Changing a token leaves the logits left of it unchanged, bit for bit, and changes its own."""
    gpt, ids = model(), tokens(2, 8)
    changed = ids.clone()
    changed[:, 5] = (changed[:, 5] + 1) % CONFIG.vocab_size
    before, after = gpt(ids), gpt(changed)
    assert torch.equal(before[:, :5], after[:, :5])
    assert not torch.allclose(before[:, 5:], after[:, 5:])


@pytest.mark.parametrize("side", ["left", "right"])
def test_padding_changes_nothing(side):
    """A padded row gives the logits that it gives alone, whatever the pad tokens are."""
    gpt, ids = model(), tokens(3, 9)
    real = torch.arange(9) >= torch.tensor([[0], [2], [5]])
    mask = real if side == "left" else real.flip(1)
    got = gpt(ids, mask=mask)
    for row in range(3):
        alone = gpt(ids[row : row + 1, mask[row]])
        torch.testing.assert_close(got[row, mask[row]], alone[0], rtol=1e-4, atol=1e-5)


def test_packed_documents_are_strangers():
    """Each document of a packed row gives the logits that it gives alone, at its own positions."""
    gpt, ids = model(), tokens(2, 9)
    documents = torch.tensor([[0, 0, 0, 1, 1, 2, 2, 2, 2], [0, 0, 0, 0, 0, 0, 1, -1, -1]])
    got = gpt(ids, documents=documents)
    for row in range(2):
        for n in range(3):
            own = documents[row] == n
            if own.any():
                alone = gpt(ids[row : row + 1, own])
                torch.testing.assert_close(got[row, own], alone[0], rtol=1e-4, atol=1e-5)


def test_cached_decoding_equals_the_whole_pass():
    """Token by token, in chunks, with padding on the left: the cache gives the same logits."""
    gpt, ids = model(), tokens(3, 9)
    mask = torch.arange(9) >= torch.tensor([[0], [2], [3]])
    for keep in (None, mask):
        whole, cache, parts = gpt(ids, mask=keep), gpt.new_cache(9), []
        with torch.no_grad():
            for begin, end in ((0, 4), (4, 7), (7, 8), (8, 9)):
                part = None if keep is None else keep[:, begin:end]
                parts.append(gpt(ids[:, begin:end], mask=part, cache=cache))
        got = torch.cat(parts, dim=1)
        real = torch.ones_like(mask) if keep is None else keep
        torch.testing.assert_close(got[real], whole[real], rtol=1e-4, atol=1e-5)
        assert cache.length == 9


def test_loss_counts_only_labelled_positions():
    """The summed loss equals a log-softmax with loops over the labelled positions."""
    gpt, ids = model(), tokens(2, 7)
    labels = ids.roll(-1, 1).masked_fill(torch.rand(2, 7) < 0.4, -100)
    batch = SimpleNamespace(ids=ids, labels=labels, mask=None, positions=None, documents=None)
    logp = gpt(ids).log_softmax(-1)
    want = -sum(logp[i, j, labels[i, j]] for i in range(2) for j in range(7) if labels[i, j] >= 0)
    torch.testing.assert_close(gpt.loss(batch), want, rtol=1e-4, atol=1e-6)


def test_the_output_layer_is_the_embedding():
    """One tensor, counted once, and a gradient from both of its uses."""
    gpt = model()
    names = [name for name, _ in gpt.named_parameters() if "embedding.weight" in name]
    assert names == ["embedding.weight", "position_embedding.weight"]
    c, f, v = 12, 48, 61
    block = 4 * (c * c + c) + (c * f + f) + (f * c + c) + 4 * c
    assert sum(p.numel() for p in gpt.parameters()) == v * c + 40 * c + 3 * block + 2 * c


def test_initial_weights_have_gpt2s_deviations():
    """0.02 everywhere, divided by √(2L) on the two projections onto the residual; biases zero."""
    torch.manual_seed(0)
    gpt = GPT(GPTConfig(500, 16, 96, 8, 4))
    block = gpt.blocks[3]
    assert block.attention.q_proj.weight.std().item() == pytest.approx(0.02, rel=0.05)
    assert block.attention.out_proj.weight.std().item() == pytest.approx(0.02 / 4, rel=0.05)
    assert block.feedforward.down_proj.weight.std().item() == pytest.approx(0.02 / 4, rel=0.05)
    assert not block.feedforward.up_proj.bias.any() and gpt.norm.weight.eq(1).all()


def test_activation_checkpointing_changes_no_gradient():
    """Recomputed blocks give the same gradients, dropout and context included."""
    ids = tokens(2, 7)
    batch = SimpleNamespace(
        ids=ids, labels=ids.roll(-1, 1), mask=None, positions=None, documents=None
    )
    gradients = []
    for switch in (False, True):
        gpt = model(dropout=0.2).train()
        gpt.checkpoint_activations = switch
        torch.manual_seed(5)
        gpt.loss(batch).backward()
        gradients.append([p.grad for p in gpt.parameters()])
    for one, two in zip(*gradients, strict=True):
        torch.testing.assert_close(one, two, rtol=1e-5, atol=1e-6)


def test_too_long_a_text_is_one_clear_line():
    """Beyond the context length the error names both numbers."""
    with pytest.raises(ValueError, match="41 positions .* context of 40"):
        model()(tokens(1, 41))


class RealPrefix(nn.Module):
    """The keys and values that a real prompt made, as a prefix of every row."""

    def __init__(self, gpt, prompt):
        super().__init__()
        cache = gpt.new_cache(len(prompt))
        with torch.no_grad():
            gpt.hidden(torch.tensor([prompt]), cache=cache)
        self.length = len(prompt)
        self.banks = [(cache.keys[n].clone(), cache.values[n].clone()) for n in cache.keys]

    def forward(self, b, rows):
        banks = [(k.expand(b, -1, -1, -1), v.expand(b, -1, -1, -1)) for k, v in self.banks]
        return {"self": [Extra(k, v) for k, v in banks]}


def test_a_prefix_made_of_a_real_prompt_is_that_prompt():
    """Door 2: masks, positions, layout and cache at once, plain, padded and packed."""
    gpt, prompt, ids = model(), [3, 14, 15, 9, 2], tokens(2, 8)
    joined = torch.cat([torch.tensor([prompt]).expand(2, -1), ids], dim=1)
    want = gpt(joined)[:, 5:]
    gpt.prefix = RealPrefix(gpt, prompt)
    torch.testing.assert_close(gpt(ids), want, rtol=1e-4, atol=1e-5)
    mask = torch.arange(8) < torch.tensor([[8], [5]])
    torch.testing.assert_close(gpt(ids, mask=mask)[mask], want[mask], rtol=1e-4, atol=1e-5)
    left = gpt(ids.roll(3, 1), mask=(torch.arange(8) >= 3).expand(2, 8))[:, 3:]
    torch.testing.assert_close(left, want[:, :5], rtol=1e-4, atol=1e-5)
    documents = torch.tensor([[0] * 8 + [1] * 8])
    both = gpt(ids.view(1, 16), documents=documents)
    positions = torch.arange(8).repeat(2)[None]
    assert torch.equal(gpt(ids.view(1, 16), documents=documents, positions=positions), both)
    torch.testing.assert_close(both[0], want.flatten(0, 1), rtol=1e-4, atol=1e-5)


def test_the_cache_holds_a_prefix_once():
    """Decoding behind a prefix equals the whole pass, and length = p + t."""
    gpt, ids = model(), tokens(2, 6)
    gpt.prefix = RealPrefix(gpt, [3, 14, 15])
    whole, cache = gpt(ids), gpt.new_cache(6)
    with torch.no_grad():
        parts = [gpt(ids[:, n : n + 1], cache=cache) for n in range(6)]
    assert cache.length == 3 + 6
    torch.testing.assert_close(torch.cat(parts, dim=1), whole, rtol=1e-4, atol=1e-5)


def test_an_adapter_stands_before_the_residual_add():
    """Door 3: it gets the sub-layer's output and input; zero output leaves the residual alone."""
    gpt, seen = model(), []

    class Spy(nn.Module):
        def forward(self, output, input):
            seen.append((output, input))
            return torch.zeros_like(output)

    block = gpt.blocks[1]
    block.after_attention = Spy()
    x = torch.randn(2, 5, 12)
    got = block(x, causal=True)
    torch.testing.assert_close(seen[0][1], block.norm1(x))
    torch.testing.assert_close(seen[0][0], block.attention(block.norm1(x), causal=True))
    torch.testing.assert_close(got, x + block.feedforward(block.norm2(x)))


def test_a_module_reads_the_context_of_its_batch():
    """Rows and pool are set during the pass, a recomputed one too, and gone after it."""
    gpt, ids, seen = model(), tokens(2, 5), []

    class Reader(nn.Module):
        def forward(self, output, input):
            seen.append(gpt.context.now)
            return output

    gpt.blocks[0].after_attention = Reader()
    gpt.checkpoint_activations = True
    rows, pool = torch.tensor([1, 0]), torch.arange(5).expand(2, 5) < 2
    gpt(ids, rows=rows, pool=pool).sum().backward()
    assert len(seen) == 2 and seen[0] is seen[1]
    assert seen[0].rows is rows and seen[0].pool is pool and seen[0].start == 0
    assert gpt.context.now.rows is None


@pytest.mark.parametrize("side", ["left", "right"])
def test_the_classifier_reads_the_last_real_token(side):
    """Padding on either side leaves the scores unchanged, and the summed loss is torch's."""
    classifier, ids = TextClassifier(model(), 4), tokens(3, 9)
    real = torch.arange(9) >= torch.tensor([[0], [2], [5]])
    mask = real if side == "left" else real.flip(1)
    want = torch.cat([classifier(ids[n : n + 1, mask[n]]) for n in range(3)])
    torch.testing.assert_close(classifier(ids, mask=mask), want, rtol=1e-4, atol=1e-5)
    assert last_real(mask).tolist() == ([8, 8, 8] if side == "left" else [8, 6, 3])
    labels = torch.tensor([0, 3, 1])
    batch = SimpleNamespace(ids=ids, mask=mask, labels=labels)
    torch.testing.assert_close(
        classifier.loss(batch), F.cross_entropy(want, labels, reduction="sum"), rtol=1e-4, atol=1e-5
    )


def test_what_a_cache_cannot_hold_is_refused():
    """Packed texts behind a filled cache, a memory beside one, and more slots than it has."""
    gpt, ids = model(), tokens(1, 4)
    cache = gpt.new_cache(8)
    with torch.no_grad():
        gpt(ids, cache=cache)
    with pytest.raises(ValueError, match="one text a row"):
        gpt(ids, cache=cache, documents=torch.tensor([[0, 0, 1, 1]]))
    with pytest.raises(ValueError, match="room for 8 slots cannot hold 9"), torch.no_grad():
        gpt(tokens(1, 5), cache=cache)
    x = torch.randn(1, 2, 12)
    with pytest.raises(ValueError, match="not those of a memory"):
        gpt.blocks[0].attention(x, x, cache=cache)
