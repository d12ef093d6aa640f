"""Every method by its name, as files of deltas and the command line call it.

A method is a module of minift.peft and one function there, which puts it into a model. The module
is looked up when the method is asked for, so that a student's own in its place is used by all.
"""

from importlib import import_module
from inspect import signature

# method → its function in minift.peft.<method>
METHODS = {
    "full": "add_full",
    "adapter": "add_adapters",
    "prefix": "add_prefix",
    "bitfit": "bitfit",
    "lora": "add_lora",
    "adalora": "add_adalora",
    "unipelt": "add_unipelt",
}


def module_of(name):
    """The module of a method. Raises ValueError for a name that is none."""
    if name not in METHODS:
        raise ValueError(f"no method {name}; there are: {', '.join(METHODS)}")
    return import_module(f"minift.peft.{name}")


def function_of(name):
    """The function that puts a method into a model."""
    return getattr(module_of(name), METHODS[name])


def add(model, name, **arguments):
    """Put the method of that name into a plain model; return the model.

    Raises ValueError for arguments that the method does not know, or that it lacks.
    """
    function = function_of(name)
    try:
        signature(function).bind(model, **arguments)
    except TypeError as error:
        raise ValueError(f"{name}: {error}") from None
    return function(model, **arguments)


def while_training(model, gamma=0.1):
    """What `train.fit` is told beside the loss: AdaLoRA's term, γ R, and its choice of triplets."""
    if getattr(getattr(model, "delta", None), "method", None) != "adalora":
        return {}
    adalora = module_of("adalora")
    return {
        "penalty": lambda model: gamma * adalora.orthogonality(model),
        "after_step": adalora.allocate,
    }
