"""What the commands open: a base, its tokenizer, a data file, a delta that knows all three."""

import json
from pathlib import Path

from minift import batching, records
from minift.models import pretrained
from minift.models.gpt import GPT
from minift.models.heads import TextClassifier
from minift.peft import delta, inject
from minift.tokenizer import Tokenizer


def base_options(command):
    """The options of every command that opens a base."""
    command.add_argument(
        "--base",
        help="a shipped base (gpt), a .safetensors file of ours, or a folder with a GPT-2, BERT or "
        "BART as Hugging Face lays it out (default: gpt, or the delta's own)",
    )
    command.add_argument("--tokenizer", help="a tokenizer's file (default: the base's own)")
    command.add_argument("--device", default="auto", help="auto, cpu, cuda or mps")


def data_options(command):
    """The options of every command that reads examples."""
    command.add_argument("--data", required=True, help="a file of examples, told by its content")
    command.add_argument("--columns", help="columns of a table, by name or number; 1,0 swaps two")
    command.add_argument("--kind", help="force a reading: text, pair, labelled, chat or ranked")
    command.add_argument("--limit", type=int, help="read only so many examples")


def base_with_tokenizer(base, tokenizer=None):
    """The base model and its tokenizer; a GPT-2 folder takes GPT-2's, with room for our marks."""
    model = pretrained.open_base(base)
    is_folder = Path(base).is_dir()
    if is_folder and not tokenizer and not isinstance(model, GPT):
        raise ValueError(f"{base}: the tokenizer of a BERT or BART is not known: give --tokenizer")
    words = Tokenizer.load(tokenizer or "gpt2") if tokenizer or is_folder else Tokenizer.load()
    if is_folder:
        pretrained.resize_vocabulary(model, max(words.vocab_size, model.config.vocab_size))
    if words.vocab_size > model.config.vocab_size:
        rows = model.config.vocab_size
        raise ValueError(f"{base}: the tokenizer has {words.vocab_size} tokens, the model {rows}")
    return model, words


def longest(model):
    """How many tokens of a text the model takes: a GPT's prefix takes some of its positions."""
    base = inject.body(model)
    context = base.config.context
    room = base.room(0) if hasattr(base, "room") else context
    if room < 2:
        slots = context - room
        raise ValueError(f"a prefix of {slots} slots leaves no room in a context of {context}")
    return room


def origin(options, labels=None, kind="text"):
    """What a delta must remember of its run, as strings."""
    base = options.base if options.base and not Path(options.base).exists() else None
    return {
        "base_name": base or (str(Path(options.base).resolve()) if options.base else "gpt"),
        "tokenizer": options.tokenizer or "",
        "kind": kind,
        "labels": json.dumps(labels or []),
    }


def open_delta(options):
    """Model, tokenizer, kind of example and labels: the delta's own, or the plain base's."""
    saved = delta.read(options.delta) if options.delta else None
    told = saved.metadata if saved else origin(options)
    base = options.base or told.get("base_name", "gpt")
    model, words = base_with_tokenizer(base, options.tokenizer or told.get("tokenizer") or None)
    labels = json.loads(told.get("labels", "[]"))
    if labels:
        model = TextClassifier(model, len(labels))
    if saved:
        delta.load(model, saved)
    return model, words, told.get("kind", "text"), labels


def read(path, options):
    """The records of a file; what was skipped is said."""
    if options.limit is not None and options.limit < 1:
        raise ValueError(f"--limit {options.limit}; expected at least 1")
    found = records.read(path, kind=options.kind, columns=options.columns)
    print(f"{path}: {found.summary()}" + (f", first {found.skipped[0]}" if found.skipped else ""))
    return found[: options.limit] if options.limit else found


def encode_and_tell(examples, tokenizer, context, labels=None):
    """The examples as token ids; what was cut or dropped is said."""
    encoded, report = batching.encode_all(examples, tokenizer, context, labels)
    if report.truncated or report.dropped:
        print(f"  context {context}: {report.truncated} truncated, {report.dropped} dropped")
    if not encoded:
        raise ValueError("no example is left to work with")
    return encoded


def prompts(examples, tokenizer, context, tokens):
    """The ids of each prompt, cut at its beginning where `tokens` new ones need the room."""
    room = context - tokens
    if room < 2:
        raise ValueError(
            f"--tokens {tokens}: expected at most {context - 2}, context less a prompt"
        )
    ids = [batching.prompt_ids(record, tokenizer) for record in examples]
    if cut := [n for n, row in enumerate(ids) if len(row) > room]:
        print(f"  context {context}: {len(cut)} prompts cut at their beginning")
    for n in cut:
        ids[n] = batching.prompt_ids(examples[n], tokenizer, longest=room)
    return ids
