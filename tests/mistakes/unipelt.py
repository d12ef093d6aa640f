"""Wrong answers to homework 08, UniPELT (spec: peft §7(d), 1–13; "-" is not listed there)."""

from tests.mistakes import Mistake

SPEC = ("7(d)", 13)

UNSEEN = {}

INSIDE = "inside = pool[:, :, None]"
TOTAL = "total = (each * inside).sum(dim=1, keepdim=True)"
RATIO = "return (total / inside.sum(dim=1, keepdim=True).clamp(min=1)).to(each.dtype)"
MEAN = [
    Mistake("padding counts", "7(d)1", "test_mean_over_the_pool", ("padding counts in your",),
            [(RATIO, "return each.mean(dim=1, keepdim=True)")]),
    Mistake("divided by all", "7(d)1", "test_mean_over_the_pool", ("in what you divide by",),
            [(RATIO, "return (total / pool.shape[1]).to(each.dtype)")]),
    Mistake("a sum", "-", "test_mean_over_the_pool", ("this is the sum",),
            [(RATIO, "return total.to(each.dtype)")]),
    Mistake("rows mixed", "7(d)12", "test_mean_over_the_pool", ("you mix the rows",),
            [(RATIO, "return (total.sum() / pool.sum()).expand_as(total).to(each.dtype)")]),
    Mistake("axes lost", "-", "test_mean_over_the_pool", ("keep the axes",),
            [(RATIO, "return (total / inside.sum(dim=1, keepdim=True).clamp(min=1)).flatten()")]),
    Mistake("nothing averaged", "7(d)2", "test_mean_over_the_pool",
            ("one number for each position;",), [(RATIO, "return each")]),
    Mistake("0 by 0", "-", "test_mean_of_nothing", ("NaN for a row",),
            [(".clamp(min=1)", "")]),
    Mistake("always float32", "-", "test_mean_keeps_the_type", ("mean of bfloat16 is",),
            [(TOTAL, "total = (each.float() * inside).sum(dim=1, keepdim=True)"),
             (".to(each.dtype)", "")]),
]  # fmt: skip

SCORE = "self.score = nn.Linear(width, 1)"
DRAW = "nn.init.normal_(self.score.weight, std=0.02)"
ZERO = "nn.init.zeros_(self.score.bias)"
NUMBERS = [
    Mistake("a gate a number", "-", "test_score_is_one_number", ("for each position of the width",),
            [(SCORE, "self.score = nn.Linear(width, width)")]),
    Mistake("two gates", "-", "test_score_is_one_number", ("P_K and P_V share a gate",),
            [(SCORE, "self.score = nn.Linear(width, 2)")]),
    Mistake("no b", "-", "test_score_is_one_number", ("b is missing",),
            [(SCORE, "self.score = nn.Linear(width, 1, bias=False)"), (f"        {ZERO}\n", "")]),
    Mistake("frozen", "7(d)7", "test_score_is_one_number", ("trained numbers of a gate",),
            [(SCORE, f"{SCORE}.requires_grad_(False)")]),
    Mistake("w zero", "-", "test_gate_starts_half_open", ("w is 0:",),
            [(DRAW, "nn.init.zeros_(self.score.weight)")]),
    Mistake("the start of nn.Linear", "-", "test_gate_starts_half_open", ("U(±1/√c)",),
            [(f"        {DRAW}\n", "")]),
    Mistake("w large", "-", "test_gate_starts_half_open", ("w is N(0, 1)",),
            [(DRAW, "nn.init.normal_(self.score.weight)")]),
    Mistake("the variance", "-", "test_gate_starts_half_open", ("not its variance",),
            [(DRAW, "nn.init.normal_(self.score.weight, std=0.02**0.5)")]),
    Mistake("b random", "-", "test_gate_starts_half_open", ("b starts at",),
            [(f"        {ZERO}\n", "")]),
]  # fmt: skip

NOTES = "notes = self.context.now.notes\n        if notes and self in notes:"
KNOWN = "if notes and self in notes:"
KEPT = "notes[self]  # (b, 1, 1)"
EACH = "each = torch.sigmoid(self.score(h))"
MADE = "made = mean_over(each, self.pool(h))"
NOTE = "        if notes is not None:\n            notes[self] = made\n"
FORWARD = [
    Mistake("σ of the mean", "7(d)9", "test_gate", ("σ of the mean; (1) has",),
            [(EACH, "each = self.score(h)"), (MADE, f"{MADE}.sigmoid()")]),
    Mistake("no σ", "-", "test_gate", ("σ is missing",), [(EACH, "each = self.score(h)")]),
    Mistake("the code's mean", "7(d)1", "test_gate", ("your mean counts padding; self.pool",),
            [(MADE, "made = each.mean(dim=1, keepdim=True)")]),
    Mistake("tanh", "-", "test_gate", ("you bend with tanh",),
            [(EACH, "each = torch.tanh(self.score(h))")]),
    Mistake("b left out", "-", "test_gate", ("b is left out",),
            [(EACH, "each = torch.sigmoid(F.linear(h, self.score.weight))")]),
    Mistake("a gate for each token", "7(d)2", "test_gate", ("for each token; a gate has one for",),
            [(MADE, "made = each")]),
    Mistake("over the batch", "7(d)12", "test_gate", ("goes over the rows of the batch",),
            [(MADE, "made = mean_over(each.transpose(0, 1), self.pool(h).T).transpose(0, 1)")]),
    Mistake("shut for open", "-", "test_gate", ("the gate is the wrong way round",),
            [(EACH, "each = torch.sigmoid(-self.score(h))")]),
    Mistake("the pool of the context", "7(d)8", "test_gate_asks_for_its_pool",
            ("pools where the target is real",),
            [(MADE, "made = mean_over(each, self.context.now.pool)")]),
    Mistake("masked=False ignored", "-", "test_gate_asks_for_its_pool",
            ("masked=False is ignored",),
            [(MADE, "here = self.context.now\n        here = here.memory if self.memory else here\n"
              "        made = mean_over(each, here.pool)")]),
    Mistake("read again at each token", "-", "test_gate_stays_while_a_text_is_written",
            ("the value is not kept",), [(KNOWN, "if False:")]),
    Mistake("one note for all", "7(d)10", "test_gate_stays_while_a_text_is_written",
            ("the value of another gate",),
            [(KNOWN, 'if notes and "gate" in notes:'), (KEPT, 'notes["gate"]  # (b, 1, 1)'),
             ("            notes[self] = made\n", '            notes["gate"] = made\n')]),
    Mistake("kept for ever", "-", "test_gate_stays_while_a_text_is_written",
            ("the value of the text before",),
            [(NOTES, "notes = self.context.now.notes\n        if notes is None:\n            "
              "notes = self.__dict__.setdefault('k', {})\n        if notes and self in notes:")]),
    Mistake("no gradient", "7(d)7", "test_gate_learns", ("w gets no gradient",),
            [(EACH, "with torch.no_grad():\n            each = torch.sigmoid(self.score(h))\n"
              "        each.requires_grad_()")]),
    Mistake("h detached", "7(d)7", "test_gate_learns", ("h: it is detached",),
            [(EACH, "each = torch.sigmoid(self.score(h.detach()))")]),
]  # fmt: skip

UP = "up = F.linear(down, self.B)"
SUM = "return self.frozen(x) + self.gate(x) * up"
LORA = [
    Mistake("α/r too", "7(d)3", "test_gated_lora", ("α/r is there beside the gate",),
            [(SUM, "return self.frozen(x) + 16 / len(self.A) * self.gate(x) * up")]),
    Mistake("1/r too", "7(d)3", "test_gated_lora", ("1/r is there beside",),
            [(SUM, "return self.frozen(x) + self.gate(x) / len(self.A) * up")]),
    Mistake("no gate on LoRA", "-", "test_gated_lora", ("there is no gate on B A x",),
            [(SUM, "return self.frozen(x) + self.scale * up")]),
    Mistake("the gate shuts W", "7(d)4", "test_gated_lora", ("the gate shuts W x too",),
            [(SUM, "return self.gate(x) * (self.frozen(x) + up)")]),
    Mistake("the gate on W alone", "-", "test_gated_lora", ("the gate is on W x",),
            [(SUM, "return self.gate(x) * self.frozen(x) + up")]),
    Mistake("no W x", "-", "test_gated_lora", ("W x is missing",),
            [(SUM, "return self.gate(x) * up")]),
    Mistake("reads the output of W", "7(d)10", "test_gated_lora", ("the gate reads W x; it reads",),
            [(SUM, "base = self.frozen(x)\n        return base + self.gate(base) * up")]),
    Mistake("reads A x", "7(d)10", "test_gated_lora", ("shapes cannot be multiplied",),
            [(SUM, "return self.frozen(x) + self.gate(down) * up")]),
    Mistake("LoRA by tokens", "7(d)2", "test_gated_lora", ("a gate for each token; there is one",),
            [(SUM, "each = torch.sigmoid(self.gate.score(x))\n        "
              "return self.frozen(x) + each * up")]),
    Mistake("G_L detached", "7(d)7", "test_gate_of_lora_learns", ("G_L gets no gradient",),
            [(SUM, "return self.frozen(x) + self.gate(x).detach() * up")]),
    Mistake("B detached", "-", "test_gate_of_lora_learns", ("B gets no gradient",),
            [(UP, "up = F.linear(down, self.B.detach())")]),
]  # fmt: skip

CHANGE = "return output + self.gate(output) * self.change(output)"
ADAPTER = [
    Mistake("the skip is gated", "7(d)4", "test_gated_adapter", ("the gate shuts h too",),
            [(CHANGE, "return self.gate(output) * (output + self.change(output))")]),
    Mistake("no skip", "7(d)4", "test_gated_adapter", ("the skip is missing",),
            [(CHANGE, "return self.gate(output) * self.change(output)")]),
    Mistake("no gate on the adapter", "-", "test_gated_adapter", ("there is no gate on Δ(h)",),
            [(CHANGE, "return output + self.change(output)")]),
    Mistake("the gate on h alone", "7(d)4", "test_gated_adapter", ("the gate is on h, and",),
            [(CHANGE, "return self.gate(output) * output + self.change(output)")]),
    Mistake("reads the sub-layer's input", "7(d)8", "test_gated_adapter",
            ("the gate reads the sub-layer's input",),
            [(CHANGE, "return output + self.gate(input) * self.change(output)")]),
    Mistake("reads what Δ gives", "7(d)8", "test_gated_adapter", ("the gate reads Δ(h)",),
            [(CHANGE, "change = self.change(output)\n        "
              "return output + self.gate(change) * change")]),
    Mistake("Δ of the input", "-", "test_gated_adapter", ("Δ reads the sub-layer's input",),
            [(CHANGE, "return output + self.gate(output) * self.change(input)")]),
    Mistake("the block's residual too", "-", "test_gated_adapter", ("you add the sub-layer",),
            [(CHANGE, "return input + self.gate(output) * self.change(output)")]),
    Mistake("adapter by tokens", "7(d)2", "test_gated_adapter", ("G_A is one number for each",),
            [(CHANGE, "each = torch.sigmoid(self.gate.score(output))\n        "
              "return output + each * self.change(output)")]),
    Mistake("G_A detached", "7(d)7", "test_gate_of_the_adapter_learns", ("G_A gets no gradient",),
            [(CHANGE, "return output + self.gate(output).detach() * self.change(output)")]),
    Mistake("graph cut", "-", "test_gate_of_the_adapter_learns", ("what stands below learns",),
            [(CHANGE, "output = output.detach()\n        "
              "return output + self.gate(output) * self.change(output)")]),
]  # fmt: skip

GATES = """        self.gates = nn.ModuleDict()
        for bank in banks:
            self.gates[bank] = nn.ModuleList(gate() for _ in range(config.n_layers))
"""
LIST = "nn.ModuleList(gate() for _ in range(config.n_layers))"
BANKS = [
    Mistake("no gates", "-", "test_a_gate_for_each_layer_of_each_bank", ("self.gates is missing",),
            [(GATES, "")]),
    Mistake("the first bank alone", "7(d)10", "test_a_gate_for_each_layer_of_each_bank",
            ("every bank has its own",),
            [("        for bank in banks:\n", "        for bank in banks[:1]:\n")]),
    Mistake("one a bank", "7(d)10", "test_a_gate_for_each_layer_of_each_bank",
            ("1 gates for the bank encoder",), [(LIST, "nn.ModuleList([gate()])")]),
    Mistake("one gate for all", "7(d)10", "test_a_gate_for_each_layer_of_each_bank",
            ("one gate for all layers and banks",),
            [(GATES, "        one = gate()\n" + GATES.replace("gate() for", "one for"))]),
    Mistake("layers share", "7(d)10", "test_a_gate_for_each_layer_of_each_bank",
            ("the layers of a bank share one gate",),
            [(LIST, "nn.ModuleList([gate()] * config.n_layers)")]),
    Mistake("banks share", "7(d)10", "test_a_gate_for_each_layer_of_each_bank",
            ("the banks share their gates",),
            [(GATES, "        each = [gate() for _ in range(config.n_layers)]\n"
              + GATES.replace(LIST, "nn.ModuleList(each)"))]),
    Mistake("hidden from the optimizer", "7(d)7", "test_a_gate_for_each_layer_of_each_bank",
            ("the gates are not registered",),
            [("self.gates = nn.ModuleDict()", "self.gates = {}")]),
    Mistake("linear layers", "-", "test_a_gate_for_each_layer_of_each_bank",
            ("made by calling gate()",), [(LIST, LIST.replace("gate()", "gate().score"))]),
]  # fmt: skip

GIVE = "replace(e, gate=gate)"
RETURN = f"return {{bank: [{GIVE} for e, gate in pairs[bank]] for bank in made}}"
SLOTS = [
    Mistake("gates forgotten", "-", "test_each_layer_gets_its_gate", ("an Extra has no gate",),
            [(GIVE, "e")]),
    Mistake("gates of the first bank", "7(d)10", "test_each_layer_gets_its_gate",
            ("has the gates of the bank ['encoder']",),
            [("self.gates[bank], strict", "next(iter(self.gates.values())), strict")]),
    Mistake("gates upside down", "7(d)10", "test_each_layer_gets_its_gate",
            ("has another layer's gate",),
            [("self.gates[bank], strict", "reversed(self.gates[bank]), strict")]),
    Mistake("half already", "-", "test_each_layer_gets_its_gate", ("P is halved",),
            [(GIVE, "replace(e, gate=gate, keys=e.keys / 2)")]),
    Mistake("returns the gates", "-", "test_each_layer_gets_its_gate",
            ("forward gives no {bank: […]}",), [(RETURN, "return self.gates")]),
]  # fmt: skip

SMALL = '    if small := [f"{name} {size}" for name, size in sizes.items() if size < 1]:\n'
RAISE = '        raise ValueError(f"{small[0]}; expected at least 1")\n'
NAMES = 'names, doors = inject.choose(model, TARGETS), adapter.doors_of(model, "pfeiffer")'
FACTORY = "gate = partial(Gate, width, base.context, masked=masked)"
ADAPTERS = "adapters = [GatedAdapter(width, bottleneck, activation, gate()) for _ in doors]"
PREFIX = "slots = GatedPrefix(base.config, base.BANKS, length, hidden, reparameterize, gate)"
OTHERS = 'others = {"reparameterize": reparameterize, "activation": activation, "masked": masked}'
BEGIN = 'inject.begin(model, "unipelt", **sizes, **others)'
IN_FILE = 'model.delta.in_file = {"reparameterize": False}'
WHICH = "memory = {model.get_submodule(name): inject.matches(name, OF_MEMORY) for name in names}"
REPLACE = """    inject.replace(
        model, names.__contains__, lambda old: GatedLoRALinear(old, rank, gate(memory=memory[old]))
    )
"""
IN = "setattr(block, door, one.to(like).train(block.training))"
LAST = "base.prefix = slots.to(like).train(base.training)"
END = f"    {LAST}\n    return model\n"
ADD = [
    Mistake("returns nothing", "-", "test_returns_the_model", ("add_unipelt returns None",),
            [(END, f"    {LAST}\n")]),
    Mistake("above the body", "-", "test_returns_the_model", ("at the door prefix: NoneType",),
            [(LAST, LAST.replace("base.prefix", "model.prefix"))]),
    Mistake("no LoRA", "-", "test_returns_the_model", ("no GatedLoRALinear in the model",),
            [(REPLACE, "")]),
    Mistake("no adapter", "-", "test_returns_the_model", ("no GatedAdapter in the model",),
            [(IN, "pass")]),
    Mistake("Q and K", "-", "test_where_the_parts_stand", ("W_k is adapted",),
            [(NAMES, NAMES.replace("TARGETS", '("q_proj", "k_proj")'))]),
    Mistake("W_q alone", "-", "test_where_the_parts_stand", ("LoRA is missing at",),
            [(NAMES, NAMES.replace("TARGETS", "TARGETS[:1]"))]),
    Mistake("Houlsby's place", "7(d)11", "test_where_the_parts_stand", ("is Houlsby's placement",),
            [(NAMES, NAMES.replace("pfeiffer", "houlsby"))]),
    Mistake("the first block alone", "-", "test_where_the_parts_stand", ("adapters at [",),
            [(NAMES, f"{NAMES}\n    doors = doors[:1]")]),
    Mistake("one adapter for all", "-", "test_where_the_parts_stand", ("blocks share an adapter",),
            [(ADAPTERS, "adapters = [GatedAdapter(width, bottleneck, activation, gate())] * "
              "len(doors)")]),
    Mistake("one bank", "-", "test_where_the_parts_stand", ("the prefix has the banks",),
            [(PREFIX, PREFIX.replace("base.BANKS", "base.BANKS[:1]"))]),
    Mistake("one gate object", "7(d)10", "test_every_part_has_a_gate_of_its_own",
            ("8 parts share 1 gates",),
            [(FACTORY, "one = Gate(width, base.context, masked=masked)\n    "
              "gate = lambda memory=False: one")]),
    Mistake("a context of their own", "-", "test_gates_know_what_they_read",
            ("has another context than the model's",),
            [(FACTORY, FACTORY.replace("base.context", "type(base.context)()"))]),
    Mistake("memory unknown", "7(d)8", "test_gates_know_what_they_read",
            ("reads the memory, and is not told so",),
            [("gate(memory=memory[old])", "gate()")]),
    Mistake("memory for W_q too", "7(d)8", "test_gates_know_what_they_read",
            ("reads no memory, and is not told so",),
            [("inject.matches(name, OF_MEMORY)", '"cross_attention" in name')]),
    Mistake("masked lost", "-", "test_masked_reaches_every_gate", ("masked=False does not arrive",),
            [(FACTORY, "gate = partial(Gate, width, base.context)")]),
    Mistake("never masked", "7(d)1", "test_masked_reaches_every_gate",
            ("masked=True does not arrive",), [(FACTORY, FACTORY.replace("=masked", "=False"))]),
    Mistake("frozen too late", "-", "test_what_trains", ("did it move in before begin?",),
            [(f"    {BEGIN}\n    {IN_FILE}\n", ""),
             (END, f"    {LAST}\n    {BEGIN}\n    {IN_FILE}\n    return model\n")]),
    Mistake("head frozen", "-", "test_what_trains", ("head does not train",),
            [(BEGIN, f"{BEGIN}\n    model.requires_grad_(False)")]),
    Mistake("base thawed", "-", "test_what_trains", ("the base still trains",),
            [(BEGIN, f"{BEGIN}\n    model.requires_grad_(True)")]),
    Mistake("length lost", "-", "test_options_reach_the_parts", ("length=3 is lost",),
            [(PREFIX, PREFIX.replace("length", "10"))]),
    Mistake("rank lost", "-", "test_options_reach_the_parts", ("rank=2 is lost",),
            [("GatedLoRALinear(old, rank,", "GatedLoRALinear(old, 8,")]),
    Mistake("bottleneck lost", "-", "test_options_reach_the_parts", ("bottleneck=5 is lost",),
            [(ADAPTERS, ADAPTERS.replace("bottleneck", "48"))]),
    Mistake("hidden lost", "-", "test_options_reach_the_parts", ("W₁, with hidden=7",),
            [(PREFIX, PREFIX.replace("hidden", "512"))]),
    Mistake("activation lost", "-", "test_options_reach_the_parts", ("activation is lost",),
            [(ADAPTERS, "adapter.look_up(adapter.ACTIVATIONS, activation, 'activation')\n    "
              + ADAPTERS.replace("activation,", '"relu",'))]),
    Mistake("always a network", "-", "test_options_reach_the_parts",
            ("reparameterize=False does not arrive",),
            [(PREFIX, PREFIX.replace("reparameterize", "True"))]),
    Mistake("not begun", "-", "test_is_recorded_for_the_file",
            ("does not know that it carries UniPELT",),
            [(f"    {BEGIN}\n    {IN_FILE}\n", "    inject.freeze(model)\n")]),
    Mistake("masked not recorded", "-", "test_is_recorded_for_the_file",
            ("not recorded as given: masked",),
            [(OTHERS, OTHERS.replace(', "masked": masked', ""))]),
    Mistake("a file with a network", "-", "test_is_recorded_for_the_file", ("delta.in_file {}",),
            [(f"    {IN_FILE}\n", "")]),
    Mistake("float32 adapters", "-", "test_takes_type_and_mode_of_the_model",
            ("after_feedforward", "has another type"), [(IN, IN.replace(".to(like)", ""))]),
    Mistake("float32 prefix", "-", "test_takes_type_and_mode_of_the_model",
            ("['prefix.", "has another type"), [(LAST, LAST.replace(".to(like)", ""))]),
    Mistake("always in training", "-", "test_takes_type_and_mode_of_the_model",
            ("is in training mode",), [(LAST, "base.prefix = slots.to(like)")]),
    Mistake("any size will do", "-", "test_a_refused_call_changes_nothing", ("length=0: no error",),
            [(SMALL + RAISE, "")]),
    Mistake("sizes checked too late", "-", "test_a_refused_call_changes_nothing",
            ("the refused call has changed the model; check before begin",),
            [(SMALL + RAISE, ""), (END, f"    {LAST}\n{SMALL}{RAISE}    return model\n")]),
    Mistake("W_q not found", "-", "test_a_refused_call_changes_nothing",
            ("matches no linear layer", "it must name already"),
            [("    inject.refuse_second(model)  # before `choose`, which would not find W_q under "
              "another method\n", "")]),
]  # fmt: skip

ATTENTION, BATCHING, GPT = "minift.models.attention", "minift.batching", "minift.models.gpt"
DELTA, TEST = "minift.peft.delta", "tests.test_unipelt.test_"
KEYS = "k = torch.cat([(extra.keys * gate).to(k.dtype), k], dim=2)"
VALUES = "v = torch.cat([(extra.values * gate).to(v.dtype), v], dim=2)"
ELSEWHERE = [
    Mistake("the text's keys too", "7(d)5", f"{TEST}gates_scale_keys_and_values",
            ("scales the text's own keys too",), of=ATTENTION,
            edits=[(KEYS, "k = torch.cat([extra.keys, k], dim=2) * gate")]),
    Mistake("P_V alone", "7(d)6", f"{TEST}gates_scale_keys_and_values", ("P_K has no gate",),
            of=ATTENTION, edits=[(KEYS, KEYS.replace(" * gate", ""))]),
    Mistake("P_K alone", "7(d)6", f"{TEST}gates_scale_keys_and_values", ("P_V has no gate",),
            of=ATTENTION, edits=[(VALUES, VALUES.replace(" * gate", ""))]),
    Mistake("merged all the same", "7(d)13", f"{TEST}merge_says_why_not",
            ("merge: no error",), of=DELTA,
            edits=[('        raise ValueError(f"{carried(model).method} cannot be merged: '
                    '{method.NO_MERGE}")\n', "        return remove(model)\n")]),
    Mistake("a later turn in the pool", "-", f"{TEST}a_dialogues_gates_read_up_to_the_first_answer",
            ("loss of the first answer",), of=BATCHING,
            edits=[("prompt = mask & (answer.cumsum(dim=1) == 0)", "prompt = mask & ~answer")]),
    Mistake("generate without a prompt", "-", f"{TEST}generate_writes_what_training_has_scored",
            ("scores of the first token",), of=GPT,
            edits=[("cache=cache, pool=pool, rows=rows)", "cache=cache, rows=rows)")]),
]  # fmt: skip

MISTAKES = [
    *MEAN, *NUMBERS, *FORWARD, *LORA, *ADAPTER, *BANKS, *SLOTS, *ADD, *ELSEWHERE,
]  # fmt: skip

ZEROS = {
    "mean_over": """
        def mean_over(each, pool):
            return torch.zeros(len(each), 1, 1)
    """,
    "Gate.__init__": """
        def __init__(self, width, context, memory=False, masked=True):
            super().__init__()
            self.score = nn.Linear(1, 1, bias=False)
            nn.init.zeros_(self.score.weight)
    """,
    "Gate.forward": """
        def forward(self, h):
            return 0 * h[:, :1, :1].detach()
    """,
    "GatedLoRALinear.forward": """
        def forward(self, x):
            return 0 * self.frozen(x) * self.A.sum() * self.B.sum()
    """,
    "GatedAdapter.forward": """
        def forward(self, output, input):
            return 0 * output
    """,
    "GatedPrefix.__init__": """
        def __init__(self, config, banks, length, hidden, reparameterize, gate):
            nn.Module.__init__(self)
            self.gates = nn.ModuleDict()
    """,
    "GatedPrefix.forward": """
        def forward(self, b, rows=None):
            return {}
    """,
    "add_unipelt": """
        def add_unipelt(model, **options):
            return model
    """,
}

OTHERWISE = {
    "mean_over": """
        def mean_over(each, pool):
            kept = each[:, :, 0].masked_fill(pool.logical_not(), 0.0)
            count = pool.sum(1).clamp(min=1).to(each.dtype)
            return (kept.sum(1) / count).view(-1, 1, 1)
    """,
    "Gate.__init__": """
        def __init__(self, width, context, memory=False, masked=True):
            super(Gate, self).__init__()
            self.context = context
            self.memory = memory
            self.masked = masked
            self.score = nn.Linear(in_features=width, out_features=1)
            with torch.no_grad():
                self.score.weight.copy_(0.02 * torch.randn(1, width))
                self.score.bias.fill_(0)
    """,
    "Gate.forward": """
        def forward(self, h):
            book = self.context.now.notes
            if book is not None and book.get(self) is not None:
                return book[self]
            z = (h * self.score.weight[0]).sum(-1, keepdim=True) + self.score.bias
            value = mean_over(1 / (1 + torch.exp(-z)), self.pool(h))
            if book is None:
                return value
            book.update({self: value})
            return value
    """,
    "GatedLoRALinear.forward": """
        def forward(self, x):
            change = x @ (self.B @ self.A).T
            return torch.add(self.gate(x) * change, self.frozen(x))
    """,
    "GatedAdapter.forward": """
        def forward(self, output, input):
            change = adapter.Adapter.forward(self, output, input) - output
            return torch.addcmul(output, self.gate(output), change)
    """,
    "GatedPrefix.__init__": """
        def __init__(self, config, banks, length, hidden, reparameterize, gate):
            super(GatedPrefix, self).__init__(config, banks, length, hidden, reparameterize)
            layers = range(config.n_layers)
            self.gates = nn.ModuleDict({b: nn.ModuleList([gate() for _ in layers]) for b in banks})
    """,
    "GatedPrefix.forward": """
        def forward(self, b, rows=None):
            banks = prefix.Prefix.forward(self, b, rows)
            for name in banks:
                for n, one in enumerate(banks[name]):
                    one.gate = self.gates[name][n]
            return banks
    """,
    "add_unipelt": """
        def add_unipelt(model, length=10, rank=8, bottleneck=48, hidden=512, reparameterize=True,
                        activation="relu", masked=True):
            own = dict(length=length, rank=rank, bottleneck=bottleneck, hidden=hidden)
            for name, number in own.items():
                if number <= 0:
                    raise ValueError(f"{name} {number} is too small")
            if getattr(model, "delta", None):
                raise ValueError("the model already carries a method")
            body = inject.body(model)
            c, like = body.config.d_model, next(body.parameters())

            def make(memory=False):
                return Gate(c, body.context, memory=memory, masked=masked)

            adapters = {}
            for block, door in adapter.doors_of(model, "pfeiffer"):
                adapters[block, door] = GatedAdapter(c, bottleneck, activation, make())
            own |= dict(reparameterize=reparameterize, activation=activation, masked=masked)
            names = inject.choose(model, ["v_proj", "q_proj"])
            inject.begin(model, "unipelt", **own)
            model.delta.in_file["reparameterize"] = False
            for name in names:
                memory = name.endswith("cross_attention.v_proj")
                inject.replace(
                    model, lambda n: n == name, lambda old: GatedLoRALinear(old, rank, make(memory))
                )
            for (block, door), one in adapters.items():
                block.add_module(door, one.to(like.device, like.dtype).train(block.training))
            body.prefix = GatedPrefix(
                body.config, list(body.BANKS), length, hidden, reparameterize, make
            )
            body.prefix.to(like.device, like.dtype).train(body.training)
            return model
    """,
}
