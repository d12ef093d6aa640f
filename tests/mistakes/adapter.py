"""Wrong answers to homework 02, adapters (spec: peft §2(d), 1–11; "-" is not listed there)."""

from tests.mistakes import Mistake

SPEC = ("2(d)", 11)

UNSEEN = {}

ACTIVATION = 'self.activation = look_up(ACTIVATIONS, activation, "activation")'
DOWN = "self.down_proj = nn.Linear(width, bottleneck)"
UP = "self.up_proj = nn.Linear(bottleneck, width)"
DRAW = "nn.init.trunc_normal_(linear.weight, std=init_std, a=-2 * init_std, b=2 * init_std)"
ZERO = "nn.init.zeros_(linear.bias)"
BENT = "bent = self.activation(self.down_proj(h))"
CHANGE = "return self.up_proj(bent)"
SKIP = "return output + self.change(output)"

LAYERS = [
    Mistake("down and up swapped", "-", "test_shapes", ("down_proj and up_proj have changed",),
            [(DOWN, "self.down_proj = nn.Linear(bottleneck, width)"),
             (UP, "self.up_proj = nn.Linear(width, bottleneck)")]),
    Mistake("no bias", "-", "test_shapes", ("up_proj.bias, which equation (1) has",),
            [(UP, "self.up_proj = nn.Linear(bottleneck, width, bias=False)")]),
    Mistake("up frozen", "-", "test_shapes", ("trained numbers: 18",),
            [(UP, f"{UP}.requires_grad_(False)")]),
    Mistake("always gelu", "2(d)7", "test_activation_is_the_one_asked_for", ("your φ is gelu",),
            [(ACTIVATION, "look_up(ACTIVATIONS, activation, 'activation')\n"
              "        self.activation = F.gelu")]),
    Mistake("any word will do", "-", "test_unknown_activation_is_refused",
            ('activation="gelo": no error',),
            [(ACTIVATION, "self.activation = ACTIVATIONS.get(activation, F.gelu)")]),
    Mistake("reset forgotten", "2(d)4", "test_is_filled_by_reset", ("self.reset is never called",),
            [("\n        self.reset(init_std)", "")]),
    Mistake("init_std not handed on", "-", "test_is_filled_by_reset", ("reset got",),
            [("self.reset(init_std)", "self.reset()")]),
]  # fmt: skip

START = [
    Mistake("biases left", "-", "test_biases_start_at_zero", ("leaves the bias of down_proj",),
            [(f"\n            {ZERO}", "")]),
    Mistake("biases drawn", "-", "test_biases_start_at_zero", ("bias of down_proj after reset:",),
            [(ZERO, "nn.init.normal_(linear.bias, std=init_std)")]),
    Mistake("both zero", "2(d)5", "test_both_matrices_are_drawn", ("both matrices are zero:",),
            [(DRAW, "nn.init.zeros_(linear.weight)")]),
    Mistake("up zero", "2(d)5", "test_both_matrices_are_drawn", ("W_up is zero:",),
            [(ZERO, f"{ZERO}\n        nn.init.zeros_(self.up_proj.weight)")]),
    Mistake("down zero", "-", "test_both_matrices_are_drawn", ("W_down is zero,",),
            [(ZERO, f"{ZERO}\n        nn.init.zeros_(self.down_proj.weight)")]),
    Mistake("matrices left", "-", "test_both_matrices_are_drawn", ("reset leaves W_down",),
            [(DRAW, "pass")]),
    Mistake("the start of nn.Linear", "2(d)4", "test_deviation", ("nn.Linear's own start",),
            [(DRAW, "nn.init.kaiming_uniform_(linear.weight, a=5**0.5)")]),
    Mistake("cut at 2", "-", "test_deviation", ("the tails are not cut",),
            [(DRAW, "nn.init.trunc_normal_(linear.weight, std=init_std)")]),
    Mistake("clamped", "-", "test_deviation", ("moved to the bound",),
            [(DRAW, "nn.init.normal_(linear.weight, std=init_std)\n            "
              "linear.weight.data.clamp_(-2 * init_std, 2 * init_std)")]),
    Mistake("always 0.01", "-", "test_deviation", ("σ is 0.01 whatever",),
            [(DRAW, "nn.init.trunc_normal_(linear.weight, std=0.01, a=-0.02, b=0.02)")]),
    Mistake("BERT's deviation", "2(d)4", "test_deviation", ("σ is 0.02, BERT's",),
            [(DRAW, "nn.init.normal_(linear.weight, std=0.02)")]),
    Mistake("the variance", "-", "test_deviation", ("σ² stands where",),
            [(DRAW, "v = init_std**2\n            "
              "nn.init.trunc_normal_(linear.weight, std=v, a=-2 * v, b=2 * v)")]),
    Mistake("narrow, not cut", "-", "test_is_a_cut_gaussian", ("the paper cuts at 2 σ",),
            [(DRAW, "nn.init.normal_(linear.weight, std=0.8796 * init_std)")]),
    Mistake("uniform", "-", "test_is_a_cut_gaussian", ("uniform, not Gaussian",),
            [(DRAW, "bound = 3**0.5 * 0.8796 * init_std\n            "
              "nn.init.uniform_(linear.weight, -bound, bound)")]),
]  # fmt: skip

CHANGES = [
    Mistake("no φ", "2(d)7", "test_change", ("φ is missing:",),
            [(BENT, "bent = self.down_proj(h)")]),
    Mistake("φ behind W_up", "2(d)7", "test_change", ("φ stands behind W_up;",),
            [(BENT, "bent = self.down_proj(h)"),
             (CHANGE, "return self.activation(self.up_proj(bent))")]),
    Mistake("φ twice", "2(d)7", "test_change", ("φ stands behind W_up too",),
            [(CHANGE, "return self.activation(self.up_proj(bent))")]),
    Mistake("φ first", "2(d)7", "test_change", ("φ stands in front of W_down",),
            [(BENT, "bent = self.down_proj(self.activation(h))")]),
    Mistake("b_up left out", "-", "test_change", ("leave out b_up",),
            [(CHANGE, "return F.linear(bent, self.up_proj.weight)")]),
    Mistake("b_down left out", "-", "test_change", ("leave out b_down",),
            [(BENT, "bent = self.activation(F.linear(h, self.down_proj.weight))")]),
    Mistake("skip too early", "-", "test_change", ("h is added already here",),
            [(CHANGE, "return h + self.up_proj(bent)")]),
    Mistake("return forgotten", "-", "test_change", ("is the return missing?",),
            [(CHANGE, "up = self.up_proj(bent)")]),
    Mistake("own attribute", "-", "test_change", ("no attribute 'W_down'", "has: activation"),
            [(BENT, "bent = self.activation(self.W_down(h))")]),
    Mistake("GELU by hand", "2(d)7", "test_change_takes_its_own_activation", ("you apply GELU",),
            [(BENT, "bent = F.gelu(self.down_proj(h))")]),
    Mistake("W_down detached", "2(d)8", "test_gradients_of_the_biases",
            ("no gradient reaches down_proj",),
            [(CHANGE, "return self.up_proj(bent.detach())")]),
    Mistake("W_up detached", "2(d)8", "test_gradients_of_the_biases",
            ("no gradient reaches up_proj",),
            [(CHANGE, "return F.linear(bent, self.up_proj.weight, self.up_proj.bias.detach())")]),
]  # fmt: skip

FORWARD = [
    Mistake("no skip", "2(d)2", "test_forward", ("the skip is missing:",),
            [(SKIP, "return self.change(output)")]),
    Mistake("the block's residual too", "2(d)1", "test_forward", ("you add it twice",),
            [(SKIP, "return input + output + self.change(output)")]),
    Mistake("skip from the input", "2(d)1", "test_forward", ("Δ to the sub-layer's input",),
            [(SKIP, "return input + self.change(output)")]),
    Mistake("adapter of the input", "2(d)1", "test_forward", ("you adapt the sub-layer's input",),
            [(SKIP, "return input + self.change(input)")]),
    Mistake("parallel", "-", "test_forward", ("that is a parallel adapter",),
            [(SKIP, "return output + self.change(input)")]),
    Mistake("skip twice", "2(d)2", "test_forward", ("you add h twice",),
            [(SKIP, "return 2 * output + self.change(output)")]),
    Mistake("no change", "-", "test_forward", ("Δ is missing",),
            [(SKIP, "return output")]),
    Mistake("graph cut", "2(d)8", "test_gradient_passes_through",
            ("to freeze a base is not to cut",),
            [(SKIP, "output = output.detach()\n        return output + self.change(output)")]),
    Mistake("Δ of h detached", "2(d)8", "test_gradient_passes_through", ("its way into Δ",),
            [(SKIP, "return output + self.change(output.detach())")]),
    Mistake("skip detached", "2(d)8", "test_gradient_passes_through", ("the skip is detached",),
            [(SKIP, "return output.detach() + self.change(output)")]),
]  # fmt: skip

WALK = "for name, norm in [(n, m) for n, m in modules if isinstance(m, nn.LayerNorm)]:"
KEEP = 'model.delta.originals[f"{name}.{part}"] = parameter.detach().clone()'
BODY = "modules = inject.body(model).named_modules()"
NORMS = [
    Mistake("blocks alone", "2(d)6", "test_every_layer_norm_trains", ("outside the blocks",),
            [("isinstance(m, nn.LayerNorm)]", 'isinstance(m, nn.LayerNorm) and "blocks" in n]')]),
    Mistake("γ alone", "2(d)6", "test_every_layer_norm_trains", ("γ alone does",),
            [("norm.named_parameters():", "list(norm.named_parameters())[:1]:")]),
    Mistake("first norm alone", "2(d)6", "test_every_layer_norm_trains",
            ("layer norms of the gpt that do not train",),
            [("isinstance(m, nn.LayerNorm)]",
              'isinstance(m, nn.LayerNorm) and not n.endswith("norm2")]')]),
    Mistake("copied but frozen", "2(d)6", "test_every_layer_norm_trains",
            ("no layer norm of the gpt trains",),
            [("parameter.requires_grad = True", "parameter.requires_grad = False")]),
    Mistake("all vectors", "-", "test_every_layer_norm_trains", ("is no layer norm, and trains",),
            [(WALK, "for name, norm in [(n, m) for n, m in modules if hasattr(m, 'bias')]:")]),
    Mistake("the masked head's norm", "2(d)10", "test_a_masked_models_head_stays",
            ("masked model's own head trains",),
            [(BODY, f"{BODY}\n    if hasattr(model, 'norm'):\n        "
              "model.norm.requires_grad_(True)")]),
    Mistake("originals not kept", "2(d)6", "test_originals_are_kept", ("originals is empty",),
            [(f"{KEEP}\n", "pass\n")]),
    Mistake("no copy", "2(d)6", "test_originals_are_kept", ("the original is no copy",),
            [("parameter.detach().clone()", "parameter.detach()")]),
    Mistake("on the graph", "-", "test_originals_are_kept", ("hangs on a graph",),
            [("parameter.detach().clone()\n            parameter.requires_grad = True",
              "parameter.requires_grad_(True).clone()")]),
    Mistake("names from the top", "-", "test_originals_are_kept", ("names are those in the body",),
            [(BODY, "modules = model.named_modules()")]),
    Mistake("γ kept alone", "2(d)6", "test_originals_are_kept", ("expected γ and β of all",),
            [(KEEP, f'if part == "weight":\n                {KEEP}')]),
]  # fmt: skip

DOORS = "doors = doors_of(model, placement)"
MADE = "adapters = [Adapter(base.config.d_model, bottleneck, activation, init_std) for _ in doors]"
BEGIN = """    inject.begin(
        model, "adapter", bottleneck=bottleneck, activation=activation, init_std=init_std,
        train_layernorm=train_layernorm, placement=placement,
    )  # fmt: skip
"""
MOVE = "setattr(block, door, adapter.to(base.embedding.weight).train(block.training))"
THAW = "    if train_layernorm:\n        train_layer_norms(model)\n"
ADD = [
    Mistake("returns nothing", "-", "test_returns_the_model", ("add_adapters returns None",),
            [(f"{THAW}    return model", THAW)]),
    Mistake("works on a copy", "-", "test_returns_the_model", ("returns another model",),
            [(DOORS, f"model = __import__('copy').deepcopy(model)\n    {DOORS}")]),
    Mistake("never moved in", "-", "test_returns_the_model", ("no adapter has moved in",),
            [(MOVE, "adapter.to(base.embedding.weight)")]),
    Mistake("one a block", "2(d)3", "test_one_behind_each_sub_layer",
            ("one adapter a block is Pfeiffer's placement",),
            [(DOORS, 'doors = doors_of(model, "pfeiffer")')]),
    Mistake("no third", "-", "test_one_behind_each_sub_layer", ("look at the memory",),
            [(DOORS, "doors = [d for d in doors_of(model, placement) if 'cross' not in d[1]]")]),
    Mistake("first block alone", "2(d)3", "test_one_behind_each_sub_layer", ("missing ['decoder",),
            [(DOORS, "doors = doors_of(model, placement)[:1]")]),
    Mistake("one for all", "2(d)9", "test_one_behind_each_sub_layer", ("doors share one adapter",),
            [(MADE, "adapters = [Adapter(base.config.d_model, bottleneck, activation, init_std)] "
              "* len(doors)")]),
    Mistake("placement lost", "2(d)3", "test_pfeiffer_leaves_the_second", ("two adapters a block",),
            [(DOORS, 'look_up(PLACEMENTS, placement, "placement")\n    '
              'doors = doors_of(model, "houlsby")')]),
    Mistake("frozen too late", "-", "test_what_trains", ("no adapter trains",),
            [(BEGIN, ""), (THAW, f"{BEGIN}{THAW}")]),
    Mistake("head frozen", "2(d)10", "test_what_trains", ("head does not train",),
            [(BEGIN, f"{BEGIN}    model.requires_grad_(False)\n")]),
    Mistake("layer norms frozen", "2(d)6", "test_what_trains", ("the layer norms are frozen",),
            [(THAW, "")]),
    Mistake("pooler thawed", "2(d)10", "test_what_trains", ("the pooler trains",),
            [(BEGIN, f'{BEGIN}    if hasattr(base, "pooler"):\n        '
              "base.pooler.requires_grad_(True)\n")]),
    Mistake("base thawed", "2(d)10", "test_what_trains", ("the base still trains",),
            [(BEGIN, f"{BEGIN}    model.requires_grad_(True)\n")]),
    Mistake("layer norms always", "-", "test_layer_norms_stay_on_request",
            ("train_layernorm=False, and",),
            [("if train_layernorm:", "if True:")]),
    Mistake("kept all the same", "-", "test_layer_norms_stay_on_request",
            ("of what does not train",),
            [("        train_layer_norms(model)\n    return model",
              "        train_layer_norms(model)\n    else:\n        "
              "train_layer_norms(model)\n        for n, p in base.named_parameters():\n"
              '            p.requires_grad = "after_" in n\n    return model')]),
    Mistake("σ of 1", "2(d)4", "test_starts_near_the_base", ("expected under 1%",),
            [(MADE, MADE.replace("init_std", "1.0"))]),
    Mistake("zero W_up", "2(d)5", "test_starts_near_the_base", ("does no adapter run?",),
            [(MOVE, f"{MOVE}\n        nn.init.zeros_(adapter.up_proj.weight)")]),
    Mistake("width for bottleneck", "-", "test_options_reach_every_adapter",
            ("width and bottleneck have changed",),
            [(MADE, "adapters = [Adapter(bottleneck, base.config.d_model, activation, init_std) "
              "for _ in doors if bottleneck > 0 or look_up({}, 0, 'bottleneck')]")]),
    Mistake("bottleneck lost", "-", "test_options_reach_every_adapter",
            ("bottleneck=5 does not arrive",),
            [(MADE, "adapters = [Adapter(base.config.d_model, 64 if bottleneck > 0 else 0, "
              "activation, init_std) for _ in doors]")]),
    Mistake("activation lost", "-", "test_options_reach_every_adapter",
            ("activation does not arrive",),
            [(MADE, "look_up(ACTIVATIONS, activation, 'activation')\n    "
              "adapters = [Adapter(base.config.d_model, bottleneck, init_std=init_std) "
              "for _ in doors]")]),
    Mistake("init_std lost", "-", "test_options_reach_every_adapter", ("init_std=0.3 does not",),
            [(MADE, "adapters = [Adapter(base.config.d_model, bottleneck, activation, "
              "0.01 if init_std > 0 else 0) for _ in doors]")]),
    Mistake("always float32", "-", "test_takes_the_type_of_the_model",
            ("an adapter is torch.float32",),
            [(MOVE, "setattr(block, door, adapter)")]),
    Mistake("not begun", "-", "test_is_recorded_for_the_file", ("does not know that it carries",),
            [(BEGIN, "    inject.refuse_second(model)\n    inject.freeze(model)\n"),
             (THAW, "    model.delta, kept = __import__('types').SimpleNamespace(originals={}), "
              f"None\n{THAW}    model.delta = kept\n")]),
    Mistake("placement not recorded", "-", "test_is_recorded_for_the_file",
            ("not recorded as given: placement",),
            [("train_layernorm=train_layernorm, placement=placement,",
              "train_layernorm=train_layernorm,")]),
    Mistake("twice", "-", "test_one_method_at_a_time", ("that has them: no error",),
            [(DOORS, f"{DOORS}\n    model.delta = None")]),
    Mistake("begun too early", "-", "test_a_refused_call_changes_nothing",
            ("the refused call has changed the model",),
            [(BEGIN, ""), (DOORS, f"{BEGIN.strip()}\n    {DOORS}")]),
    Mistake("frozen too early", "-", "test_a_refused_call_changes_nothing",
            ("tensors frozen",),
            [(DOORS, f"inject.refuse_second(model)\n    inject.freeze(model)\n    {DOORS}")]),
    Mistake("bottleneck unchecked", "-", "test_a_refused_call_changes_nothing",
            ("bottleneck=0: no error",),
            [(MADE, MADE.replace("bottleneck", "max(bottleneck, 1)"))]),
]  # fmt: skip

BLOCK, DELTA = "minift.models.block", "minift.peft.delta"
RESIDUAL = "tests.test_adapter.test_adapters_stand_before_the_residual_add"
DROPOUT = "tests.test_adapter.test_adapters_stand_behind_the_dropout"
FILE = "tests.test_adapter.test_layer_norms_are_in_the_file"
POST = """        x = self.norm1(x + self.after_attention(attended, x))  # (b, t, c)   (3)
        transformed"""
ATTENDED = "        attended = self.dropout(self.attention(x, **attending))  # (b, t, c)\n"
ELSEWHERE = [
    Mistake("behind the residual add", "2(d)1", RESIDUAL,
            ("A stands behind the residual add",), of=BLOCK,
            edits=[("x = x + self.after_attention(attended, normed)",
                    "x = self.after_attention(x + attended, normed)"),
                   ("return x + self.after_feedforward(transformed, normed)",
                    "return self.after_feedforward(x + transformed, normed)")]),
    Mistake("behind the layer norm", "2(d)1", RESIDUAL,
            ("A stands behind the layer norm",), of=BLOCK,
            edits=[(POST, POST.replace("self.norm1(x + self.after_attention(attended, x))",
                                       "self.after_attention(self.norm1(x + attended), x)")),
                   ("self.norm2(x + self.after_feedforward(transformed, x))",
                    "self.after_feedforward(self.norm2(x + transformed), x)")]),
    Mistake("dropout behind the adapter", "2(d)11", DROPOUT,
            ("falls on the adapter's output",), of=BLOCK,
            edits=[(ATTENDED + POST, ATTENDED.replace("self.dropout", "")
                    + POST.replace("self.after_attention(attended, x)",
                                   "self.dropout(self.after_attention(attended, x))")),
                   ("self.norm2(x + self.after_feedforward(transformed, x))",
                    "self.norm2(x + self.dropout(self.after_feedforward(transformed, x)))")]),
    Mistake("layer norms not saved", "2(d)6", FILE,
            ("γ and β are not in the file",), of=DELTA,
            edits=[("    tensors |= {name: inject.body(model).get_parameter(name) for name in "
                    "carried(model).originals}\n", "")]),
]  # fmt: skip

MISTAKES = [*LAYERS, *START, *CHANGES, *FORWARD, *NORMS, *ADD, *ELSEWHERE]

ZEROS = {
    "Adapter.__init__": """
        def __init__(self, width, bottleneck, activation="gelu", init_std=1e-2):
            super().__init__()
            self.activation = torch.zeros_like
            self.down_proj = nn.Linear(width, width)
            self.up_proj = nn.Linear(bottleneck, bottleneck)
    """,
    "Adapter.reset": """
        def reset(self, init_std=1e-2):
            for parameter in self.parameters():
                nn.init.zeros_(parameter) if parameter.dim() > 1 else None
    """,
    "Adapter.change": """
        def change(self, h):
            return 0 * h
    """,
    "Adapter.forward": """
        def forward(self, output, input):
            return 0 * output
    """,
    "train_layer_norms": """
        def train_layer_norms(model):
            return model
    """,
    "add_adapters": """
        def add_adapters(model, **options):
            return model
    """,
}

OTHERWISE = {
    "Adapter.__init__": """
        def __init__(self, width, bottleneck, activation="gelu", init_std=1e-2):
            super(Adapter, self).__init__()
            if bottleneck <= 0:
                raise ValueError(f"bottleneck {bottleneck}")
            if activation not in ACTIVATIONS:
                raise ValueError(f"{activation} is none of {list(ACTIVATIONS)}")
            self.activation = ACTIVATIONS[activation]
            self.up_proj = nn.Linear(bottleneck, width)
            self.down_proj = nn.Linear(width, bottleneck)
            self.reset(init_std=init_std)
    """,
    "Adapter.reset": """
        @torch.no_grad()
        def reset(self, init_std=1e-2):
            if not init_std > 0:
                raise ValueError(f"init_std {init_std}")
            for weight in (self.up_proj.weight, self.down_proj.weight):
                share = torch.rand_like(weight).double() * 2 - 1
                weight.copy_(init_std * 2**0.5 * torch.erfinv(share * 0.9544997361))
            self.up_proj.bias.fill_(0)
            self.down_proj.bias.data = torch.zeros_like(self.down_proj.bias)
    """,
    "Adapter.change": """
        def change(self, h):
            down, up = self.down_proj, self.up_proj
            z = torch.einsum("btc,mc->btm", h, down.weight) + down.bias
            return self.activation(z) @ up.weight.mT + up.bias
    """,
    "Adapter.forward": """
        def forward(self, output, input):
            return torch.stack([self.change(output), output]).sum(0)
    """,
    "train_layer_norms": """
        def train_layer_norms(model):
            kept = {}
            for name, parameter in inject.body(model).named_parameters():
                if type(inject.body(model).get_submodule(name.rpartition(".")[0])) is nn.LayerNorm:
                    kept[name] = parameter.data.clone()
                    parameter.requires_grad_()
            model.delta.originals = kept
    """,
    "add_adapters": """
        def add_adapters(model, bottleneck=64, activation="gelu", init_std=1e-2,
                         train_layernorm=True, placement="houlsby"):
            there = doors_of(model, placement)
            width = inject.body(model).config.d_model
            own = dict(bottleneck=bottleneck, activation=activation, init_std=init_std)
            made = [Adapter(width, **own) for _ in there]
            inject.begin(model, "adapter", **own, placement=placement,
                         train_layernorm=train_layernorm)
            like = next(inject.body(model).parameters())
            for (block, name), layer in zip(there, made):
                block.add_module(name, layer.to(like.device, like.dtype))
            if train_layernorm:
                train_layer_norms(model)
            return model
    """,
}
