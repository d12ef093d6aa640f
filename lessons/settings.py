"""What a lesson may be told from outside, read from the environment when a lesson imports it.

    MINIFT_FAST=1      the CI version: seconds instead of minutes, and nothing is learned in them
    MINIFT_DATA=FILE   a file of your own in place of the lesson's data

`python -m lessons 05 --fast --data FILE` sets both; a lesson run as a plain script, or cell by cell
in an editor, needs neither.
"""

import os

from minift import ROOT

FAST = os.environ.get("MINIFT_FAST", "0") != "0"
DATA = os.environ.get("MINIFT_DATA") or None
RESULTS = ROOT / "lessons" / "results"


def out(number):
    """The folder for a lesson's figures and deltas, out/lessonNN."""
    folder = ROOT / "out" / f"lesson{number}"
    folder.mkdir(parents=True, exist_ok=True)
    return folder
