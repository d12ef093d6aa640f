"""Wrong answers to homework 05, LoRA (spec: peft §5(d), 1–14; "-" is not listed there but seen)."""

from tests.mistakes import Mistake

SPEC = ("5(d)", 14)

UNSEEN = {
    "5(d)8": "no model here has a fused QKV layer: q_proj, k_proj and v_proj are separate, and "
    "test_default_targets says which are adapted",
    "5(d)9": "nothing is ever unmerged: W is never written, merge makes a new layer "
    "(test_merging_changes_nothing and test_frozen_weights_keep_their_bits_in_bf16 hold it)",
}

SCALE = "self.scale = alpha / rank"
FREEZE = "self.frozen = linear.requires_grad_(False)"
DROPOUT = "self.dropout = nn.Dropout(dropout) if dropout else nn.Identity()"
DEVIATION = "std=1 / math.sqrt(3 * self.A.shape[1])"
DOWN = "down = F.linear(self.dropout(x), self.A)"
UP = "up = F.linear(down, self.B)"
SUM = "return self.frozen(x) + self.scale * up"
MERGED = "layer.frozen.weight + layer.scale * layer.B @ layer.A"
CHOOSE = "names = inject.choose(model, targets)"
MAKE = "lambda linear: LoRALinear(linear, rank, alpha, dropout, init)"

BY_HAND = """
    names = [n for n, m in model.named_modules() if isinstance(m, nn.Linear) and ({})]
"""
REFUSE_NONE = """
    if not names:
        there = ", ".join(n for n, m in model.named_modules() if isinstance(m, nn.Linear))
        raise ValueError(f"{targets} match none of {there}")
"""

LAYER = [
    Mistake("scale alpha", "5(d)1", "test_scale", ("you scale by alpha;",),
            [(SCALE, "self.scale = alpha")]),
    Mistake("scale r/alpha", "5(d)1", "test_scale", ("other way up",),
            [(SCALE, "self.scale = rank / alpha")]),
    Mistake("scale 1", "5(d)1", "test_scale", ("factor is 1",),
            [(SCALE, "self.scale = 1.0")]),
    Mistake("scale by root", "-", "test_scale", ("root of r",),
            [(SCALE, "self.scale = alpha / math.sqrt(rank)")]),
    Mistake("scale of one half", "-", "test_scale", ("0.5 times the expected value everywhere",),
            [(SCALE, "self.scale = alpha / (2 * rank)")]),
    Mistake("A transposed", "5(d)7", "test_shapes", ("Aᵀ", "shape (5, 3)"),
            [("(rank, linear.in_features)", "(linear.in_features, rank)")]),
    Mistake("B transposed", "5(d)7", "test_shapes", ("Bᵀ", "shape (3, 7)"),
            [("(linear.out_features, rank)", "(rank, linear.out_features)")]),
    Mistake("A no parameter", "-", "test_shapes", ("A is a plain tensor",),
            [("self.A = nn.Parameter(weight.new_empty(rank, linear.in_features))",
              "self.A = weight.new_empty(rank, linear.in_features).detach()")]),
    Mistake("always float32", "-", "test_takes_the_type_of_the_frozen_layer", ("A: dtype",),
            [("weight.new_empty(rank, linear.in_features)",
              "torch.empty(rank, linear.in_features)")]),
    Mistake("W trains", "5(d)5", "test_only_a_and_b_train", ("W and its bias still train",),
            [(FREEZE, "self.frozen = linear")]),
    Mistake("bias trains", "5(d)5", "test_only_a_and_b_train", ("the bias of W still trains",),
            [(FREEZE, "self.frozen = linear\n        linear.weight.requires_grad = False")]),
    Mistake("a copy inside", "-", "test_only_a_and_b_train", ("frozen is another layer",),
            [(FREEZE, "self.frozen = __import__('copy').deepcopy(linear).requires_grad_(False)")]),
    Mistake("reset forgotten", "-", "test_is_filled_by_reset", ("never called",),
            [("\n        self.reset(init)", "")]),
    Mistake("init forgotten", "-", "test_is_filled_by_reset", ("reset got",),
            [("self.reset(init)", "self.reset()")]),
    Mistake("dropout forgotten", "5(d)4", "test_keeps_the_dropout", ("self.dropout drops nothing",),
            [(DROPOUT, "self.dropout = nn.Identity()")]),
    Mistake("keep for drop", "-", "test_keeps_the_dropout", ("share that self.dropout drops: 0.7",),
            [(DROPOUT, "self.dropout = nn.Dropout(1 - dropout if dropout else 0.0)")]),
]  # fmt: skip

START = [
    Mistake("both zero", "5(d)2", "test_only_b_is_zero", ("both zero",),
            [(f"nn.init.normal_(self.A, {DEVIATION})", "nn.init.zeros_(self.A)"),
             ("nn.init.kaiming_uniform_(self.A, a=math.sqrt(5))", "nn.init.zeros_(self.A)")]),
    Mistake("both random", "5(d)2", "test_only_b_is_zero", ("both random",),
            [("nn.init.zeros_(self.B)", "nn.init.normal_(self.B, std=0.02)")]),
    Mistake("A zero, B random", "5(d)3", "test_only_b_is_zero", ("other way round",),
            [(f"nn.init.normal_(self.A, {DEVIATION})", "nn.init.zeros_(self.A)"),
             ("nn.init.kaiming_uniform_(self.A, a=math.sqrt(5))", "nn.init.zeros_(self.A)"),
             ("nn.init.zeros_(self.B)", "nn.init.normal_(self.B, std=0.02)")]),
    Mistake("B left", "5(d)2", "test_only_b_is_zero", ("reset leaves B",),
            [("\n        nn.init.zeros_(self.B)", "")]),
    Mistake("A left", "-", "test_only_b_is_zero", ("reset leaves A",),
            [(f"nn.init.normal_(self.A, {DEVIATION})", "pass"),
             ("nn.init.kaiming_uniform_(self.A, a=math.sqrt(5))", "pass")]),
    Mistake("deviation 1", "5(d)13", "test_deviation_of_a", ("has deviation 1:",),
            [(DEVIATION, "std=1.0")]),
    Mistake("deviation 1/√i", "5(d)13", "test_deviation_of_a", ("deviation 1/√i;",),
            [(DEVIATION, "std=1 / math.sqrt(self.A.shape[1])")]),
    Mistake("deviation 1/r", "5(d)13", "test_deviation_of_a", ("deviation 1/r,",),
            [(DEVIATION, "std=1 / self.A.shape[0]")]),
    Mistake("the variance", "5(d)13", "test_deviation_of_a", ("the variance",),
            [(DEVIATION, "std=1 / (3 * self.A.shape[1])")]),
    Mistake("deviation of GPT-2", "5(d)13", "test_deviation_of_a", ("deviation 0.02",),
            [(DEVIATION, "std=0.02")]),
    Mistake("always uniform", "-", "test_gaussian_is_gaussian", ("A is uniform",),
            [(f"nn.init.normal_(self.A, {DEVIATION})",
              "nn.init.kaiming_uniform_(self.A, a=math.sqrt(5))")]),
    Mistake("kaiming's own a", "-", "test_kaiming_is_the_released_codes", ("a=√5",),
            [("(self.A, a=math.sqrt(5))", "(self.A)")]),
    Mistake("any word will do", "-", "test_an_unknown_start_is_refused", ('"gausian": no error',),
            [('elif init == "kaiming":', 'elif init != "gaussian":')]),
]  # fmt: skip

FORWARD = [
    Mistake("no α/r", "5(d)1", "test_forward", ("leave α/r out", "h:"),
            [(SUM, "return self.frozen(x) + up")]),
    Mistake("α/r twice", "5(d)1", "test_forward", ("α/r twice",),
            [(SUM, "return self.frozen(x) + self.scale * self.scale * up")]),
    Mistake("α/r on all", "5(d)1", "test_forward", ("α/r scales W x too",),
            [(SUM, "return self.scale * (self.frozen(x) + up)")]),
    Mistake("no W", "-", "test_forward", ("path of W is missing",),
            [(SUM, "return self.scale * up")]),
    Mistake("no B A", "-", "test_forward", ("low-rank path is missing",),
            [(SUM, "return self.frozen(x)")]),
    Mistake("no bias", "-", "test_forward", ("leave out W's bias",),
            [(SUM, "return F.linear(x, self.frozen.weight) + self.scale * up")]),
    Mistake("return forgotten", "-", "test_forward", ("is the return missing?",),
            [(SUM, "h = self.frozen(x) + self.scale * up")]),
    Mistake("own attribute", "-", "test_forward", ("no attribute 'alpha'", "has: A, B, dropout"),
            [(SUM, "return self.frozen(x) + self.alpha * up")]),
    Mistake("A's wrong side", "5(d)7", "test_forward", ("RuntimeError", "05_lora.py:"),
            [(DOWN, "down = self.dropout(x) @ self.A")]),
    Mistake("gradient of B lacks α/r", "-", "test_gradients_at_the_start", ("dL/dB lacks",),
            [(SUM, "return self.frozen(x) + up + ((self.scale - 1) * up).detach()")]),
    Mistake("A detached", "-", "test_gradients_at_the_start", ("A gets no gradient",),
            [(UP, "up = F.linear(down.detach(), self.B)")]),
    Mistake("B detached", "-", "test_gradients_at_the_start", ("B gets no gradient",),
            [(UP, "up = F.linear(down, self.B.detach())")]),
    Mistake("W under no_grad", "5(d)14", "test_gradient_goes_on_to_earlier_layers",
            ("under no_grad: frozen",),
            [(SUM, "with torch.no_grad():\n            base = self.frozen(x)\n"
              "        return base + self.scale * up")]),
    Mistake("x detached", "-", "test_gradient_goes_on_to_earlier_layers", ("x is detached",),
            [(DOWN, "down = F.linear(self.dropout(x.detach()), self.A)")]),
    Mistake("W's input dropped", "5(d)4", "test_dropout_spares_the_frozen_path",
            ("falls on W's input too",),
            [(DOWN, "x = self.dropout(x)\n        down = F.linear(x, self.A)")]),
    Mistake("no dropout", "5(d)4", "test_dropout_spares_the_frozen_path",
            ("is self.dropout used?",),
            [(DOWN, "down = F.linear(x, self.A)")]),
    Mistake("dropout after A", "5(d)4", "test_dropout_falls_on_the_input_of_a",
            ("drop the output of A",),
            [(DOWN, "down = self.dropout(F.linear(x, self.A))")]),
    Mistake("dropout after B", "5(d)4", "test_dropout_falls_on_the_input_of_a",
            ("drop the output of B",),
            [(DOWN, "down = F.linear(x, self.A)"),
             (UP, "up = self.dropout(F.linear(down, self.B))")]),
    Mistake("dropout always", "5(d)4", "test_eval_mode_drops_nothing", ("acts in eval mode",),
            [("self.dropout(x)", "F.dropout(x, getattr(self.dropout, 'p', 0.0))")]),
]  # fmt: skip

MERGE = [
    Mistake("merge without α/r", "5(d)1", "test_merge", ("α/r out of W'",),
            [(MERGED, "layer.frozen.weight + layer.B @ layer.A")]),
    Mistake("merge scales all", "5(d)1", "test_merge", ("α/r scales W too",),
            [(MERGED, "layer.scale * (layer.frozen.weight + layer.B @ layer.A)")]),
    Mistake("merge without W", "-", "test_merge", ("W itself is missing",),
            [(MERGED, "layer.scale * layer.B @ layer.A")]),
    Mistake("A times B", "5(d)7", "test_merge", ("you multiply A by B",),
            [(MERGED, "layer.frozen.weight + layer.scale * layer.A @ layer.B")]),
    Mistake("B A transposed", "5(d)7", "test_merge", ("transpose of B A",),
            [(MERGED, "layer.frozen.weight + layer.scale * (layer.B @ layer.A).T")]),
    Mistake("merge in place", "5(d)6", "test_merging_changes_nothing", ("adds B A twice",),
            whole=(("merge", """
                def merge(layer):
                    with torch.no_grad():
                        layer.frozen.weight += layer.scale * layer.B @ layer.A
                    return layer.frozen
            """),)),
    Mistake("merge to float32", "-", "test_merging_changes_nothing", ("W' is torch.float32",),
            [("\n    plain.to(layer.frozen.weight)", "")]),
    Mistake("bias shared", "-", "test_merged_layer_stands_alone", ("shares its bias",),
            [("plain.bias.copy_(layer.frozen.bias)", "plain.bias = layer.frozen.bias")]),
    Mistake("bias not copied", "-", "test_merge_keeps_the_bias", ("bias of the merged layer:",),
            [("plain.bias.copy_(layer.frozen.bias)", "pass")]),
    Mistake("bias lost", "-", "test_merge_keeps_the_bias", ("has lost its bias",),
            [("layer.frozen.out_features, layer.frozen.bias is not None",
              "layer.frozen.out_features, False")]),
    Mistake("bias invented", "-", "test_merge_keeps_the_bias", ("though the frozen one has none",),
            [("layer.frozen.out_features, layer.frozen.bias is not None",
              "layer.frozen.out_features, True"),
             ("if plain.bias is not None:", "if layer.frozen.bias is not None:")]),
]  # fmt: skip

BEGIN = """    inject.begin(
        model, "lora", rank=rank, alpha=alpha, targets=list(targets), dropout=dropout, init=init
    )
"""
ADD = [
    Mistake("returns nothing", "-", "test_returns_the_model", ("returns None",),
            [("    )\n    return model", "    )")]),
    Mistake("works on a copy", "5(d)10", "test_returns_the_model", ("returns another model",),
            [(CHOOSE, f"model = __import__('copy').deepcopy(model)\n    {CHOOSE}")]),
    Mistake("q alone", "-", "test_default_targets", ("not adapted: blocks.0.attention.v_proj",),
            [(CHOOSE, "names = inject.choose(model, targets[:1])")]),
    Mistake("substring", "5(d)11", "test_targets_are_dotted_suffixes", ("no substring",),
            [(CHOOSE, BY_HAND.format("any(t in n for t in targets)").strip() + REFUSE_NONE)]),
    Mistake("last part alone", "5(d)11", "test_targets_are_dotted_suffixes", ("a dotted suffix",),
            [(CHOOSE, BY_HAND.format("n.split('.')[-1] in targets").strip() + REFUSE_NONE)]),
    Mistake("silent on no match", "5(d)11", "test_a_target_that_matches_nothing_is_refused",
            ("target query: no error",),
            [(CHOOSE, BY_HAND.format("inject.matches(n, targets)").strip())]),
    Mistake("frozen too late", "5(d)5", "test_only_lora_and_the_head_train",
            ("A and B do not train",),
            whole=(("add_lora", """
                def add_lora(model, rank=8, alpha=16, targets=("q_proj", "v_proj"), dropout=0.0,
                             init="gaussian"):
                    names = inject.choose(model, targets)
                    if getattr(model, "delta", None):
                        raise ValueError("the model already carries a method")
                    inject.replace(model, names.__contains__,
                                   lambda linear: LoRALinear(linear, rank, alpha, dropout, init))
                    inject.begin(model, "lora", rank=rank, alpha=alpha, targets=list(targets),
                                 dropout=dropout, init=init)
                    return model
            """),)),
    Mistake("base thawed", "5(d)5", "test_only_lora_and_the_head_train", ("the base still trains",),
            [(BEGIN, BEGIN + "    model.requires_grad_(True)\n")]),
    Mistake("head frozen", "5(d)12", "test_only_lora_and_the_head_train", ("head does not train",),
            [(BEGIN, BEGIN + "    model.requires_grad_(False)\n")]),
    Mistake("a new layer", "-", "test_starts_as_the_base", ("are not the base's",),
            [(MAKE, "lambda old: LoRALinear(nn.Linear(old.in_features, old.out_features), rank, "
              "alpha, dropout, init)")]),
    Mistake("rank and alpha swapped", "-", "test_options_reach_every_layer", ("changed places",),
            [(MAKE, "lambda linear: LoRALinear(linear, alpha, rank, dropout, init)")]),
    Mistake("alpha lost", "-", "test_options_reach_every_layer", ("alpha does not arrive",),
            [(MAKE, "lambda linear: LoRALinear(linear, rank, 16, dropout, init)")]),
    Mistake("dropout lost", "5(d)4", "test_options_reach_every_layer", ("dropout of a layer",),
            [(MAKE, "lambda linear: LoRALinear(linear, rank, alpha, init=init)")]),
    Mistake("init lost", "-", "test_options_reach_every_layer", ("init does not arrive",),
            [(MAKE, "lambda linear: LoRALinear(linear, rank, alpha, dropout)")]),
    Mistake("alpha not recorded", "-", "test_is_recorded_for_the_file", ("not recorded", "alpha"),
            [('"lora", rank=rank, alpha=alpha, targets', '"lora", rank=rank, targets')]),
    Mistake("not begun", "-", "test_is_recorded_for_the_file", ("does not know that it carries",),
            [(BEGIN, "    inject.freeze(model)\n")]),
    Mistake("twice", "-", "test_one_method_at_a_time", ("that has it: no error",),
            [(CHOOSE, f"{CHOOSE}\n    model.delta = None")]),
]  # fmt: skip

INJECT, DELTA, CONTEXT = "minift.peft.inject", "minift.peft.delta", "minift.models.context"
ELSEWHERE = [
    Mistake("matches by substring", "5(d)11", "tests.test_delta.test_targets_match_whole_parts",
            ("no_q_proj is matched",), of=INJECT,
            edits=[('name == target or name.endswith(f".{target}")', "target in name")]),
    Mistake("tied embedding adapted", "5(d)10", "tests.test_lora.test_tied_embedding_is_refused",
            ("embedding:", "tied"), of=INJECT,
            edits=[("isinstance(modules[n], nn.Embedding) for", "False for")]),
    Mistake("head not saved", "5(d)12", "tests.test_delta.test_the_head_is_saved",
            ("the head is not in the file",), of=DELTA,
            edits=[("return tensors | inject.head_parameters(model)", "return tensors")]),
    Mistake("reentrant checkpoint", "5(d)14", "tests.test_delta.test_checkpointing_reaches_lora",
            ("no LoRA gradient with checkpointing",), of=CONTEXT,
            edits=[("use_reentrant=False", "use_reentrant=True")]),
]  # fmt: skip

MISTAKES = [*LAYER, *START, *FORWARD, *MERGE, *ADD, *ELSEWHERE]

ZEROS = {
    "LoRALinear.__init__": """
        def __init__(self, linear, rank, alpha, dropout=0.0, init="gaussian"):
            super().__init__()
            self.frozen, self.scale, self.dropout = linear, 0.0, nn.Identity()
            self.A = torch.zeros(rank, linear.in_features)
            self.B = torch.zeros(linear.out_features, rank)
    """,
    "LoRALinear.reset": """
        def reset(self, init="gaussian"):
            nn.init.zeros_(self.A)
            nn.init.zeros_(self.B)
    """,
    "LoRALinear.forward": """
        def forward(self, x):
            return 0 * F.linear(x, self.frozen.weight) * self.A.sum() * self.B.sum()
    """,
    "merge": """
        def merge(layer):
            o, i = layer.frozen.weight.shape
            plain = nn.Linear(i, o)
            nn.init.zeros_(plain.weight)
            nn.init.zeros_(plain.bias)
            return plain
    """,
    "add_lora": """
        def add_lora(model, **options):
            return model
    """,
}

OTHERWISE = {
    "LoRALinear.__init__": """
        def __init__(self, linear, rank, alpha, dropout=0.0, init="gaussian"):
            super(LoRALinear, self).__init__()
            if rank < 1:
                raise ValueError(f"rank {rank}")
            for parameter in linear.parameters():
                parameter.requires_grad = False
            self.frozen, self.rank, self.dropout = linear, rank, nn.Dropout(p=dropout)
            self.scale = torch.tensor(alpha) / rank
            kind = {"dtype": linear.weight.dtype, "device": linear.weight.device}
            self.A = nn.Parameter(torch.zeros((rank, linear.weight.shape[1]), **kind))
            self.B = nn.Parameter(torch.ones((linear.weight.shape[0], rank), **kind))
            self.reset(init=init)
    """,
    "LoRALinear.reset": """
        def reset(self, init="gaussian"):
            r, i = self.A.shape
            if init not in ("gaussian", "kaiming"):
                raise ValueError(f"{init}: gaussian or kaiming")
            a = torch.randn(r, i) / (3 * i) ** 0.5
            if init == "kaiming":
                a = (2 * torch.rand(r, i) - 1) / i**0.5
            self.A = nn.Parameter(a.to(self.A))
            self.B.data *= 0
    """,
    "LoRALinear.forward": """
        def forward(self, x):
            change = torch.einsum("or,ri->oi", self.B, self.A) * self.scale
            return self.frozen(x) + self.dropout(x) @ change.mT
    """,
    "merge": """
        @torch.no_grad()
        def merge(layer):
            plain = __import__("copy").deepcopy(layer.frozen)
            plain.weight.add_(layer.scale * (layer.B @ layer.A))
            return plain.requires_grad_(True)
    """,
    "add_lora": """
        def add_lora(model, rank=8, alpha=16, targets=("q_proj", "v_proj"), dropout=0.0,
                     init="gaussian"):
            names = inject.choose(model, targets)
            inject.begin(model, method="lora", rank=rank, alpha=alpha, targets=[*targets],
                         dropout=dropout, init=init)
            for name in names:
                parent, _, child = name.rpartition(".")
                parent = model.get_submodule(parent)
                layer = LoRALinear(getattr(parent, child), rank, alpha, dropout=dropout, init=init)
                setattr(parent, child, layer)
            return model
    """,
}
