"""Wrong answers to homework 03, prefix tuning (spec: peft §3(d), 1–13; "-" is not listed there)."""

from tests.mistakes import Mistake

SPEC = ("3(d)", 13)

UNSEEN = {}

SMALL = "self.small = nn.Parameter(torch.randn(length, width))"
FIRST = "self.first = nn.Linear(width, hidden)"
SECOND = "self.second = nn.Linear(hidden, size)"
BENT = "bent = torch.tanh(self.first(self.small))"
MADE = "return self.second(bent)"

NETWORK = [
    Mistake("P′ no parameter", "-", "test_shapes_of_the_network", ("P′ is no nn.Parameter",),
            [(SMALL, "self.small = torch.randn(length, width)")]),
    Mistake("P′ transposed", "-", "test_shapes_of_the_network", ("P′ has its axes swapped",),
            [(SMALL, "self.small = nn.Parameter(torch.randn(width, length))")]),
    Mistake("P′ as wide as the network", "-", "test_shapes_of_the_network",
            ("P′ has the width of the network",),
            [(SMALL, "self.small = nn.Parameter(torch.randn(length, hidden))")]),
    Mistake("W₁ the wrong way", "-", "test_shapes_of_the_network", ("first is the wrong way",),
            [(FIRST, "self.first = nn.Linear(hidden, width)")]),
    Mistake("no b₂", "-", "test_shapes_of_the_network", ("second.bias, which equation (1) has",),
            [(SECOND, "self.second = nn.Linear(hidden, size, bias=False)")]),
    Mistake("W₂ frozen", "-", "test_shapes_of_the_network", ("trained numbers: 57",),
            [(SECOND, f"{SECOND}.requires_grad_(False)")]),
    Mistake("P′ zero", "-", "test_start_of_the_network", ("P′ is zero",),
            [(SMALL, "self.small = nn.Parameter(torch.zeros(length, width))")]),
    Mistake("all slots alike", "-", "test_start_of_the_network", ("all rows of P′ are the same",),
            [(SMALL, "self.small = nn.Parameter(torch.randn(1, width).repeat(length, 1))")]),
    Mistake("P′ small", "-", "test_start_of_the_network", ("deviation 0.02, GPT-2's",),
            [(SMALL, "self.small = nn.Parameter(0.02 * torch.randn(length, width))")]),
    Mistake("P′ uniform", "-", "test_start_of_the_network", ("P′ is uniform",),
            [(SMALL, "self.small = nn.Parameter(torch.rand(length, width))")]),
    Mistake("zeros as a neutral start", "3(d)12", "test_start_of_the_network",
            ("W₂ is zero, so P is; a prefix of zeros is not the base",),
            [(SECOND, f"{SECOND}\n        nn.init.zeros_(self.second.weight)\n"
              "        nn.init.zeros_(self.second.bias)")]),
    Mistake("GPT-2's start", "-", "test_start_of_the_network", ("deviation of W₂",),
            [(SECOND, f"{SECOND}\n        nn.init.normal_(self.second.weight, std=0.02)")]),
]  # fmt: skip

EQUATION = [
    Mistake("no tanh", "-", "test_equation_1", ("tanh is missing",),
            [(BENT, "bent = self.first(self.small)")]),
    Mistake("tanh behind W₂", "-", "test_equation_1", ("tanh stands behind W₂ alone",),
            [(BENT, "bent = self.first(self.small)"),
             (MADE, "return torch.tanh(self.second(bent))")]),
    Mistake("tanh twice", "-", "test_equation_1", ("tanh stands behind W₂ too",),
            [(MADE, "return torch.tanh(self.second(bent))")]),
    Mistake("ReLU", "-", "test_equation_1", ("you bend with ReLU",),
            [(BENT, "bent = torch.relu(self.first(self.small))")]),
    Mistake("b₁ left out", "-", "test_equation_1", ("b₁ is left out",),
            [(BENT, "bent = torch.tanh(self.small @ self.first.weight.T)")]),
    Mistake("b₂ left out", "-", "test_equation_1", ("b₂ is left out",),
            [(MADE, "return bent @ self.second.weight.T")]),
    Mistake("W₁ detached", "-", "test_gradients_of_the_network", ("first.bias gets no gradient",),
            [(MADE, "return self.second(bent.detach())")]),
    Mistake("P′ detached", "-", "test_gradients_of_the_network", ("small gets no gradient",),
            [(BENT, "bent = torch.tanh(self.first(self.small.data))")]),
]  # fmt: skip

BLOCKS = "blocks = rows.view(b, p, layers, 2, heads, -1)"
ORDER = "blocks = blocks.permute(2, 3, 0, 4, 1, 5)"
LIST = "return [Extra(keys, values) for keys, values in blocks]"
CUTTING = [
    Mistake("view alone", "3(d)6", "test_by_layer", ("view alone: it splits",),
            [(BLOCKS, "blocks = rows.reshape(b, layers, 2, heads, p, -1)"),
             (ORDER, "blocks = blocks.permute(1, 2, 0, 3, 4, 5)")]),
    Mistake("view over everything", "3(d)6", "test_by_layer", ("the same view over all rows",),
            [(BLOCKS, "blocks = rows.reshape(layers, 2, b, heads, p, -1)"), (ORDER, "pass")]),
    Mistake("values before keys", "3(d)6", "test_by_layer",
            ("keys and values have changed places",),
            [(LIST, "return [Extra(keys, values) for values, keys in blocks]")]),
    Mistake("all keys first", "3(d)6", "test_by_layer", ("you read all keys, then all values",),
            [(BLOCKS, "blocks = rows.reshape(b, p, 2, layers, heads, -1).transpose(2, 3)")]),
    Mistake("heads by steps", "3(d)6", "test_by_layer", ("a head takes every h-th number",),
            [(BLOCKS, "blocks = rows.reshape(b, p, layers, 2, -1, heads).transpose(4, 5)")]),
    Mistake("slots before heads", "3(d)6", "test_by_layer", ("slots stand before heads",),
            [(ORDER, "blocks = blocks.permute(2, 3, 0, 1, 4, 5)")]),
    Mistake("one prefix for all layers", "3(d)7", "test_by_layer", ("every layer gets the first",),
            [(LIST, "return [Extra(*blocks[0]) for _ in blocks]")]),
    Mistake("prompt tuning in disguise", "3(d)3", "test_by_layer", ("that is prompt tuning",),
            [(LIST, "blocks = [blocks[0], *torch.zeros_like(blocks[1:])]\n    "
              "return [Extra(keys, values) for keys, values in blocks]")]),
    Mistake("keys twice", "-", "test_by_layer", ("the values are the keys again",),
            [(LIST, "return [Extra(keys, keys) for keys, values in blocks]")]),
    Mistake("pairs", "-", "test_by_layer", ("expected an Extra",),
            [(LIST, "return [(keys, values) for keys, values in blocks]")]),
    Mistake("keys and values one by one", "-", "test_by_layer", ("has 14 entries",),
            [(LIST, "return [Extra(block, block) for block in blocks.flatten(0, 1)]")]),
    Mistake("off the graph", "3(d)8", "test_by_layer_takes_one_p_for_many_rows",
            ("by_layer takes P off the graph",),
            [(BLOCKS, "blocks = rows.detach().view(b, p, layers, 2, heads, -1)")]),
]  # fmt: skip

SIZES = "width, size = config.d_model, 2 * config.n_layers * config.d_model"
EACH = "network = PrefixNetwork(length, width, hidden, size) if reparameterize else None"
PUT = "self.banks[bank] = network or PrefixMatrix(length, size)"
OF_BANKS = [
    Mistake("one layer's numbers", "3(d)7", "test_a_network_for_each_bank",
            ("that is one layer's",),
            [(SIZES, "width, size = config.d_model, 2 * config.d_model")]),
    Mistake("keys alone", "-", "test_a_network_for_each_bank", ("a slot has both",),
            [(SIZES, "width, size = config.d_model, config.n_layers * config.d_model")]),
    Mistake("nd numbers", "3(d)3", "test_a_network_for_each_bank", ("prompt tuning, a prefix at",),
            [(SIZES, "width, size = config.d_model, config.d_model")]),
    Mistake("the first bank alone", "3(d)11", "test_a_network_for_each_bank",
            ("three attentions, three banks",),
            [("for bank in banks:", "for bank in banks[:1]:")]),
    Mistake("one network for all banks", "3(d)11", "test_a_network_for_each_bank",
            ("banks share one network",),
            [(PUT, "self.banks[bank] = next(iter(self.banks.values()), network)")]),
    Mistake("length for hidden", "-", "test_a_network_for_each_bank",
            ("P′ of a bank", "changed places"),
            [(EACH, EACH.replace("length, width, hidden", "hidden, width, length"))]),
    Mistake("always a network", "-", "test_without_a_network",
            ("reparameterize=False, and encoder is",),
            [(EACH, "network = PrefixNetwork(length, width, hidden, size)")]),
    Mistake("P transposed", "-", "test_without_a_network", ("P has its axes swapped",),
            [("PrefixMatrix(length, size)", "PrefixMatrix(size, length)")]),
    Mistake("at most 500 wide", "3(d)5", "test_counts_of_the_paper",
            ("trained numbers, the network counted:",),
            [(EACH, EACH.replace("hidden, size", "min(hidden, 500), size"))]),
    Mistake("length not kept", "-", "test_counts_of_the_paper", ("which the model counts by",),
            [("self.length, self.layers, self.heads = length,",
              "self.length, self.layers, self.heads = 1,")]),
]  # fmt: skip

STORED = 'return {f"banks.{bank}.P": make() for bank, make in self.banks.items()}'
TO_STORE = [
    Mistake("the network is stored", "3(d)5", "test_stored_is_p_alone",
            ("the network is stored", "it has done its work"),
            [(STORED, 'kept = self.banks.state_dict(prefix="banks.")\n        return kept')]),
    Mistake("own names", "-", "test_stored_is_p_alone", ("stored under ['cross'",),
            [(STORED, "return {bank: make() for bank, make in self.banks.items()}")]),
    Mistake("the first bank is stored", "3(d)11", "test_stored_is_p_alone",
            ("stored under ['banks.encoder.P'], expected",),
            [(STORED, STORED.replace("self.banks.items()", "list(self.banks.items())[:1]"))]),
    Mistake("P′ is stored", "3(d)5", "test_stored_is_p_alone",
            ("stored P of encoder: shape (5, 12)",),
            [(STORED, STORED.replace("make()", 'getattr(make, "small", getattr(make, "P", 0))'))]),
    Mistake("a copy is stored", "-", "test_stored_hands_over_the_parameter",
            ("stored gives a copy of P",),
            [(STORED, STORED.replace("make()", "make().detach().clone()"))]),
]  # fmt: skip

MAKE = "made = {bank: make().expand(b, -1, -1) for bank, make in self.banks.items()}"
HAND = "return {bank: by_layer(P, self.layers, self.heads) for bank, P in made.items()}"
FORWARD = [
    Mistake("first bank for all", "3(d)11", "test_every_row_gets_the_prefix",
            ("it has the prefix of another",),
            [(HAND, 'first = next(iter(made.values()))\n        '
              "return {bank: by_layer(first, self.layers, self.heads) for bank in made}")]),
    Mistake("layers for heads", "-", "test_every_row_gets_the_prefix",
            ("layers and heads have changed places",),
            [(HAND, HAND.replace("self.layers, self.heads", "self.heads, self.layers"))]),
    Mistake("a list of banks", "-", "test_every_row_gets_the_prefix", ("forward gives list",),
            [(HAND, "return [by_layer(P, self.layers, self.heads) for P in made.values()]")]),
    Mistake("one row", "-", "test_every_row_gets_the_prefix", ("shape (7, 2, 1, 3, 5, 4)",),
            [(MAKE, MAKE.replace("expand(b,", "expand(1,"))]),
    Mistake("data", "3(d)8", "test_the_gradient_is_the_sum_over_rows",
            ("no gradient reaches P",),
            [(MAKE, MAKE.replace("make()", "make().data")),
             (HAND, "made = {bank: P.clone().requires_grad_() for bank, P in made.items()}\n"
              f"        {HAND}")]),
    Mistake("mean over rows", "3(d)8", "test_the_gradient_is_the_sum_over_rows",
            ("0.3333 times the expected value everywhere",),
            [(HAND, "made = {bank: P / b + (1 - 1 / b) * P.detach() for bank, P in made.items()}\n"
              f"        {HAND}")]),
    Mistake("the last row alone learns", "3(d)8", "test_the_gradient_is_the_sum_over_rows",
            ("the gradient is that of the last row",),
            [(HAND, "made = {n: torch.cat([P[:-1].detach(), P[-1:]]) for n, P in made.items()}\n"
              f"        {HAND}")]),
    Mistake("kept from the last call", "-", "test_p_is_made_anew_each_time",
            ("P is kept from an earlier call",),
            [(MAKE, "if not hasattr(self, 'kept'):\n            self.kept = "
              "{bank: make() for bank, make in self.banks.items()}\n"
              "        made = {bank: P.expand(b, -1, -1) for bank, P in self.kept.items()}")]),
]  # fmt: skip

BODY = "base = inject.body(model)\n    prefix = Prefix"
NEW = "prefix = Prefix(base.config, base.BANKS, length, hidden, reparameterize)"
BEGIN = 'inject.begin(model, "prefix", length=length, hidden=hidden, reparameterize=reparameterize)'
IN_FILE = 'model.delta.in_file = {"reparameterize": False}'
MOVE = "base.prefix = prefix.to(base.embedding.weight).train(base.training)"
OF_MODEL = "    return model\n\n\n# ---- real words ----"
ADD = [
    Mistake("returns nothing", "-", "test_returns_the_model", ("add_prefix returns None",),
            [(OF_MODEL, "\n\n# ---- real words ----")]),
    Mistake("above the body", "-", "test_returns_the_model", ("no Prefix at the door",),
            [(MOVE, MOVE.replace("base.prefix", "model.prefix"))]),
    Mistake("peft's one bank", "3(d)11", "test_all_banks_of_an_encoder_decoder",
            ("only the decoder has a prefix",),
            [(NEW, "banks = [bank for bank in base.BANKS if bank in ('self', 'decoder')]\n"
              "    prefix = Prefix(base.config, banks, length, hidden, reparameterize)")]),
    Mistake("no prefix for the look at x", "3(d)11", "test_all_banks_of_an_encoder_decoder",
            ("the bank cross",),
            [(NEW, NEW.replace("base.BANKS", "base.BANKS[:2]"))]),
    Mistake("frozen too late", "-", "test_what_trains", ("the prefix is frozen",),
            [(MOVE, f"{MOVE}\n    inject.freeze(model)")]),
    Mistake("base thawed", "-", "test_what_trains", ("the base still trains",),
            [(MOVE, f"{MOVE}\n    model.requires_grad_(True)")]),
    Mistake("length for m", "-", "test_options_reach_the_prefix",
            ("P′: shape (5, 12), expected (3, 12); length and hidden",),
            [(NEW, NEW.replace("length, hidden", "hidden, length"))]),
    Mistake("hidden lost", "-", "test_options_reach_the_prefix", ("hidden=5 is lost",),
            [(NEW, NEW.replace("hidden", "512"))]),
    Mistake("reparameterize lost", "-", "test_options_reach_the_prefix",
            ("reparameterize=False does not arrive",),
            [(NEW, NEW.replace(", reparameterize)", ")"))]),
    Mistake("hidden not recorded", "-", "test_is_recorded_for_the_file",
            ("not recorded as given: hidden",),
            [(BEGIN, BEGIN.replace(" hidden=hidden,", ""))]),
    Mistake("a file with a network", "3(d)5", "test_is_recorded_for_the_file",
            ("delta.in_file {}",),
            [(f"    {IN_FILE}\n", "")]),
    Mistake("not begun", "-", "test_is_recorded_for_the_file", ("does not know that it carries",),
            [(BEGIN, "inject.refuse_second(model)\n    inject.freeze(model)"),
             (f"    {IN_FILE}\n", "")]),
    Mistake("always float32", "-", "test_takes_type_and_mode_of_the_model",
            ("the prefix is torch.",),
            [(MOVE, "base.prefix = prefix.train(base.training)")]),
    Mistake("always in training", "-", "test_takes_type_and_mode_of_the_model",
            ("the prefix is in training mode",),
            [(MOVE, "base.prefix = prefix.to(base.embedding.weight)")]),
    Mistake("moved in before it is allowed", "-", "test_refuses_what_cannot_be",
            ("has left a prefix on the model",),
            [(BEGIN, f"base.prefix = prefix\n    {BEGIN}\n    prefix.requires_grad_(True)")]),
]  # fmt: skip

GPT, ENCODER = "minift.models.gpt", "minift.models.encoder"
SLOTS = "slots = real_slots(mask, ids, start, cache.mask if cache else None)"
TEST = "tests.test_prefix.test_"
ELSEWHERE = [
    Mistake("slots masked out", "3(d)1", f"{TEST}slots_are_seen_under_a_mask",
            ("encoder: another prefix changes nothing",), of=ENCODER,
            edits=[("F.pad(mask, (p, 0), value=True)", "F.pad(mask, (p, 0), value=False)")]),
    Mistake("causal over the slots", "3(d)2", f"{TEST}the_first_token_sees_every_slot",
            ("the first token sees 1 of 3 slots",), of=GPT,
            edits=[('{"allowed": allowed, "causal"', '{"allowed": None, "causal"')]),
    Mistake("slots with queries", "3(d)4", f"{TEST}a_slot_has_no_query",
            ("output behind a prefix: shape (2, 8, 12), expected (2, 5, 12)",),
            of="minift.models.attention",
            edits=[("q = self.split(self.q_proj(x))",
                    "q = self.split(self.q_proj(x))\n        "
                    "q = q if extra is None else torch.cat([extra.keys, q], 2)")]),
    Mistake("prepended at every step", "3(d)9", f"{TEST}the_cache_holds_the_prefix_once",
            ("slots behind 2 tokens, expected 5",), of=GPT,
            edits=[("prefixed = self.prefix is not None and first",
                    "prefixed = self.prefix is not None")]),
    Mistake("positions of two kinds", "3(d)10", f"{TEST}the_cache_holds_the_prefix_once",
            ("read token by token, positions behind the prefix:",), of=GPT,
            edits=[("count_positions(ids, slots, start, documents)",
                    "count_positions(ids, slots, 0 if first else start, documents)")]),
    Mistake("slots behind the padding", "3(d)13", f"{TEST}left_padding_stands_behind_the_prefix",
            ("a row behind a prefix, padded on the left:",), of=GPT,
            edits=[(SLOTS, f"{SLOTS}\n        "
                    "slots = slots if mask is None or not first else slots.roll(-start, 1)")]),
    Mistake("a row too far", "-", f"{TEST}each_row_gets_its_own_prefix",
            ("gpt: row 0, of the task 2:",), of="minift.peft.serving",
            edits=[("P[rows]", "P[rows.roll(1)]")]),
    Mistake("the mean of all users", "-", f"{TEST}no_row_meets_anothers_prefix",
            ("rows of other tasks, once a prefix has changed:",), of="minift.peft.serving",
            edits=[("P[rows]", "0.9 * P[rows] + 0.1 * P.mean(0)")]),
    Mistake("minus one is somebody", "-", f"{TEST}rows_must_say_whose_they_are",
            ("rows [0, 1, 2, -1]: no error",), of="minift.peft.serving",
            edits=[("int(rows.min()) < 0 or ", "")]),
]  # fmt: skip

MISTAKES = [
    *NETWORK, *EQUATION, *CUTTING, *OF_BANKS, *TO_STORE, *FORWARD, *ADD, *ELSEWHERE,
]  # fmt: skip

ZEROS = {
    "PrefixNetwork.__init__": """
        def __init__(self, length, width, hidden, size):
            super().__init__()
            self.small = torch.zeros(length, width)
            self.first, self.second = nn.Linear(width, hidden), nn.Linear(hidden, size)
            nn.init.zeros_(self.second.weight)
    """,
    "PrefixNetwork.forward": """
        def forward(self):
            return torch.zeros(len(self.small), self.second.out_features)
    """,
    "by_layer": """
        def by_layer(rows, layers, heads):
            b, p, size = rows.shape
            zeros = torch.zeros(b, heads, p, size // (2 * layers * heads))
            return [Extra(zeros, zeros)] * layers
    """,
    "Prefix.__init__": """
        def __init__(self, config, banks, length, hidden, reparameterize=True):
            super().__init__()
            self.length, self.layers, self.heads = 0, 0, 0
            self.banks = nn.ModuleDict()
    """,
    "Prefix.stored": """
        def stored(self):
            return {}
    """,
    "Prefix.forward": """
        def forward(self, b, rows=None):
            return {}
    """,
    "add_prefix": """
        def add_prefix(model, **options):
            return model
    """,
}

OTHERWISE = {
    "PrefixNetwork.__init__": """
        def __init__(self, length, width, hidden, size):
            super(PrefixNetwork, self).__init__()
            self.second = nn.Linear(in_features=hidden, out_features=size)
            self.first = nn.Linear(in_features=width, out_features=hidden)
            self.small = nn.Parameter(torch.empty(length, width))
            nn.init.normal_(self.small)
    """,
    "PrefixNetwork.forward": """
        def forward(self):
            hidden = F.linear(self.small, self.first.weight, self.first.bias).tanh()
            return hidden @ self.second.weight.T + self.second.bias
    """,
    "by_layer": """
        def by_layer(rows, layers, heads):
            blocks, bank = rows.chunk(2 * layers, dim=-1), []
            for keys, values in zip(blocks[::2], blocks[1::2]):
                b, p, c = keys.shape
                pair = [t.reshape(b, p, heads, c // heads).transpose(1, 2) for t in (keys, values)]
                bank.append(Extra(*pair))
            return bank
    """,
    "Prefix.__init__": """
        def __init__(self, config, banks, length, hidden, reparameterize=True):
            super(Prefix, self).__init__()
            self.length = length
            self.layers = config.n_layers
            self.heads = config.n_heads
            c = config.d_model
            if reparameterize:
                make = lambda: PrefixNetwork(length, c, hidden, 2 * c * config.n_layers)
            else:
                make = lambda: PrefixMatrix(length, 2 * c * config.n_layers)
            self.banks = nn.ModuleDict({name: make() for name in banks})
    """,
    "Prefix.stored": """
        def stored(self):
            kept = {}
            for name in self.banks:
                bank = self.banks[name]
                kept["banks." + name + ".P"] = bank.P if hasattr(bank, "P") else bank.forward()
            return kept
    """,
    "Prefix.forward": """
        def forward(self, b, rows=None):
            banks = {}
            for name, bank in self.banks.items():
                P = torch.stack([bank()] * b)
                banks[name] = by_layer(P, self.layers, self.heads)
            return banks
    """,
    "add_prefix": """
        def add_prefix(model, length=10, hidden=512, reparameterize=True):
            for name, number in {"length": length, "hidden": hidden}.items():
                if number < 1:
                    raise ValueError(f"{name} {number} is too small")
            body = inject.body(model)
            options = dict(length=length, hidden=hidden, reparameterize=reparameterize)
            inject.begin(model, "prefix", **options)
            model.delta.in_file["reparameterize"] = False
            body.prefix = Prefix(body.config, list(body.BANKS), **options)
            body.prefix.to(dtype=body.embedding.weight.dtype, device=body.embedding.weight.device)
            body.prefix.train(body.training)
            return model
    """,
}
