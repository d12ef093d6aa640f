"""Wrong answers to homework 04, BitFit (spec: peft §4(d), 1–11; "-": not listed there but seen)."""

from tests.mistakes import Mistake

SPEC = ("4(d)", 11)

UNSEEN = {
    "4(d)4": "SUBSET is a constant that the skeleton gives; test_the_subset_is_the_papers holds it "
    "to the layer of size f",
    "4(d)5": "no function here makes an optimiser; the contract's frozen_set and train's "
    "build_optimizer hold to what trains",
    "4(d)6": "a learning rate is a setting of the run: no function here takes one",
}

LAYERS = "layers = inject.body(model).named_modules()"
HELD = 'held = {name: getattr(layer, "bias", None) for name, layer in layers}'
KEPT = "return {name: bias for name, bias in held.items() if isinstance(bias, nn.Parameter)}"
BY_PARAMETER = """
    parameters = inject.body(model).named_parameters()
    return {{n.rpartition(".")[0]: p for n, p in parameters if {}}}
"""

BIASES = [
    Mistake("linear layers only", "4(d)2", "test_each_kind_of_layer_has_its_bias",
            ("bias of the layer norm is missing",),
            [("for name, layer in layers}",
              "for name, layer in layers if isinstance(layer, nn.Linear)}")]),
    Mistake("no convolution", "-", "test_each_kind_of_layer_has_its_bias",
            ("bias of the convolution is missing",),
            [("for name, layer in layers}",
              "for name, layer in layers if isinstance(layer, (nn.Linear, nn.LayerNorm))}")]),
    Mistake("a copy of each", "-", "test_each_kind_of_layer_has_its_bias", ("is not its bias",),
            [(KEPT, KEPT.replace("{name: bias for", "{name: nn.Parameter(bias.clone()) for"))]),
    Mistake("names of the parameters", "-", "test_each_kind_of_layer_has_its_bias",
            ("is a parameter's name",),
            [(KEPT, KEPT.replace("{name: bias", '{f"{name}.bias": bias'))]),
    Mistake("a list of them", "-", "test_each_kind_of_layer_has_its_bias", ("biases gives list",),
            [(KEPT, "return [b for b in held.values() if isinstance(b, nn.Parameter)]")]),
    Mistake("bias in the name", "4(d)1", "test_what_only_looks_like_a_bias_is_none",
            ("relative_attention_bias is a table",),
            [(f"{LAYERS}\n    {HELD}", BY_PARAMETER.format('"bias" in n').strip()
              .replace("return", "held ="))]),
    Mistake("a buffer too", "4(d)9", "test_what_only_looks_like_a_bias_is_none",
            ("masked.bias is a buffer",),
            [("isinstance(bias, nn.Parameter)", "bias is not None")]),
    Mistake("every vector", "4(d)2", "test_what_only_looks_like_a_bias_is_none",
            ("gain is no bias",),
            whole=(("biases", """
                def biases(model):
                    parameters = inject.body(model).named_parameters()
                    vectors = {n: p for n, p in parameters if p.dim() == 1}
                    return {n.removesuffix(".bias"): p for n, p in vectors.items()}
            """),)),
    Mistake("a bias for every layer", "4(d)8", "test_a_layer_without_a_bias_gets_none",
            ("has got one",),
            [(LAYERS, "for layer in inject.body(model).modules():\n"
              "        if isinstance(layer, nn.Linear) and layer.bias is None:\n"
              "            layer.bias = nn.Parameter(layer.weight[:, 0].detach().clone())\n"
              f"    {LAYERS}")]),
    Mistake("None is one", "-", "test_a_layer_without_a_bias_gets_none",
            ("without a bias, is in the answer",),
            [("for name, layer in layers}", 'for name, layer in layers if hasattr(layer, "bias")}'),
             ("isinstance(bias, nn.Parameter)", "bias is None or isinstance(bias, nn.Parameter)")]),
    Mistake("the head's as well", "-", "test_a_head_is_not_of_the_base",
            ("the head's bias is among them",),
            [(LAYERS, "layers = model.named_modules()")]),
    Mistake("names from outside", "-", "test_a_head_is_not_of_the_base", ("begin with body.",),
            [(LAYERS, "layers = [(n, m) for n, m in model.named_modules() if n != 'head']")]),
    Mistake("a tied head", "-", "test_a_head_is_not_of_the_base", ("tied head is among them",),
            [(LAYERS, "layers = [(n.removeprefix('body.'), m) for n, m in model.named_modules()\n"
              "              if n != 'head']")]),
]  # fmt: skip

NONE = "if only is None:"
TARGETS = "for target in only:"
ASKED = "if not any(inject.matches(name, [target]) for name in there):"
CHOSEN = "for name, bias in there.items() if inject.matches(name, only)}"

SELECT = [
    Mistake("empty is all", "-", "test_none_is_all_of_them", ("an empty tuple names nothing",),
            [(NONE, "if not only:")]),
    Mistake("None forgotten", "-", "test_none_is_all_of_them", ("'NoneType' object",),
            [(f"    {NONE}\n        return there\n", "")]),
    Mistake("None is nothing", "-", "test_none_is_all_of_them", ("only=None keeps some",),
            [("        return there\n", "        return {}\n")]),
    Mistake("substring", "-", "test_names_are_dotted_suffixes", ("a name is no substring",),
            [(CHOSEN, "for name, bias in there.items() if any(t in name for t in only)}")]),
    Mistake("last part alone", "-", "test_names_are_dotted_suffixes",
            ("cross_attention.q_proj keeps",),
            [(CHOSEN, 'for name, bias in there.items() if name.rpartition(".")[2] in only}')]),
    Mistake("the first name alone", "-", "test_names_are_dotted_suffixes",
            ("the second of two names",),
            [(CHOSEN, CHOSEN.replace("name, only", "name, only[:1]"))]),
    Mistake("silent on no match", "-", "test_a_name_that_no_layer_has_is_refused",
            ("no such layer: no error",),
            [(ASKED, "if False:")]),
    Mistake("all names together", "-", "test_a_name_that_no_layer_has_is_refused",
            ("one misspelt: no error",),
            [(ASKED, "if not any(inject.matches(name, only) for name in there):")]),
    Mistake("what there is, untold", "-", "test_a_name_that_no_layer_has_is_refused",
            ("it must name q_proj",),
            [("with a bias; there are: {known}", "with a bias")]),
]  # fmt: skip

CHOOSE = "chosen = select(biases(model), only)"
BEGIN = 'inject.begin(model, "bitfit", only=None if only is None else list(only))'
REFUSE = """    if not chosen:
        raise ValueError("no bias to train: the model has none, or `only` is empty")
"""
KEEP = 'model.delta.originals = {f"{name}.bias": b.detach().clone() for name, b in chosen.items()}'
TRAIN = "bias.requires_grad = True"
MODULE = "inject.body(model).get_submodule(name)"

BITFIT = [
    Mistake("returns nothing", "-", "test_returns_the_model", ("returns None",),
            [(f"{TRAIN}\n    return model", TRAIN)]),
    Mistake("works on a copy", "-", "test_returns_the_model", ("returns another model",),
            [(CHOOSE, f"model = __import__('copy').deepcopy(model)\n    {CHOOSE}")]),
    Mistake("not frozen", "-", "test_returns_the_model", ("nothing is frozen",),
            [(TRAIN, "model.requires_grad_(True)")]),
    Mistake("frozen too late", "-", "test_only_biases_and_the_head_train", ("no bias trains",),
            [(f"{TRAIN}\n    return model", f"{TRAIN}\n    return inject.freeze(model)")]),
    Mistake("head frozen", "4(d)3", "test_only_biases_and_the_head_train",
            ("the head's weight does not train",),
            [(BEGIN, f"{BEGIN}\n    model.requires_grad_(False)")]),
    Mistake("whole layers", "4(d)2", "test_only_biases_and_the_head_train",
            ("not its whole layer",),
            [(f"for bias in chosen.values():\n        {TRAIN}",
              f"for name in chosen:\n        {MODULE}.requires_grad_(True)")]),
    Mistake("only forgotten", "-", "test_named_biases_alone_train", ("`only` does not arrive",),
            [(CHOOSE, "chosen = biases(model)")]),
    Mistake("no originals", "-", "test_keeps_the_bases_biases", ("originals is empty",),
            [(KEEP, "pass")]),
    Mistake("originals by layer", "-", "test_keeps_the_bases_biases",
            ("by other names than the base's",),
            [('{f"{name}.bias": b.detach()', "{name: b.detach()")]),
    Mistake("originals shared", "-", "test_keeps_the_bases_biases", ("it learns along",),
            [("b.detach().clone()", "b.detach()")]),
    Mistake("originals of zeros", "-", "test_keeps_the_bases_biases", ("original of blocks",),
            [("b.detach().clone()", "b.detach() * 0")]),
    Mistake("biases from zero", "4(d)8", "test_starts_as_the_base", ("first output",),
            [(TRAIN, f"{TRAIN}\n        nn.init.zeros_(bias)")]),
    Mistake("always eval", "4(d)11", "test_leaves_the_mode", ("has changed the mode",),
            [(f"{TRAIN}\n    return model", f"{TRAIN}\n    return model.eval()")]),
    Mistake("not begun", "-", "test_is_recorded_for_the_file", ("does not know that it carries",),
            [(BEGIN, "inject.freeze(model)"), (KEEP, "pass")]),
    Mistake("only not recorded", "-", "test_is_recorded_for_the_file", ("recorded: only=None",),
            [(BEGIN, 'inject.begin(model, "bitfit")')]),
    Mistake("None recorded as empty", "-", "test_is_recorded_for_the_file", ("recorded: only=[]",),
            [(BEGIN, 'inject.begin(model, "bitfit", only=list(only or ()))')]),
    Mistake("begun too early", "-", "test_a_refused_call_leaves_the_model_plain",
            ("choose before inject.begin",),
            [(BEGIN, "pass"), (CHOOSE, f"{BEGIN}\n    {CHOOSE}")]),
    Mistake("nothing to train", "-", "test_a_model_without_a_bias_is_refused",
            ("a model without a bias: no error",),
            [(REFUSE, "")]),
    Mistake("twice", "-", "test_one_method_at_a_time", ("that has it: no error",),
            [(CHOOSE, f"{CHOOSE}\n    model.delta = None")]),
]  # fmt: skip

ELSEWHERE = [
    Mistake("weight decay on biases", "4(d)7", "tests.test_bitfit.test_no_weight_decay_on_biases",
            ("weight decay falls on", "expected the head's weight"), of="minift.train",
            edits=[("if p.ndim >= 2]", "]")]),
    Mistake("head and biases in one", "4(d)10", "tests.test_bitfit.test_the_head_is_counted_apart",
            ("the head is counted with the biases",), of="minift.peft.delta",
            edits=[("inject.trainable_parameters(model).items() if n not in head]",
                    "inject.trainable_parameters(model).items()]")]),
]  # fmt: skip

MISTAKES = [*BIASES, *SELECT, *BITFIT, *ELSEWHERE]

ZEROS = {
    "biases": """
        def biases(model):
            return {}
    """,
    "select": """
        def select(there, only):
            return {}
    """,
    "bitfit": """
        def bitfit(model, only=None):
            return model
    """,
}

OTHERWISE = {
    "biases": """
        def biases(model):
            found = {}
            for name, parameter in inject.body(model).named_parameters():
                layer, _, attribute = name.rpartition(".")
                if attribute == "bias":
                    found[layer] = parameter
            return found
    """,
    "select": """
        def select(there, only):
            names = there.keys() if only is None else only
            kept = {}
            for target in names:
                for name, bias in there.items():
                    if ("." + name).endswith("." + target):
                        kept[name] = bias
                if not any(("." + name).endswith("." + target) for name in there):
                    raise ValueError(f"no {target} in {', '.join(there)}")
            return kept
    """,
    "bitfit": """
        def bitfit(model, only=None):
            kept, chosen = {}, select(biases(model), only)
            if len(chosen) == 0:
                raise ValueError("there is no bias")
            inject.begin(model, method="bitfit", only=only and tuple(only))
            for name, bias in chosen.items():
                kept[name + ".bias"] = bias.data.clone()
                bias.requires_grad_()
            model.delta.originals.update(kept)
            return model
    """,
}
