"""What a run says and leaves behind: the log, the checkpoints, the evaluations, the progress line.

The loop in `train.py` calls `end` once a step. A row is made every `log_every` steps and at each
evaluation, checkpoint and the last step, so no checkpoint falls into the middle of a row; its loss
is the mean over the steps since the row before. Rows go to `log.jsonl`, one JSON object a line.
"""

import json
import math
import os
import time
from contextlib import contextmanager
from pathlib import Path

import torch

from minift import checkpoint
from minift.progress import Progress
from minift.safetensors import atomically


class History(list):
    """The rows of a run: dictionaries with step, loss, lr, grad_norm and what `evaluate` gave."""

    def column(self, name):
        """(steps, values) of the rows that have `name`."""
        rows = [row for row in self if name in row]
        return [row["step"] for row in rows], [row[name] for row in rows]


@contextmanager
def mode(model, training):
    """Training or evaluation mode inside the block; then each module's own mode again."""
    before = [(module, module.training) for module in model.modules()]
    model.train(training)
    try:
        yield
    finally:
        for module, was in before:
            module.training = was


def evaluated(evaluate, model, step):
    """The row of `evaluate(model, step)`, which leaves modes and random generators as they were."""
    before = checkpoint.random_state()
    with mode(model, training=False), torch.no_grad():
        row = {k: v.item() if hasattr(v, "item") else v for k, v in evaluate(model, step).items()}
    checkpoint.set_random_state(before)
    return row


def read_log(path, until):
    """The rows of a log up to step `until`; a last line that was cut off by a kill is dropped."""
    rows = History()
    for line in Path(path).read_text(encoding="utf-8").splitlines() if Path(path).exists() else []:
        try:
            row = json.loads(line)
            if row["step"] > until:
                break
        except (ValueError, KeyError, TypeError):
            break
        rows.append(row)
    return rows


class Journal:
    """One run's records. Only the first process of a team writes and evaluates; all keep rows."""

    def __init__(self, run, out, save_every, log_every, evaluate, evaluate_every, quiet):
        self.run, self.out = run, None if out is None else Path(out)
        self.save_every, self.log_every = save_every, log_every
        self.evaluate, self.evaluate_every = evaluate, evaluate_every
        self.quiet = quiet or not run.team.first
        self.history, self.start, self.saved = History(), 0, None
        self.settings, self.file, self.progress = None, None, None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def open(self, resume, settings):
        """Find where to start, and the log's rows so far. Raises ValueError in one line."""
        if resume and self.out is None:
            raise ValueError("resume=True needs out=, the folder of the run to go on with")
        self.settings = settings
        if self.out is not None:
            self.out.mkdir(parents=True, exist_ok=True)
            if resume:
                self.resume()
            checkpoint.refuse_second_run(self.out, resume)
            if self.run.team.first:
                self.open_log()
        self.progress = Progress(self.run.plan.steps, first=self.start, quiet=self.quiet)
        self.tokens, self.began = 0, time.monotonic()
        self.clear()

    def resume(self):
        """Go back to the newest checkpoint of `out`, which every process of the team reads."""
        if (found := checkpoint.latest(self.out)) is None:
            return
        path, state = found
        then, now = state["settings"], self.settings
        if odd := [k for k in {**then, **now} if then.get(k) != now.get(k)]:
            changes = ", ".join(f"{k} was {then.get(k)}, is {now.get(k)}" for k in odd)
            raise ValueError(
                f"{path}: cannot resume with other settings: {changes}; choose another folder"
            )
        checkpoint.restore(path, state, self.run.model, self.run.optimizer, self.run.team.rank)
        self.start, self.saved = state["step"], path
        if self.run.team.count(self.start) != [self.start * self.run.team.world]:
            raise ValueError(f"{self.out}: the processes found checkpoints of different steps")

    def open_log(self):
        """Rewrite the log up to the step we start from, so that no row comes twice."""
        checkpoint.sweep_up(self.out)
        path = self.out / "log.jsonl"
        self.history = read_log(path, self.start)
        text = "".join(json.dumps(row) + "\n" for row in self.history)
        atomically(path, lambda file: file.write(text.encode()))
        self.file = open(path, "a", encoding="utf-8")

    def clear(self):
        """Begin a new row."""
        self.losses, self.row_tokens, self.row_began = [], 0, time.monotonic()

    def finite(self, step, what, value):
        """The number as a float. Raises ValueError in one line if it is not finite."""
        value = float(value)
        if not math.isfinite(value):
            raise ValueError(
                f"step {step}: the {what} is {value}; last good checkpoint: {self.saved or 'none'}"
            )
        return value

    def due(self, every, step):
        """True at every multiple of `every` and at the last step."""
        return step == self.run.plan.steps or bool(every) and step % every == 0

    def end(self, step, loss, tokens, **numbers):
        """Called when `step` steps are done: progress line, row, evaluation and checkpoint."""
        self.losses.append(loss)
        self.row_tokens, self.tokens = self.row_tokens + tokens, self.tokens + tokens
        self.progress.update(step, self.text(loss))
        evaluate = self.evaluate is not None and self.due(self.evaluate_every, step)
        save = self.out is not None and self.due(self.save_every, step)
        if evaluate or save or self.due(self.log_every, step):
            self.write_row(step, numbers, evaluate)
            if save:
                self.save(step)
            self.clear()

    def text(self, loss):
        """The middle of the progress line: 'loss 2.134  5,120 tokens/s  412 MB'."""
        pace = self.tokens / max(time.monotonic() - self.began, 1e-9)
        memory = self.run.team.memory()
        return f"loss {loss:.4g}  {pace:,.0f} tokens/s" + (f"  {memory:,} MB" if memory else "")

    def write_row(self, step, numbers, evaluate):
        """Add a row to the history and the log."""
        pace = self.row_tokens / max(time.monotonic() - self.row_began, 1e-9)
        row = {"step": step, "loss": sum(self.losses) / len(self.losses), **numbers}
        row |= {"tokens": self.row_tokens, "tokens_per_second": round(pace)}
        row["memory_mb"] = self.run.team.memory()
        if evaluate and self.run.team.first:
            found = evaluated(self.evaluate, self.run.model, step)
            if clash := found.keys() & row.keys():
                raise ValueError(f"evaluate returned {min(clash)!r}, a name that fit itself uses")
            row |= found
        self.history.append(row)
        if self.file is not None:
            try:
                self.file.write(json.dumps(row) + "\n")
                self.file.flush()
            except OSError as error:
                raise ValueError(f"{self.file.name}: not written: {error.strerror}") from error

    def save(self, step):
        """Write a checkpoint with everyone's random state; the log's rows reach the disk first."""
        randoms = self.run.team.gather(checkpoint.random_state())
        if self.run.team.first:
            os.fsync(self.file.fileno())
            model, optimizer = self.run.model, self.run.optimizer
            self.saved = checkpoint.save(self.out, step, model, optimizer, self.settings, randoms)

    def close(self):
        """End the progress line and the log."""
        if self.file is not None:
            self.file.close()
        if self.progress is not None:
            self.progress.close()
