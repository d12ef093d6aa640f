"""How a lesson states what it found: shown, or not shown, with the effect it could have seen."""

import statistics

from lessons import settings

# 97.5 % points of Student's t for 1 to 9 degrees of freedom; the last one serves for more, too
T = [12.71, 4.30, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26]


def state(words, holds):
    """A claim with a margin that leaves chance no part: it holds, or the lesson stops here.

    A fast run learns nothing, and a file of your own may be another story: these only report.
    """
    if not holds and not settings.FAST and not settings.DATA:
        raise AssertionError(f"{words}: this is not what was measured")
    verdict = "shown" if holds else "not shown in this run"
    print(f"{'a fast run finds nothing' if settings.FAST else verdict}: {words}")


def judge(words, differences, digits=3):
    """A sentence: do these differences lie above zero, on average and beyond chance?

    The interval is Student's, 95 %; below three differences there is none.
    """
    n = len(differences)
    if settings.FAST:
        return f"a fast run finds nothing: {words}"
    if n < 3:
        return f"not shown: {words}: it takes three seeds, there are {n}"
    mean, sd = statistics.fmean(differences), statistics.stdev(differences)
    visible = T[min(n - 2, len(T) - 1)] * sd / n**0.5
    found = f"{mean:+.{digits}f} ± {sd:.{digits}f} (mean ± sd of {n})"
    if abs(mean) > visible:
        return f"{'shown' if mean > 0 else 'the opposite is seen here'}: {words}: {found}"
    least = f"an effect below {visible:.{digits}f} would not be seen"
    return f"not shown at this scale: {words}: {found}; {least}"


def against(rows, name, words, left, right, digits=3):
    """`judge` of a result of a sweep in the setting `left` minus `right`, seed by seed."""

    def by_seed(setting):
        chosen = [row for row in rows if setting.items() <= row["setting"].items()]
        return {row["setting"]["seed"]: row["result"][name] for row in chosen}

    left, right = by_seed(left), by_seed(right)
    differences = [left[seed] - right[seed] for seed in sorted(left.keys() & right.keys())]
    return judge(words, differences, digits)
