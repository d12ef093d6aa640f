"""The progress line of anything that lasts: what is done, how it goes, how long it will still take.

Nothing is shown in the first five seconds, so short runs stay silent. On a terminal one line is
rewritten in place; into a file or a pipe a plain line goes every ten seconds.
"""

import shutil
import sys
import time

SILENT_SECONDS = 5.0
REWRITE_SECONDS = 0.25
PLAIN_SECONDS = 10.0


def clock_text(seconds):
    """90 -> '1:30', 3700 -> '1:01:40'."""
    minutes, seconds = divmod(max(0, round(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


class Progress:
    """`update(done, text)` as often as you like, `close()` at the end; `first` was done before."""

    def __init__(self, total, unit="step", first=0, quiet=False, stream=None, clock=time.monotonic):
        self.total, self.unit, self.first, self.quiet = total, unit, first, quiet
        self.stream = sys.stderr if stream is None else stream
        self.clock = clock
        self.start = clock()
        self.next = self.start + SILENT_SECONDS
        self.open = False  # True while the cursor stands behind an unfinished line

    def update(self, done, text=""):
        """Show the line, unless it is too early or the last one is too fresh."""
        now = self.clock()
        if self.quiet or now < self.next:
            return
        terminal = self.stream.isatty()
        self.next = now + (REWRITE_SECONDS if terminal else PLAIN_SECONDS)
        line = f"{self.unit} {done}/{self.total}  {text}  {self.left(done, now)}"
        if terminal:
            width = shutil.get_terminal_size().columns - 1
            self.stream.write(f"\r{line[:width]}\x1b[K")
        else:
            self.stream.write(f"{line}\n")
        self.stream.flush()
        self.open = terminal

    def left(self, done, now):
        """'3:20 left', from the pace since the start of this process."""
        if done <= self.first:
            return "time left unknown"
        pace = (now - self.start) / (done - self.first)
        return f"{clock_text(pace * (self.total - done))} left"

    def close(self):
        """End the rewritten line, so that what is printed next starts on its own."""
        if self.open:
            self.stream.write("\n")
            self.stream.flush()
        self.open = False
