"""The closed world of the course, told in English and Chinese: corpus and task files."""

from pathlib import Path

DATA = Path(__file__).resolve().parents[1]
LANGUAGES = ("en", "zh")
