"""The course: list it, run a lesson, check a homework, rebuild the long runs of a lesson."""

import minift  # noqa: I001 (first: it quiets OpenMP before torch is loaded)
import argparse
import os
import sys
from importlib import import_module
from pathlib import Path

from lessons import cells, run
from lessons import done as finished

FOLDER = Path(__file__).resolve().parent
USAGE = """python -m lessons                list the course and what is done
       python -m lessons 05             run lesson 05; its figures go to out/lesson05/
       python -m lessons check 05       check your homework, lessons/homework/05_*.py
       python -m lessons sweep 05       rebuild the long runs that lesson 05 reads"""
WORDS = ("check", "sweep")


def parse(arguments):
    """The command line as options; a slip ends with one line and exit code 2."""
    parser = argparse.ArgumentParser("python -m lessons", usage=USAGE)
    parser.add_argument("words", nargs="*", metavar="[check|sweep] NN", help="see above")
    parser.add_argument("--step", action="store_true", help="show each cell, and pause after it")
    parser.add_argument("--data", metavar="FILE", help="run the lesson on a file of yours")
    parser.add_argument("--mine", action="store_true", help="with your homework as the method")
    parser.add_argument("--fast", action="store_true", help="for CI: seconds, and no finding")
    parser.add_argument("--hint", action="store_true", help="check: a longer hint for each slip")
    parser.add_argument("--one", action="store_true", help="sweep: recompute one run, compare")
    return parser.parse_args(arguments)


def homework(number):
    """The homework files of a lesson."""
    return sorted((FOLDER / "homework").glob(f"{number}_*.py"))


def marks(number, state):
    """What the list says of a lesson and of its homework."""
    lesson = "✓ lesson" if number in state["lessons"] else "· lesson"
    if not homework(number):
        return lesson
    return f"{lesson}  {'✓' if number in state['homework'] else '·'} homework"


def print_course(course):
    """The list: number, file, time, what is done, title."""
    state = finished.read()
    rows = [
        (x.number, run.shown(x.path), run.duration(x.seconds), x.title) for x in course.values()
    ]
    wide = max((len(path) for _, path, _, _ in rows), default=0)
    for number, path, time, title in rows:
        print(f"{number}  {path:{wide}}  {time:>6}  {marks(number, state):22}  {title}")
    print(f"\n✓ done  · to do\n\n       {USAGE}")


def lesson_of(words, course):
    """(what to do, lesson). Raises ValueError for what there is not."""
    numbers = [word for word in words if word not in WORDS]
    verbs = [word for word in words if word in WORDS]
    there = ", ".join(course)
    if len(verbs) > 1 or len(numbers) != 1:
        raise ValueError(f"expected one lesson, as in “python -m lessons 05”; there are: {there}")
    if numbers[0].zfill(2) not in course:
        raise ValueError(f"there is no lesson {numbers[0]}; there are: {there}")
    return (verbs or ["run"])[0], course[numbers[0].zfill(2)]


def run_lesson(lesson, options):
    """Run it; --data and --mine are in place before the lesson imports anything."""
    if options.data:
        if not Path(options.data).is_file():
            raise FileNotFoundError(f"{options.data}: no such file; expected data for --data")
        os.environ["MINIFT_DATA"] = str(Path(options.data).resolve())
    if options.mine:
        for path in own_files(lesson):
            import_module("lessons.mine").install(path)
            print(f"with {run.shown(path)} in place of the reference\n")
    return run.run(lesson, options.step, counts=not options.fast)


def own_files(lesson):
    """The student's files for a lesson. Raises ValueError where there is nothing to write."""
    if files := homework(lesson.number):
        return files
    raise ValueError(f"lesson {lesson.number} has no homework")


def check(lesson, hint):
    """The answer check; a green one is noted as done."""
    files = own_files(lesson)
    code = import_module("tests.answer_check").check(files, hint)
    if code == 0:
        finished.record("homework", lesson.number, len(files))
    return code


def sweep(lesson, one):
    """Rebuild lessons/results/NN_*.jsonl, or recompute one of its runs and compare."""
    files = sorted((FOLDER / "sweeps").glob(f"lesson{lesson.number}*.py"))
    if not files:
        raise ValueError(f"lesson {lesson.number} reads no long runs")
    modules = [import_module(f"lessons.sweeps.{path.stem}") for path in files]
    return max(m.STORED.compare_one() if one else m.rebuild() for m in modules)


def main(arguments=None):
    """Run one command; returns the exit code."""
    options = parse(arguments)
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="replace")  # a console without Chinese shows ? in its place
    if options.fast:
        os.environ["MINIFT_FAST"] = "1"
    course = cells.course(FOLDER)
    if not options.words:
        print_course(course)
        return 0
    try:
        what, lesson = lesson_of(options.words, course)
        if what == "check":
            return check(lesson, options.hint)
        return sweep(lesson, options.one) if what == "sweep" else run_lesson(lesson, options)
    except (ValueError, FileNotFoundError) as error:
        print(f"lessons: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.path.insert(0, str(minift.ROOT))  # lessons and tests, from whichever folder it is called
    sys.exit(main())
