"""The metrics: values worked out by hand, and slow specifications that follow the definitions."""

import math
import random

import pytest

from minift import metrics

WORDS = "the cat sat on a mat The 天 气 天气很好 气mat mat, 12 ".split(" ")


def random_sentence(draw, longest=9):
    return " ".join(draw.choice(WORDS) for _ in range(draw.randrange(longest + 1)))


def random_corpus(seed, size=7):
    """Hypotheses, some empty, some that are a reference, and one to three references for each."""
    draw = random.Random(seed)
    references = [[random_sentence(draw) for _ in range(draw.randrange(1, 4))] for _ in range(size)]
    hypotheses = [draw.choice([random_sentence(draw), r[0] + " cat", ""]) for r in references]
    return hypotheses, references


def slow_words(text):
    """Characters one by one: a Han character ends a word and is one."""
    words, word = [], ""
    for character in text + " ":
        han = "一" <= character <= "鿿"
        if han or character.isspace():
            words += [word] * (word != "") + [character] * han
            word = ""
        else:
            word += character
    return words


def runs(words, n):
    return [words[i : i + n] for i in range(len(words) - n + 1)]


def slow_bleu(hypotheses, references):
    """Papineni et al. by loops: every n-gram is looked up in every reference."""
    matched, total, length, wanted_length = [0] * 5, [0] * 5, 0, 0
    for hypothesis, several in zip(hypotheses, references, strict=True):
        words, wanted = slow_words(hypothesis), [slow_words(text) for text in several]
        length += len(words)
        nearest = sorted((abs(len(r) - len(words)), len(r)) for r in wanted)
        wanted_length += nearest[0][1]
        for n in range(1, 5):
            mine = runs(words, n)
            total[n] += len(mine)
            different = [g for i, g in enumerate(mine) if g not in mine[:i]]
            for gram in different:
                matched[n] += min(mine.count(gram), max(runs(r, n).count(gram) for r in wanted))
    if sum(matched) == 0 or min(total[1:]) == 0:
        return 0.0
    product, zeros = 1.0, 0
    for n in range(1, 5):
        zeros += matched[n] == 0
        product *= matched[n] / total[n] if matched[n] else 1 / (2**zeros * total[n])
    penalty = 1.0 if length >= wanted_length else math.exp(1 - wanted_length / length)
    return 100 * penalty * product**0.25


def test_bleu_by_hand():
    """Six of seven words right: p = 6/7, 4/6, 2/5, 1/4 and no brevity penalty."""
    got = metrics.bleu(["the cat sat on the red mat"], [["the cat sat on a red mat"]])
    assert got == pytest.approx(100 * (6 / 7 * 4 / 6 * 2 / 5 * 1 / 4) ** 0.25, abs=1e-9)


def test_bleu_of_perfect_and_of_useless_texts():
    """100 for the reference itself; 0 where nothing matches, nothing is said, or all is short."""
    text = "the cat sat on the mat"
    assert metrics.bleu([text], [[text]]) == pytest.approx(100, abs=1e-9)
    assert metrics.bleu(["dogs run far away"], [[text]]) == 0
    assert metrics.bleu([""], [[text]]) == 0
    assert metrics.bleu(["the cat sat"], [["the cat sat"]]) == 0


def test_bleu_is_brief_against_the_nearest_reference():
    """Four words against five and three: on a tie the shorter reference is taken, no penalty."""
    five, three = "a b c d e", "a b c"
    assert metrics.bleu(["a b c d"], [[five, three]]) == pytest.approx(100, abs=1e-9)
    assert metrics.bleu(["a b c d"], [[five]]) == pytest.approx(100 * math.exp(-1 / 4), abs=1e-9)


def test_bleu_clips_each_word_by_the_reference_that_has_most():
    """Papineni's example: of seven "the" two count, and zeros are smoothed by 2, 4, 8."""
    got = metrics.bleu(["the " * 7], [["the cat is on the mat", "there is a cat on the mat"]])
    assert got == pytest.approx(100 * (2 / 7 / (2 * 6) / (4 * 5) / (8 * 4)) ** 0.25, abs=1e-9)


def test_bleu_of_chinese_is_by_character():
    """Chinese needs no white space: 今天天气很好 has six words, and spaces change nothing."""
    got = metrics.bleu(["今天天气很好"], [["今天天气不好"]])
    assert got == pytest.approx(100 * (5 / 6 * 3 / 5 * 2 / 4 * 1 / 3) ** 0.25, abs=1e-9)
    assert got == metrics.bleu(["今 天天气 很好"], [["今天 天气不好"]])


@pytest.mark.parametrize("seed", range(40))
def test_bleu_is_the_slow_specification(seed):
    """Several references, empty texts, both scripts: the loops of the definition give the same."""
    hypotheses, references = random_corpus(seed)
    got = metrics.bleu(hypotheses, references)
    assert got == pytest.approx(slow_bleu(hypotheses, references), abs=1e-9)


def test_bleu_counts_over_the_corpus():
    """Corpus BLEU pools the counts; it is not the mean of the sentences' scores."""
    hypotheses, references = ["a b c d", "a b x y z"], [["a b c d"], ["a b c d e"]]
    pooled = (6 / 9 * 4 / 7 * 2 / 5 * 1 / 3) ** 0.25
    assert metrics.bleu(hypotheses, references) == pytest.approx(100 * pooled, abs=1e-9)


def test_rouge_by_hand():
    """Six words against five: 3 words, 2 pairs and 3 in order are common; case and marks go."""
    got = metrics.rouge(["The cat-cat sat, 12 mats"], [["the cat sat on mat."]])
    want = {"rouge1": 2 * 3 / (6 + 5), "rouge2": 2 * 2 / (5 + 4), "rougeL": 2 * 3 / (6 + 5)}
    assert got == pytest.approx(want, abs=1e-12)


def test_rouge_takes_the_best_reference_for_each_number():
    """The best reference for the words need not be the best for the order; the mean is plain."""
    got = metrics.rouge(["a b c", "x"], [["c b a", "a b z"], ["y"]])
    assert got == pytest.approx({"rouge1": 1 / 2, "rouge2": 1 / 4, "rougeL": 1 / 3}, abs=1e-12)


def test_rouge_of_chinese_is_by_character():
    """Han characters are words; accented letters and punctuation separate, as in rouge-score."""
    assert metrics.ROUGE_WORD.findall("天气good，café 3") == ["天", "气", "good", "caf", "3"]
    got = metrics.rouge(["今天很冷"], [["今天不冷"]])
    want = {"rouge1": 3 / 4, "rouge2": 1 / 3, "rougeL": 3 / 4}
    assert got == pytest.approx(want, abs=1e-12)


def test_rouge_of_nothing_is_zero():
    """Empty hypotheses and references give 0, not an error, and one word has no pair."""
    zero = {"rouge1": 0, "rouge2": 0, "rougeL": 0}
    assert metrics.rouge([""], [["a b"]]) == zero == metrics.rouge(["a b"], [["…"]])
    assert metrics.rouge(["a"], [["a"]]) == {"rouge1": 1, "rouge2": 0, "rougeL": 1}


def longest_by_trial(left, right):
    """The longest common subsequence, by trying to leave each first word out."""
    if not left or not right:
        return 0
    if left[0] == right[0]:
        return 1 + longest_by_trial(left[1:], right[1:])
    return max(longest_by_trial(left[1:], right), longest_by_trial(left, right[1:]))


@pytest.mark.parametrize("seed", range(20))
def test_rouge_is_the_slow_specification(seed):
    """One reference, short texts: shares of common runs and of the subsequence found by trial."""
    draw = random.Random(seed)
    left, right = ([draw.choice("abc") for _ in range(draw.randrange(1, 8))] for _ in range(2))
    got = metrics.rouge([" ".join(left)], [[" ".join(right)]])
    for name, n in (("rouge1", 1), ("rouge2", 2)):
        mine, theirs = runs(left, n), runs(right, n)
        common = sum(
            min(mine.count(g), theirs.count(g)) for g in {tuple(g): g for g in mine}.values()
        )
        assert got[name] == pytest.approx(2 * common / max(1, len(mine) + len(theirs)), abs=1e-12)
    want = 2 * longest_by_trial(left, right) / (len(left) + len(right))
    assert got["rougeL"] == pytest.approx(want, abs=1e-12)


def test_accuracy_and_exact_match_by_hand():
    """Shares of right ones; a text may be any of its references, spaces at the ends apart."""
    assert metrics.accuracy([1, 0, 2, 1], [1, 1, 2, 0]) == 1 / 2
    got = metrics.exact_match([" a b\n", "c", "D"], [["x", "a b"], ["c "], ["d"]])
    assert got == pytest.approx(2 / 3, abs=1e-12)


def test_macro_f1_by_hand():
    """F of a is 4/5, of b 2/3, of c (only predicted) and d (only a label) 0; all weigh the same."""
    predictions, labels = ["a", "b", "c", "b", "a"], ["a", "b", "a", "d", "a"]
    want = (4 / 5 + 2 / 3 + 0 + 0) / 4
    assert metrics.macro_f1(predictions, labels) == pytest.approx(want, abs=1e-12)
    assert metrics.macro_f1([3, 3], [3, 3]) == 1


@pytest.mark.parametrize("seed", range(10))
def test_macro_f1_is_the_definition(seed):
    """Precision and recall of each class counted by loops; a class never seen has no part."""
    draw = random.Random(seed)
    labels, predictions = ([draw.choice([0, 1, 2, 5]) for _ in range(9)] for _ in range(2))
    scores = []
    for c in {*labels, *predictions}:
        right = sum(p == c == t for p, t in zip(predictions, labels, strict=True))
        precision = right / max(1, predictions.count(c))
        recall = right / max(1, labels.count(c))
        scores.append(2 * precision * recall / (precision + recall) if right else 0)
    want = sum(scores) / len(scores)
    assert metrics.macro_f1(predictions, labels) == pytest.approx(want, abs=1e-12)


def test_perplexity_by_hand():
    """A uniform guess among 50 has perplexity 50; a certainty 1; a hopeless model infinity."""
    assert metrics.perplexity(7 * math.log(50), 7) == pytest.approx(50)
    assert metrics.perplexity(0.0, 3) == 1
    assert metrics.perplexity(1e6, 1) == math.inf


def test_distinct_by_hand():
    """Runs never cross texts; Chinese by character; too short a text has none."""
    assert metrics.distinct(["a b a b", "a b"], 1) == 2 / 6
    assert metrics.distinct(["a b a b", "a b"], 2) == 2 / 4
    assert metrics.distinct(["天气天气"], 2) == 2 / 3
    assert metrics.distinct(["a", ""], 2) == 0 == metrics.distinct([], 1)


@pytest.mark.parametrize("metric", [metrics.bleu, metrics.rouge, metrics.exact_match])
def test_wrong_references_are_one_line(metric):
    """Unequal counts, none at all, a text in place of a list: the entry and what was expected."""
    with pytest.raises(ValueError, match="^hypotheses and references: 1 and 2 entries; expected"):
        metric(["a"], [["a"], ["b"]])
    with pytest.raises(ValueError, match="^hypotheses and references: 0 and 0 entries; expected"):
        metric([], [])
    for wrong in ("b", [], ()):
        with pytest.raises(ValueError, match=r"^references\[1\]: expected a list of at least one"):
            metric(["a", "b"], [["a"], wrong])


def test_wrong_labels_and_counts_are_one_line():
    """Unequal lengths, and a mean over nothing."""
    for metric in (metrics.accuracy, metrics.macro_f1):
        with pytest.raises(ValueError, match="^predictions and labels: 2 and 1 entries; expected"):
            metric([1, 2], [1])
        with pytest.raises(ValueError, match="^predictions and labels: 0 and 0 entries; expected"):
            metric([], [])
    with pytest.raises(ValueError, match="^tokens: 0; expected at least 1$"):
        metrics.perplexity(1.0, 0)


@pytest.mark.parametrize(
    ("answer", "references", "want"),
    (
        ("Tom bought 3 hats.", ["Tom bought 3 hats.", "3 hats were bought by Tom."], 1.0),
        ("3 hats, by Tom, bought!", ["Tom bought 3 hats.", "3 hats were bought by Tom."], 1.0),
        ("Tom bought 4 hats.", ["Tom bought 3 hats.", "3 hats were bought by Tom."], 0.0),
        ("Tim bought 3 hats.", ["Tom bought 3 hats."], 0.0),
        ("A pub.", ["It is a pub.", "This pub!"], 1.0),
        ("汤姆的三顶帽子", ["汤姆有三顶帽子。", "三顶帽子是汤姆的。"], 1.0),
        ("汤姆有两顶帽子。", ["汤姆有三顶帽子。", "三顶帽子是汤姆的。"], 0.0),
    ),
)
def test_complete_asks_for_what_all_references_share(answer, references, want):
    """Wording and little words are free; a name or number that every reference has is not."""
    assert metrics.complete([answer], [references]) == want


def test_complete_is_the_share_of_texts():
    """One of two texts says what its references share."""
    assert metrics.complete(["a red hat", "a cup"], [["the red hat"], ["the blue cup"]]) == 0.5
