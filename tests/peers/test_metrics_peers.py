"""BLEU is sacrebleu's and ROUGE is rouge-score's, on random sentences of English and Chinese."""

import itertools
import random

import pytest
import sacrebleu
from rouge_score import rouge_scorer

from minift import metrics

NEAR = 1e-6
ENGLISH = "the cat Cat sat on a mat, mat. don't 12 3.5 café <eos> — ".split(" ")
CHINESE = [*"今天天气很好不冷，。二〇", "NLP，", "mat", "12"]


def random_text(draw, words, between):
    return between.join(draw.choice(words) for _ in range(draw.randrange(14)))


def random_corpus(seed, words, between=" ", size=12):
    """Hypotheses (some empty, some close to a reference) and one to four references for each."""
    draw = random.Random(seed)
    hypotheses, references = [], []
    for _ in range(size):
        several = [random_text(draw, words, between) for _ in range(draw.randrange(1, 5))]
        near = several[0] + between + random_text(draw, words, between)
        hypotheses.append(draw.choice([near, random_text(draw, words, between), several[-1], ""]))
        references.append(several)
    return hypotheses, references


def their_bleu(hypotheses, references):
    """sacrebleu wants the n-th references of all hypotheses together, None where there is none."""
    columns = [list(column) for column in itertools.zip_longest(*references)]
    return sacrebleu.corpus_bleu(hypotheses, columns, tokenize="none", force=True).score


def separated(text):
    """Each character of the CJK block with white space around it, as a separate definition."""
    return "".join(f" {c} " if "一" <= c <= "鿿" or c == "〇" else c for c in text)


@pytest.mark.parametrize("seed", range(60))
def test_bleu_of_english(seed):
    """Corpus BLEU with ragged references, for corpora of one to twelve sentences."""
    hypotheses, references = random_corpus(seed, ENGLISH, size=1 + seed % 12)
    got = metrics.bleu(hypotheses, references)
    assert got == pytest.approx(their_bleu(hypotheses, references), abs=NEAR)


@pytest.mark.parametrize("seed", range(30))
def test_bleu_of_chinese(seed):
    """Chinese without white space has the score of the same text separated by hand."""
    hypotheses, references = random_corpus(seed, CHINESE, between="")
    want = their_bleu(
        [separated(text) for text in hypotheses],
        [[separated(text) for text in several] for several in references],
    )
    assert metrics.bleu(hypotheses, references) == pytest.approx(want, abs=NEAR)


@pytest.mark.parametrize("longest", [1, 2, 3])
def test_bleu_of_shorter_runs(longest):
    """`longest` is sacrebleu's max_ngram_order."""
    hypotheses, references = random_corpus(7, ENGLISH)
    columns = [list(column) for column in itertools.zip_longest(*references)]
    theirs = sacrebleu.BLEU(tokenize="none", max_ngram_order=longest, force=True)
    want = theirs.corpus_score(hypotheses, columns).score
    assert metrics.bleu(hypotheses, references, longest) == pytest.approx(want, abs=NEAR)


class Characters:
    """A tokenizer for rouge-score: its own words, and each Han character, which it leaves out."""

    def tokenize(self, text):
        spelt = "".join(f" z{ord(c)}z " if "一" <= c <= "鿿" or c == "〇" else c for c in text)
        return rouge_scorer.tokenizers.DefaultTokenizer().tokenize(spelt)


def their_rouge(hypotheses, references, tokenizer=None):
    names = ["rouge1", "rouge2", "rougeL"]
    scorer = rouge_scorer.RougeScorer(names, use_stemmer=False, tokenizer=tokenizer)
    rows = [
        scorer.score_multi(several, text)
        for text, several in zip(hypotheses, references, strict=True)
    ]
    return {name: sum(row[name].fmeasure for row in rows) / len(rows) for name in names}


@pytest.mark.parametrize("seed", range(60))
def test_rouge_of_english(seed):
    """ROUGE-1, -2 and -L, the best of several references by F."""
    hypotheses, references = random_corpus(seed, ENGLISH)
    got = metrics.rouge(hypotheses, references)
    assert got == pytest.approx(their_rouge(hypotheses, references), abs=NEAR)


@pytest.mark.parametrize("seed", range(30))
def test_rouge_of_chinese(seed):
    """rouge-score, told that Han characters are words, gives what is given here."""
    hypotheses, references = random_corpus(seed, CHINESE, between="")
    got = metrics.rouge(hypotheses, references)
    want = their_rouge(hypotheses, references, Characters())
    assert got == pytest.approx(want, abs=NEAR)


def test_rouge_of_chinese_is_zero_there():
    """Why this differs from rouge-score out of the box: it sees nothing in 今天天气很好."""
    text = "今天天气很好"
    assert set(their_rouge([text], [[text]]).values()) == {0.0}
    assert set(metrics.rouge([text], [[text]]).values()) == {1.0}
