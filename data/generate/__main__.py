"""Write the task files of data/ (python -m data.generate), the pretraining corpus to a file
(python -m data.generate corpus --out out/corpus.jsonl), the texts with which pretraining begins
(python -m data.generate first), or figures and rows of a task to read (… report --task qa)."""

import argparse
from pathlib import Path

from data.generate import DATA, report
from data.generate.corpus import corpus, first, write_corpus
from data.generate.tasks import TASKS, write_all


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m data.generate", description=__doc__)
    parser.add_argument(
        "what", nargs="?", choices=("tasks", "corpus", "first", "report"), default="tasks"
    )
    parser.add_argument(
        "--out", type=Path, help="folder of the tasks or file of the corpus (.txt or .jsonl)"
    )
    parser.add_argument("--documents", type=int, default=120_000, metavar="N")
    parser.add_argument("--seed", type=int, default=1, help="of the corpus; tasks have their own")
    parser.add_argument("--task", choices=list(TASKS), help="the one to report on (default: all)")
    parser.add_argument("--rows", type=int, default=20, help="of the report, drawn at random")
    options = parser.parse_args()
    if options.what == "tasks":
        write_tasks(options.out or DATA)
    elif options.what == "report":
        for task in [options.task] if options.task else TASKS:
            print(report.tell(DATA, task, options.rows if options.task else 0))
    else:
        out = options.out or DATA.parent / "out" / f"{options.what}.jsonl"
        out.parent.mkdir(parents=True, exist_ok=True)
        made = {"corpus": corpus, "first": first}[options.what]
        write_corpus(out, made(options.seed, options.documents))
        print(f"{out.name}  {out.stat().st_size:,} bytes")


def write_tasks(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for path in write_all(folder):
        print(f"{path.name}  {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
