"""The progress line: silent at first, one line on a terminal, plain lines elsewhere."""

import io

import pytest

from minift.progress import Progress, clock_text


class Terminal(io.StringIO):
    def isatty(self):
        return True


def watched(stream, total=60, first=0, quiet=False):
    """[(second, what was written then)] of a run of one step a second."""
    now, written = [100.0], []
    progress = Progress(total, first=first, quiet=quiet, stream=stream, clock=lambda: now[0])
    for done in range(first + 1, total + 1):
        now[0] += 1.0
        before = stream.tell()
        progress.update(done, "loss 2.5")
        if text := stream.getvalue()[before:]:
            written.append((done - first, text))
    progress.close()
    return written


def test_a_run_of_five_seconds_says_nothing():
    """Under five seconds neither a terminal nor a file gets a character."""
    for stream in (io.StringIO(), Terminal()):
        assert watched(stream, total=4) == [] and stream.getvalue() == ""


def test_a_file_gets_a_line_every_ten_seconds():
    """From the fifth second on, whole lines with the time left, never a carriage return."""
    stream = io.StringIO()
    written = watched(stream)
    assert [second for second, _ in written] == [5, 15, 25, 35, 45, 55]
    assert written[0][1] == "step 5/60  loss 2.5  0:55 left\n"
    assert "\r" not in stream.getvalue()


def test_a_terminal_gets_one_line_that_is_rewritten():
    """Every update starts at the left edge and clears the rest; only the end is a line end."""
    stream = Terminal()
    written = watched(stream)
    assert all(text.startswith("\r") and text.endswith("\x1b[K") for _, text in written)
    assert stream.getvalue().count("\n") == 1 and stream.getvalue().endswith("\n")


def test_the_time_left_counts_only_this_process():
    """Resumed at step 40, a pace of a step a second leaves 15 seconds at step 45."""
    written = watched(io.StringIO(), first=40)
    assert written[0] == (5, "step 45/60  loss 2.5  0:15 left\n")


def test_quiet_is_quiet():
    """quiet=True writes nothing, however long it takes."""
    stream = Terminal()
    assert watched(stream, quiet=True) == [] and stream.getvalue() == ""


@pytest.mark.parametrize(
    "seconds, text", [(0, "0:00"), (59.6, "1:00"), (90, "1:30"), (3700, "1:01:40"), (-2, "0:00")]
)
def test_clock_text(seconds, text):
    """Seconds as a clock shows them, hours only where there are some."""
    assert clock_text(seconds) == text
