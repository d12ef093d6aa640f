"""Write the task files of data/ (python -m data.generate), or the pretraining corpus to a file
(python -m data.generate corpus --out out/corpus.jsonl --documents 40000)."""

import argparse
from pathlib import Path

from data.generate import DATA
from data.generate.corpus import corpus, write_corpus
from data.generate.tasks import write_all


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m data.generate", description=__doc__)
    parser.add_argument("what", nargs="?", choices=("tasks", "corpus"), default="tasks")
    parser.add_argument(
        "--out", type=Path, help="folder of the tasks or file of the corpus (.txt or .jsonl)"
    )
    parser.add_argument("--documents", type=int, default=40_000, metavar="N")
    parser.add_argument("--seed", type=int, default=1, help="of the corpus; tasks have their own")
    options = parser.parse_args()
    if options.what == "tasks":
        folder = options.out or DATA
        folder.mkdir(parents=True, exist_ok=True)
        for path in write_all(folder):
            print(f"{path.name}  {path.stat().st_size:,} bytes")
    else:
        out = options.out or DATA.parent / "out" / "corpus.jsonl"
        out.parent.mkdir(parents=True, exist_ok=True)
        write_corpus(out, corpus(options.seed, options.documents))
        print(f"{out.name}  {out.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
