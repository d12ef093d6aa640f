"""Times that can be compared: the candidates take turns, so that a busy moment slows them alike."""

import statistics
import time


def take_turns(calls, rounds, warm=3):
    """{name: [milliseconds of each round]} of the functions in `calls`, called in turns."""
    times = {name: [] for name in calls}
    order = list(calls)
    for turn in range(warm + rounds):
        for name in order[turn % len(order) :] + order[: turn % len(order)]:
            start = time.perf_counter()
            calls[name]()
            if turn >= warm:
                times[name].append(1000 * (time.perf_counter() - start))
    return times


def surcharge(times, name, base="base"):
    """How much more time than the base a candidate takes, as a share, round by round."""
    return [mine / plain - 1 for mine, plain in zip(times[name], times[base], strict=True)]


def ratios(times, name, base="base"):
    """(median, lower and upper quartile) of a candidate's time over the base's."""
    lower, median, upper = statistics.quantiles(surcharge(times, name, base), n=4)
    return 1 + median, 1 + lower, 1 + upper
