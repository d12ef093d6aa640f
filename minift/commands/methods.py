"""The methods of `finetune`: their options, their learning rates, what their training needs beside.

An option belongs to a method whose function has a parameter of that name; where it is not given,
that function's own default holds. A new method is a row in `LEARNING_RATE`, and one in `OPTIONS`
for each parameter that no other method has.
"""

import json
from inspect import signature
from pathlib import Path

from minift import checkpoint
from minift.peft import methods, pruning
from minift.safetensors import atomically

# The best of the grids that the lessons tried on the shipped bases (lessons/results/): small bases
# bear more than the papers' large ones, whose rates are 3e-5 to 3e-3 for adapters, 5e-5 for a
# prefix, 1e-3 for biases and AdaLoRA. Try others on a base of your own.
LEARNING_RATE = {
    "full": 5e-4,
    "lora": 1e-2,
    "adapter": 3e-3,
    "prefix": 1e-3,
    "bitfit": 1e-2,
    "adalora": 3e-2,
    "unipelt": 3e-3,
}


def by_comma(text):
    """ "q_proj,v_proj" → ("q_proj", "v_proj")."""
    return tuple(part.strip() for part in text.split(","))


# parameter → its type, what it is; bool: True where the option --no-… is not given
OPTIONS = {
    "rank": (int, "rank r, of adalora at first"),
    "alpha": (float, "α; the scale is α/r"),
    "targets": (by_comma, "layers that get a change of low rank"),
    "dropout": (float, "dropout on that change's input"),
    "init": (str, "start of A, gaussian or kaiming"),
    "target_rank": (int, "rank at last, the mean over all layers"),
    "t_i": (int, "first steps, in which no triplet is dropped"),
    "t_f": (int, "last steps, for which the choice is final"),
    "every": (int, "steps from one choice to the next"),
    "gamma": (float, "γ, the weight of orthogonality in the loss"),
    "bottleneck": (int, "width m"),
    "placement": (str, "houlsby, or pfeiffer: behind the feed-forward layer alone"),
    "activation": (str, "gelu, relu, swish or tanh"),
    "train_layernorm": (bool, "the layer norms stay frozen"),
    "length": (int, "slots p"),
    "hidden": (int, "width m of the network that makes the prefix"),
    "reparameterize": (bool, "the prefix itself is trained, without a network"),
    "only": (by_comma, "layers whose biases train"),
    "masked": (bool, "gates average over padding and answer too, as in the released code"),
}

# What AdaLoRA's function leaves open. γ as in the released script for MNLI; no triplet is dropped
# in the first tenth of the steps nor in the second half (MNLI: 9% and 58%, RTE: 15% and 46%).
OPEN = {"gamma": 0.1, "t_i": "a tenth of --steps", "t_f": "half of --steps"}


def defaults(method):
    """{option: its default} of a method, in the order of `OPTIONS`."""
    own = {name: p.default for name, p in signature(methods.function_of(method)).parameters.items()}
    own |= OPEN if method == "adalora" else {}
    return {name: own[name] for name in OPTIONS if name in own}


def flag(name):
    """The option of a parameter as it is typed."""
    return ("--no-" if OPTIONS[name][0] is bool else "--") + name.replace("_", "-")


def owners(name):
    """{method: default} of the methods that an option belongs to."""
    all_defaults = {method: defaults(method) for method in LEARNING_RATE}
    return {method: own[name] for method, own in all_defaults.items() if name in own}


def shown(default):
    """A default as it would be typed."""
    if default is None:
        return "all"
    return ",".join(default) if isinstance(default, tuple) else str(default)


def arguments(command):
    """--method, --lr, and the options of the methods."""
    rates = ", ".join(f"{method} {rate:g}" for method, rate in LEARNING_RATE.items())
    command.add_argument("--method", choices=list(LEARNING_RATE), default="lora", help="which")
    source = "as measured on the shipped bases"
    command.add_argument("--lr", type=float, help=f"learning rate (default: {rates}; {source})")
    group = command.add_argument_group("options of a method, with its own default")
    for name, (kind, words) in OPTIONS.items():
        whose = owners(name).items()
        if kind is bool:
            how = {"action": "store_const", "const": False}
            told = ", ".join(method for method, _ in whose)
        else:
            how = {"type": kind}
            told = ", ".join(f"{method} {shown(default)}" for method, default in whose)
        group.add_argument(flag(name), dest=name, help=f"{words} ({told})", **how)


def chosen(options):
    """{parameter: value} of the method as the command line has it, γ included.

    Raises ValueError for an option of another method.
    """
    own = defaults(options.method)
    if "t_i" in own:
        own |= {"t_i": options.steps // 10, "t_f": options.steps // 2}
    for name in OPTIONS:
        if (given := getattr(options, name)) is None:
            continue
        if name not in own:
            there = " and ".join(owners(name))
            raise ValueError(f"{flag(name)} is no option of {options.method}, but of {there}")
        own[name] = given
    return own


def put_into(model, options):
    """Add the method to the model, as the command line has it; return the model."""
    if options.method == "unipelt" and options.packed:
        raise ValueError("--packed: the texts of a row would share unipelt's gates; leave it out")
    own = chosen(options)
    own.pop("gamma", None)
    if options.method == "adalora":
        own["total"] = options.steps
    return methods.add(model, options.method, **own)


def beside_the_loss(model, options):
    """What `train.fit` is told beside the loss."""
    gamma = {"gamma": chosen(options)["gamma"]} if options.method == "adalora" else {}
    return methods.while_training(model, **gamma)


def after_training(model):
    """The model as its file is to have it: of AdaLoRA's triplets only the living."""
    return pruning.prune(model) if model.delta.method == "adalora" else model


def keep_to(options, first):
    """A run goes on with the method and the options that it began with; method.json has them.

    Raises ValueError in one line for others. Only the `first` process writes.
    """
    path = Path(options.out) / "method.json"
    now = json.loads(json.dumps({"method": options.method, **chosen(options)}))
    if options.resume and path.exists() and checkpoint.files(options.out):
        then = json.loads(path.read_text(encoding="utf-8"))
        odd = [name for name in {**then, **now} if then.get(name) != now.get(name)]
        changes = ", ".join(f"{name} was {then.get(name)}, is {now.get(name)}" for name in odd)
        if odd:
            raise ValueError(
                f"{path}: cannot resume with other settings: {changes}; choose another folder"
            )
    elif first:
        atomically(path, lambda file: file.write(json.dumps(now, indent=1).encode() + b"\n"))
