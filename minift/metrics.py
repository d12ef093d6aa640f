r"""How good texts, labels and probabilities are: each number's formula, and what it is equal to.

    BLEU = 100 · B · (p₁ p₂ p₃ p₄)^¼                                  (1)
    B = min(1, exp(1 − R / H))                                        (2)
    pₙ = Mₙ / Tₙ, or 1 / (2ᵏ Tₙ) where Mₙ is the k-th that is zero    (3)

H and R are the words of all hypotheses and of their references, of several references the one
nearest in length (the shorter on a tie); Tₙ counts the hypotheses' n-grams and Mₙ those that a
reference has too, each at most as often as the reference that has it most often. BLEU is 0 where
nothing matches, or no hypothesis has four words (Papineni et al. 2002; as sacrebleu 2.6.0,
`tokenize="none"`: words are what white space separates, but each Han character is one here).

    F = 2 P Q / (P + Q)                                               (4)

ROUGE-1 and -2 (Lin 2004): P and Q are the shares of the hypothesis' and of the reference's n-grams
that the other has too; ROUGE-L: of their words in the longest common subsequence. The best of
several references counts; the mean over hypotheses is reported, from 0 to 1. Words are runs of
[a-z0-9] in lower case (rouge-score without stemmer), and, beyond it, each Han character.

    accuracy = right / all                                            (5)
    F_c = 2 TP_c / (2 TP_c + FP_c + FN_c)                             (6)
    macro-F1 = the mean of F_c                                        (7)

over the classes c that are a label or a prediction at least once; others have no F_c to speak of.

    perplexity = exp(total negative log-likelihood / tokens)          (8)
    distinct-n = different n-grams / all n-grams of all texts         (9)
    complete = texts that hold all of K / all texts                   (10)

K are the words that every reference of a text has, little words (`LITTLE`) apart: what no right
answer can do without, such as its names and numbers. BLEU forgives a wrong name, this does not.
"""

import math
import re
import statistics
from collections import Counter

from minift.tokenizer import HAN

HAN_CHARACTER = re.compile(f"([{HAN}])")
ROUGE_WORD = re.compile(f"[a-z0-9]+|[{HAN}]")
LITTLE = "a an the and or but so as of in on at to by for from with into it its is are was were be"
LITTLE += " been has have had do does did that this these those there he she his her they their who"
LITTLE = frozenset(LITTLE.split()) | frozenset("的了是在有和与也都就而及着过地得这那一个")


def spaced_words(text):
    """What white space separates, and each Han character by itself."""
    return HAN_CHARACTER.sub(r" \1 ", text).split()


def ngrams(words, n):
    """How often each run of n words occurs."""
    return Counter(tuple(words[i : i + n]) for i in range(len(words) - n + 1))


def check_pairs(left, right, what):
    """Both lists hold one entry an example, and there is an example."""
    if not len(left) or len(left) != len(right):
        lengths = f"{len(left)} and {len(right)} entries"
        raise ValueError(f"{what}: {lengths}; expected as many of each, at least one")


def check_references(hypotheses, references):
    """Each hypothesis has a list of references, at least one."""
    check_pairs(hypotheses, references, "hypotheses and references")
    for i, several in enumerate(references):
        if isinstance(several, str) or not len(several):
            raise ValueError(f"references[{i}]: expected a list of at least one text")


def bleu(hypotheses, references, longest=4):
    """Corpus BLEU, 0 to 100. `references` has a list of texts for each hypothesis."""
    check_references(hypotheses, references)
    matched, total = [0] * longest, [0] * longest
    length, wanted_length = 0, 0
    for hypothesis, several in zip(hypotheses, references, strict=True):
        words, wanted = spaced_words(hypothesis), [spaced_words(text) for text in several]
        length += len(words)
        wanted_length += min(map(len, wanted), key=lambda n: (abs(n - len(words)), n))
        for n in range(1, longest + 1):
            found, allowed = ngrams(words, n), Counter()
            for reference in wanted:
                allowed |= ngrams(reference, n)
            matched[n - 1] += (found & allowed).total()
            total[n - 1] += found.total()
    if not any(matched) or not all(total):
        return 0.0
    penalty = min(1.0, math.exp(1 - wanted_length / length))  # (2)
    return 100 * penalty * statistics.geometric_mean(smoothed_precisions(matched, total))  # (1)


def smoothed_precisions(matched, total):
    """The share of n-grams that match, for each n; a zero is half as much as the last zero was."""
    precisions, smallest = [], 1.0
    for right, all_of_them in zip(matched, total, strict=True):
        if right == 0:
            smallest /= 2
        precisions.append((right or smallest) / all_of_them)  # (3)
    return precisions


def rouge(hypotheses, references):
    """Mean F of ROUGE-1, ROUGE-2 and ROUGE-L, each by its best reference."""
    check_references(hypotheses, references)
    sums = Counter(rouge1=0.0, rouge2=0.0, rougeL=0.0)
    for hypothesis, several in zip(hypotheses, references, strict=True):
        words = ROUGE_WORD.findall(hypothesis.lower())
        wanted = [ROUGE_WORD.findall(text.lower()) for text in several]
        for n in (1, 2):
            sums[f"rouge{n}"] += max(ngram_f(words, reference, n) for reference in wanted)
        sums["rougeL"] += max(subsequence_f(words, reference) for reference in wanted)
    return {name: value / len(hypotheses) for name, value in sums.items()}


def f_score(common, found, wanted):
    """F of `common` right ones among `found` and `wanted`; 0 where nothing is common."""
    if common == 0:
        return 0.0
    precision, recall = common / found, common / wanted
    return 2 * precision * recall / (precision + recall)  # (4)


def ngram_f(words, reference, n):
    """F of the n-grams in common, each as often as both have it."""
    found, wanted = ngrams(words, n), ngrams(reference, n)
    return f_score((found & wanted).total(), found.total(), wanted.total())


def subsequence_f(words, reference):
    """F of the longest common subsequence: words in the same order, gaps allowed."""
    lengths = [0] * (len(reference) + 1)  # lengths[j]: with reference[:j] and the words so far
    for word in words:
        above = lengths
        lengths = [0]
        for j, other in enumerate(reference):
            lengths.append(above[j] + 1 if word == other else max(above[j + 1], lengths[j]))
    return f_score(lengths[-1], len(words), len(reference))


def accuracy(predictions, labels):
    """The share of predictions that are the label."""
    check_pairs(predictions, labels, "predictions and labels")
    right = sum(found == label for found, label in zip(predictions, labels, strict=True))
    return right / len(labels)  # (5)


def macro_f1(predictions, labels):
    """The mean F of the classes, each with the same weight, however rare it is."""
    check_pairs(predictions, labels, "predictions and labels")
    pairs = Counter(zip(predictions, labels, strict=True))
    found, wanted = Counter(predictions), Counter(labels)
    classes = found.keys() | wanted.keys()
    scores = [2 * pairs[c, c] / (found[c] + wanted[c]) for c in classes]  # (6)
    return math.fsum(scores) / len(classes)  # (7)


def exact_match(hypotheses, references):
    """The share of hypotheses that are one of their references, white space at the ends apart."""
    check_references(hypotheses, references)
    right = 0
    for hypothesis, several in zip(hypotheses, references, strict=True):
        right += hypothesis.strip() in {text.strip() for text in several}
    return right / len(hypotheses)


def perplexity(total_nll, tokens):
    """How many equally likely tokens a model hesitates between; infinite beyond all floats."""
    if tokens < 1:
        raise ValueError(f"tokens: {tokens}; expected at least 1")
    try:
        return math.exp(total_nll / tokens)  # (8)
    except OverflowError:
        return math.inf


def distinct(texts, n):
    """How varied texts are, 0 to 1: the share of their n-grams that are not repetitions."""
    counts = Counter()
    for text in texts:
        counts.update(ngrams(spaced_words(text), n))
    return len(counts) / max(1, counts.total())  # (9)


def content_words(text):
    """The words of a text, little ones apart: runs of [a-z0-9] in lower case, Han characters."""
    return set(ROUGE_WORD.findall(text.lower())) - LITTLE


def complete(hypotheses, references):
    """The share of hypotheses that hold every content word which all of their references hold."""
    check_references(hypotheses, references)
    held = [
        content_words(text) >= set.intersection(*map(content_words, several))
        for text, several in zip(hypotheses, references, strict=True)
    ]
    return sum(held) / len(held)  # (10)
