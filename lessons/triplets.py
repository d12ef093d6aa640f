"""What lesson 06 counts of AdaLoRA's triplets: who lives, who came back, where, how orthogonal."""

import statistics

import torch

from minift.peft import adalora


def alive(model):
    """Which triplets add something, of all layers in the model's order (l*r)."""
    return torch.cat([layer.lam.detach() != 0 for layer in adalora.layers_of(model)])


def came_back(seen):
    """How many triplets came back from the dead, each counted once; `seen` is a row a step."""
    rows = torch.stack(seen)
    return int((rows[1:] & ~rows[:-1]).any(0).sum())


def gap(model):
    """R of equation (3) for each vector, P's columns and Q's rows: 0 if they are orthonormal."""
    vectors = 2 * sum(len(layer.lam) for layer in adalora.layers_of(model))
    return adalora.orthogonality(model).item() / vectors


def overlap(model):
    """The mean |cosine| of two different columns of one P, or rows of one Q."""
    found = []
    for layer in adalora.layers_of(model):
        for vectors in (layer.P.detach().T, layer.Q.detach()):
            unit = torch.nn.functional.normalize(vectors, dim=1)
            cosines = (unit @ unit.T).abs()  # (r, r)
            upper = torch.triu(torch.ones_like(cosines), diagonal=1) == 1
            found.append(cosines[upper])
    pairs = torch.cat(found)
    return pairs.mean().item() if len(pairs) else 0.0


def as_map(ranks):
    """{"blocks.0.attention.q_proj": 2, …} as a matrix: a row a block, a column a kind of matrix."""
    kinds = adalora.EVERY_MATRIX
    blocks = 1 + max(int(path.split(".")[1]) for path in ranks)
    found = torch.zeros(blocks, len(kinds))
    for path, rank in ranks.items():
        found[int(path.split(".")[1]), kinds.index(path.rpartition(".")[2])] = rank
    return found


def agreement(maps):
    """The correlation of each map with the mean of the others: 1 if all seeds choose alike."""
    found = []
    for n, one in enumerate(maps):
        others = torch.stack(maps[:n] + maps[n + 1 :]).mean(0)
        both = torch.stack([one.flatten(), others.flatten()])
        found.append(torch.corrcoef(both)[0, 1].item())
    return found


def by_chance(maps, draws=400):
    """The mean agreement that shuffled maps reach in one of 40 draws: more than it is no chance."""
    noise, found = torch.Generator().manual_seed(0), []
    for _ in range(draws):
        mixed = [one.flatten()[torch.randperm(one.numel(), generator=noise)] for one in maps]
        found.append(statistics.fmean(agreement(mixed)))
    return statistics.quantiles(found, n=40)[-1]
