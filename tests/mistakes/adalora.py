"""Wrong answers to homework 06, AdaLoRA (spec: peft §6(d), 1–15; "-" is not listed but seen)."""

from tests.mistakes import Mistake

SPEC = ("6(d)", 15)
UNSEEN = {}

START_P, START_Q = "nn.init.normal_(self.P, std=0.02)", "nn.init.normal_(self.Q, std=0.02)"
START_LAM = "nn.init.zeros_(self.lam)"
DOWN = "down = self.lam * F.linear(self.dropout(x), self.Q)"
UP = "up = F.linear(down, self.P)"
SUM = "return self.frozen(x) + self.scale * up"
NOW = "now = (torch.cat(parts, 1) * torch.cat(slopes, 1)).abs()"
MEAN = "mean = beta1 * self.running_mean + (1 - beta1) * now"
SPREAD = "spread = beta2 * self.running_spread + (1 - beta2) * (now - mean).abs()"
PARTS = "parts = (self.P.T, self.lam[:, None], self.Q)"
SLOPES = "slopes = (self.P.grad.T, self.lam.grad[:, None], self.Q.grad)"
PRODUCT = "s = self.running_mean * self.running_spread"
TOTAL = "return s[:, o] + s[:, :o].mean(1) + s[:, o + 1 :].mean(1)"


def start(p=None, lam=None, q=None):
    """reset() with other lines for P, λ or Q."""
    lines = {START_P: p, START_LAM: lam, START_Q: q}
    return [(old, new) for old, new in lines.items() if new is not None]


START = [
    Mistake("λ random", "6(d)2", "test_only_lambda_is_zero", ("λ is not zero: the first output",),
            start(lam="nn.init.normal_(self.lam, std=0.02)")),
    Mistake("P zero", "6(d)2", "test_only_lambda_is_zero", ("λ gets no gradient and stays 0",),
            start(p="nn.init.zeros_(self.P)")),
    Mistake("λ left", "-", "test_only_lambda_is_zero", ("reset leaves lam",), start(lam="pass")),
    Mistake("Q left", "-", "test_only_lambda_is_zero", ("reset leaves Q",), start(q="pass")),
    Mistake("deviation 1", "-", "test_deviation_of_p_and_q", ("the deviation is 1:",),
            start("nn.init.normal_(self.P)", q="nn.init.normal_(self.Q)")),
    Mistake("variance 0.02", "-", "test_deviation_of_p_and_q", ("as if it were the variance",),
            start("nn.init.normal_(self.P, std=0.02**0.5)")),
    Mistake("LoRA's deviation", "-", "test_deviation_of_p_and_q", ("deviation is LoRA's",),
            start(q="nn.init.normal_(self.Q, std=(3 * self.Q.shape[1]) ** -0.5)")),
]  # fmt: skip

FORWARD = [
    Mistake("no α/r", "-", "test_forward", ("you leave α/r out",),
            [(SUM, "return self.frozen(x) + up")]),
    Mistake("α/r on all", "-", "test_forward", ("α/r scales W x too",),
            [(SUM, "return self.scale * (self.frozen(x) + up)")]),
    Mistake("no Λ", "-", "test_forward", ("Λ is missing: you add P Q x",),
            [(DOWN, "down = F.linear(self.dropout(x), self.Q)")]),
    Mistake("Λ twice", "-", "test_forward", ("Λ comes in twice",),
            [(UP, "up = F.linear(self.lam * down, self.P)")]),
    Mistake("no W", "-", "test_forward", ("the path of W is missing",),
            [(SUM, "return self.scale * up")]),
    Mistake("no triplets", "-", "test_forward", ("the triplets are missing",),
            [(SUM, "return self.frozen(x)")]),
    Mistake("no bias", "-", "test_forward", ("leave out W's bias",),
            [(SUM, "return F.linear(x, self.frozen.weight) + self.scale * up")]),
    Mistake("return forgotten", "-", "test_forward", ("is the return missing?",),
            [(SUM, "h = self.frozen(x) + self.scale * up")]),
    Mistake("scaled by the living", "6(d)12", "test_a_dead_triplet_changes_no_other",
            ("one death strengthens the others",),
            [(SUM, "return self.frozen(x) + self.scale * len(self.lam) / (self.lam != 0).sum() * up"
              )]),
    Mistake("λ detached", "-", "test_gradients_at_the_start", ("λ gets no gradient: is it",),
            [(DOWN, DOWN.replace("self.lam", "self.lam.detach()"))]),
    Mistake("P detached", "-", "test_gradients_at_the_start", ("P gets no gradient at all",),
            [(UP, "up = F.linear(down, self.P.detach())")]),
    Mistake("W's input dropped", "-", "test_dropout_falls_on_the_input_of_q",
            ("falls on W's input too",), [(DOWN, f"x = self.dropout(x)\n        {DOWN}")]),
    Mistake("no dropout", "-", "test_dropout_falls_on_the_input_of_q", ("is self.dropout used?",),
            [(DOWN, DOWN.replace("self.dropout(x)", "x"))]),
]  # fmt: skip

MEASURE = [
    Mistake("no absolute value", "-", "test_sensitivity", ("signs cancel over time",),
            [(NOW, NOW.replace("(torch", "torch", 1).replace(").abs()", ""))]),
    Mistake("|w| alone", "6(d)8", "test_sensitivity", ("I is |w| alone",),
            [(NOW, "now = torch.cat(parts, 1).abs()")]),
    Mistake("|gradient| alone", "-", "test_sensitivity", ("I is |∂L/∂w| alone",),
            [(NOW, "now = torch.cat(slopes, 1).abs()")]),
    Mistake("squared", "-", "test_sensitivity", ("I is squared",),
            [(NOW, NOW.replace(".abs()", ".square()"))]),
    Mistake("no 1 − β₁", "-", "test_sensitivity", ("Ī lacks 1 − β₁",),
            [(MEAN, MEAN.replace("(1 - beta1) * now", "now"))]),
    Mistake("β₁ turned round", "-", "test_sensitivity", ("β₁ and 1 − β₁ have changed places",),
            [(MEAN, "mean = (1 - beta1) * self.running_mean + beta1 * now")]),
    Mistake("Q first", "-", "test_sensitivity", ("Q's row stands before P's column",),
            [(PARTS, "parts = (self.Q, self.lam[:, None], self.P.T)"),
             (SLOPES, "slopes = (self.Q.grad, self.lam.grad[:, None], self.P.grad.T)")]),
    Mistake("P not turned", "-", "test_sensitivity", ("Sizes of tensors", "06_adalora.py:"),
            [(PARTS, PARTS.replace("self.P.T", "self.P"))]),
    Mistake("forgetful", "-", "test_sensitivity", ("Ī forgets what it was",),
            [(MEAN, "mean = (1 - beta1) * now")]),
    Mistake("old Ī", "6(d)3", "test_moving_averages", ("compares I with the old Ī",),
            [(SPREAD, SPREAD.replace("now - mean", "now - self.running_mean"))]),
    Mistake("square of the gap", "6(d)3", "test_moving_averages", ("takes the square of I − Ī",),
            [(SPREAD, SPREAD.replace(".abs()", ".square()"))]),
    Mistake("Ī corrected as in Adam", "6(d)4", "test_sensitivity",
            ("you correct for the start, as Adam",),
            [("self.running_mean.copy_(mean)",
              "self.steps = getattr(self, 'steps', 0) + 1\n        self.raw = mean\n"
              "        self.running_mean.copy_(mean / (1 - beta1**self.steps))"),
             (MEAN, "mean = beta1 * getattr(self, 'raw', 0 * now) + (1 - beta1) * now")]),
    Mistake("Ū corrected as in Adam", "6(d)4", "test_moving_averages",
            ("you correct Ū for the start",),
            [("self.running_spread.copy_(spread)",
              "self.steps = getattr(self, 'steps', 0) + 1\n        self.raw = spread\n"
              "        self.running_spread.copy_(spread / (1 - beta2**self.steps))"),
             (SPREAD, "spread = beta2 * getattr(self, 'raw', 0 * now) "
              "+ (1 - beta2) * (now - mean).abs()")]),
    Mistake("signed gap", "6(d)3", "test_moving_averages_of_a_falling_importance",
            ("Ū lacks the absolute value",),
            [(SPREAD, SPREAD.replace("(now - mean).abs()", "(now - mean)"))]),
    Mistake("β₁ for β₂", "-", "test_moving_averages_of_a_falling_importance",
            ("Ū is smoothed with β₁",), [(SPREAD, SPREAD.replace("beta2", "beta1"))]),
    Mistake("β crossed", "-", "test_sensitivity", ("β₁ and β₂ have changed",),
            [(MEAN, MEAN.replace("beta1", "beta2")), (SPREAD, SPREAD.replace("beta2", "beta1"))]),
]  # fmt: skip

SCORES = [
    Mistake("sums", "6(d)7", "test_scores", ("you sum over P and Q",),
            [(TOTAL, "return s.sum(1)")]),
    Mistake("|λ|", "6(d)8", "test_scores", ("you rank by |λ|",),
            [(TOTAL, "return self.lam.abs()")]),
    Mistake("Ī alone", "-", "test_scores", ("s is Ī alone",), [(PRODUCT, "s = self.running_mean")]),
    Mistake("Ū alone", "-", "test_scores", ("s is Ū alone",),
            [(PRODUCT, "s = self.running_spread")]),
    Mistake("Ī + Ū", "-", "test_scores", ("s adds Ī and Ū",),
            [(PRODUCT, "s = self.running_mean + self.running_spread")]),
    Mistake("one mean", "6(d)7", "test_scores", ("one mean over the whole row",),
            [(TOTAL, "return s.mean(1)")]),
    Mistake("no s(λ)", "-", "test_scores", ("s(λ) is missing",),
            [(TOTAL, TOTAL.replace("s[:, o] + ", ""))]),
    Mistake("s(λ) alone", "-", "test_scores", ("λ alone counts",),
            [(TOTAL, "return s[:, o]")]),
    Mistake("no Q", "-", "test_scores", ("Q's row is missing",),
            [(TOTAL, "return s[:, o] + s[:, :o].mean(1)")]),
    Mistake("cut at i", "-", "test_scores", ("the row is cut at i",),
            [("o = len(self.P)", "o = self.Q.shape[1]")]),
    Mistake("one number", "-", "test_scores", ("scores: shape ()",),
            [(TOTAL, "return s.mean()")]),
]  # fmt: skip

GAP_P, GAP_Q = "layer.P.T @ layer.P - eye", "layer.Q @ layer.Q.T - eye"
GAPS = f"gaps += [{GAP_P}, {GAP_Q}]"
SQUARES = "return torch.stack([gap.square().sum() for gap in gaps]).sum()"
NORMS = "return torch.stack([gap.norm() for gap in gaps]).mean()"
WRONG_P, WRONG_Q = (
    "layer.P @ layer.P.T - torch.eye(len(layer.P))",
    ("layer.Q.T @ layer.Q - torch.eye(layer.Q.shape[1])"),
)

ORTHOGONALITY = [
    Mistake("not squared", "-", "test_orthogonality", ("R is not squared",),
            [(SQUARES, SQUARES.replace("gap.square().sum()", "gap.norm()"))]),
    Mistake("mean of squares", "-", "test_orthogonality", ("you take the mean; equation (3)",),
            [(SQUARES, SQUARES.removesuffix("sum()") + "mean()")]),
    Mistake("mean over layers", "-", "test_orthogonality", ("you take the mean over layers",),
            [(SQUARES, f"{SQUARES} / len(layers_of(model))")]),
    Mistake("P alone", "-", "test_orthogonality", ("Q is missing in R",),
            [(GAPS, f"gaps += [{GAP_P}]")]),
    Mistake("Q alone", "-", "test_orthogonality", ("P is missing in R",),
            [(GAPS, f"gaps += [{GAP_Q}]")]),
    Mistake("no I", "-", "test_orthonormal_costs_nothing", ("I is missing",),
            [("eye = torch.eye(len(layer.lam)).to(layer.lam)", "eye = 0.0")]),
    Mistake("last layer", "-", "test_orthogonality", ("only the last layer counts",),
            [("gaps += [", "gaps = [")]),
    Mistake("P's wrong side", "6(d)1", "test_orthonormal_costs_nothing", ("PPᵀ is (o, o);",),
            [(GAP_P, WRONG_P)]),
    Mistake("Q's wrong side", "6(d)1", "test_orthonormal_costs_nothing", ("QᵀQ is (i, i);",),
            [(GAP_Q, WRONG_Q)]),
    Mistake("both wrong sides", "6(d)1", "test_orthonormal_costs_nothing",
            ("both products are the wrong way round",), [(GAP_P, WRONG_P), (GAP_Q, WRONG_Q)]),
    Mistake("R detached", "-", "test_gradient_of_orthogonality",
            ("R's gradient does not reach",),
            [(GAPS, f"gaps += [({GAP_P}).detach().requires_grad_(), ({GAP_Q}).detach()]")]),
    Mistake("root at zero", "6(d)15", "test_gradient_of_orthogonality",
            ("d√x/dx is infinite at 0",),
            [(NORMS, NORMS.replace("gap.norm()", "gap.square().sum().sqrt()"))]),
    Mistake("sum of norms", "-", "test_the_codes_form", ("the code's form takes the mean",),
            [(NORMS, NORMS.replace(".mean()", ".sum()"))]),
    Mistake("squares of the code", "-", "test_the_codes_form", ("the code's form is not squared",),
            [(NORMS, NORMS.replace("gap.norm()", "gap.square().sum()"))]),
    Mistake("one form", "-", "test_the_codes_form", ("gives the paper's R",),
            [('if form == "code":', "if False:"), ('if form != "paper":',
              'if form not in ("paper", "code"):')]),
    Mistake("any form", "-", "test_the_codes_form", ('form="peft": no error',),
            [('if form != "paper":', "if False:")]),
]  # fmt: skip

LEFT = "left = 1 - (step - t_i) / (total - t_i - t_f)"
CURVE = "return int(bT + (b0 - bT) * left**3)"
BEFORE = "    if step <= t_i:\n        return b0\n"
AFTER = "    if step >= total - t_f:\n        return bT\n"

BUDGET = [
    Mistake("a straight line", "6(d)9", "test_budget", ("a straight line",),
            [(CURVE, CURVE.replace("left**3", "left"))]),
    Mistake("a square", "6(d)9", "test_budget", ("your curve is a square",),
            [(CURVE, CURVE.replace("left**3", "left**2"))]),
    Mistake("the misprint", "6(d)9", "test_budget", ("the paper's misprint",),
            [(LEFT, LEFT.replace("step - t_i", "step - t_i - t_f"))]),
    Mistake("t_i ignored", "6(d)9", "test_budget", ("t_i is left out",),
            [(LEFT, "left = 1 - step / (total - t_f)")]),
    Mistake("t_f ignored", "6(d)9", "test_budget", ("t_f is left out",),
            [(LEFT, "left = 1 - (step - t_i) / (total - t_i)")]),
    Mistake("rounded", "-", "test_budget", ("the number is rounded",),
            [(CURVE, CURVE.replace("int(", "round("))]),
    Mistake("not whole", "-", "test_budget", ("expected a whole number, int",),
            [(CURVE, "return bT + (b0 - bT) * left**3")]),
    Mistake("the other end", "6(d)9", "test_budget", ("of what is gone",),
            [(CURVE, CURVE.replace("left**3", "(1 - (1 - left) ** 3)"))]),
    Mistake("above b₀", "6(d)9", "test_budget_at_both_ends", ("expected b₀ = 12",),
            [(BEFORE, "")]),
    Mistake("below b_T", "6(d)9", "test_budget_at_both_ends", ("expected b_T = 8",),
            [(AFTER, "")]),
]  # fmt: skip

KEPT = "kept[together.topk(count).indices] = True"
SPLIT = "return kept.split([len(one) for one in scores])"

BEST = [
    Mistake("a share for each layer", "6(d)6", "test_best_of_all_layers",
            ("each layer keeps its own best;",),
            whole=(("best", """
                def best(scores, count):
                    shares = [count // len(scores) + (n < count % len(scores)) for n in (1, 0)]
                    masks = []
                    for one, share in zip(scores, shares, strict=True):
                        kept = torch.zeros_like(one, dtype=torch.bool)
                        kept[one.topk(share).indices] = True
                        masks.append(kept)
                    return masks
            """),)),
    Mistake("the worst", "-", "test_best_of_all_layers", ("the worst are kept",),
            [(KEPT, KEPT.replace("count", "count, largest=False"))]),
    Mistake("the dead", "-", "test_best_of_all_layers", ("True marks those that die",),
            [(SPLIT, SPLIT.replace("kept", "(~kept)"))]),
    Mistake("one mask", "-", "test_best_of_all_layers", ("expected one for each layer",),
            [(SPLIT, "return [kept]")]),
    Mistake("mask of numbers", "-", "test_best_of_all_layers", ("a mask of torch.float32",),
            [("zeros_like(together, dtype=torch.bool)", "zeros_like(together)")]),
    Mistake("above the threshold", "6(d)13", "test_ties_keep_exactly_the_count",
            ("of 7 equal scores 0 are kept",),
            [(KEPT, "least = together.sort().values[-count - 1] if count < len(together) "
              "else together.min() - 1\n    kept = together > least")]),
    Mistake("from the threshold on", "6(d)13", "test_ties_keep_exactly_the_count",
            ("of 7 equal scores 7 are kept",),
            [(KEPT, "kept = together >= together.topk(count).values[-1]")]),
    Mistake("kthvalue of nothing", "6(d)13", "test_ties_keep_exactly_the_count",
            ("kthvalue", "06_adalora.py:"),
            [(KEPT, "least = together.kthvalue(len(together) - count).values\n"
              "    kept = together > least")]),
]  # fmt: skip

CHOOSE = 'choose = step == last or (t_i < step < last and step % plan["every"] == 0)'
MASK = "if choose or step > last:"
SET = "layer.lam.masked_fill_(~layer.running_kept, 0.0)"
NOTE = "layer.running_kept.copy_(kept)"
B0 = 'b0, bT = plan["rank"] * len(layers), plan["target_rank"] * len(layers)'
MEASURED = """    if step <= last:
        for layer in layers:
            layer.measure(plan["beta1"], plan["beta2"])
"""
PAIRS = "for layer, kept in zip(layers, best([n.scores() for n in layers], count), strict=True):"

HOOK = [
    Mistake("never masked", "-", "test_keeps_the_budget", ("no λ is ever set to 0",),
            [(SET, "pass")]),
    Mistake("budget of one layer", "-", "test_keeps_the_budget", ("those of one layer;",),
            [(B0, 'b0, bT = plan["rank"], plan["target_rank"]')]),
    Mistake("no mask at the end", "6(d)11", "test_keeps_the_budget",
            ("after T − t_f the dead revive",), [(MASK, "if choose:")]),
    Mistake("no last choice", "-", "test_keeps_the_budget",
            ("at T − t_f, the last choice, nothing is chosen",),
            [("step == last or (", "("), (SET, f"{SET}\n    if step == last + 1:\n"
              "        for layer, kept in zip(layers, best([n.scores() for n in layers], 2)):\n"
              "            layer.running_kept.copy_(kept)\n"
              "            layer.lam.masked_fill_(~kept, 0.0)")]),
    Mistake("a share in the hook", "6(d)6", "test_the_best_live",
            ("each layer keeps as many as the other;",),
            [(PAIRS, "for n, layer in enumerate(layers):\n            "
              "kept = best([layer.scores()], (count + n) // len(layers))[0]")]),
    Mistake("the least important", "-", "test_the_best_live", ("the least important live",),
            [(PAIRS, PAIRS.replace("n.scores()", "-n.scores()"))]),
    Mistake("measured behind the choice", "-", "test_the_best_live",
            ("before this step is measured",),
            [(MEASURED, ""), (SET, f"{SET}\n{MEASURED.rstrip()}")]),
    Mistake("P written", "6(d)10", "test_only_lambda_is_written", ("P is written: pruning",),
            [(SET, f"{SET}\n            layer.P.mul_(layer.running_kept)")]),
    Mistake("λ becomes 1", "-", "test_only_lambda_is_written", ("a λ that lives is written",),
            [(SET, "layer.lam.copy_(layer.running_kept)")]),
    Mistake("betas lost", "-", "test_measures_every_step", ("beta1 and beta2 of the plan",),
            [('layer.measure(plan["beta1"], plan["beta2"])', "layer.measure()")]),
    Mistake("measured from t_i on", "-", "test_measures_every_step",
            ("nothing is measured before t_i",), [("if step <= last:", "if t_i < step <= last:")]),
    Mistake("gradients wiped", "6(d)5", "test_measures_every_step",
            ("do the gradients still exist here?",),
            [("    last = total - t_f\n",
              "    last = total - t_f\n    model.zero_grad(set_to_none=False)\n")]),
    Mistake("the last step unmeasured", "-", "test_measures_every_step",
            ("leaves its own step out",), [("if step <= last:", "if step < last:")]),
    Mistake("dead for ever", "6(d)10", "test_the_dead_may_return_before_the_last_choice",
            ("once 0, always 0",),
            [(NOTE, "layer.running_kept.copy_(kept & layer.running_kept)"),
             (B0, f"{B0}\n        if step == 4:\n            for layer in layers:\n"
              "                layer.running_kept.fill_(True)")]),
    Mistake("never final", "-", "test_the_dead_may_return_before_the_last_choice",
            ("the choice is made anew",),
            [("choose = step == last or", "choose = step >= last or")]),
    Mistake("every ignored", "-", "test_chooses_every_so_many_steps", ("`every` is ignored",),
            [(' and step % plan["every"] == 0', "")]),
    Mistake("last choice by multiples", "-", "test_chooses_every_so_many_steps",
            ("T − t_f is no multiple of `every`",),
            [("step == last or (", '(step == last and step % plan["every"] == 0) or (')]),
    Mistake("mask by multiples", "-", "test_chooses_every_so_many_steps",
            ("only at multiples of `every`",),
            [(MASK, 'if choose or step > last and step % plan["every"] == 0:')]),
]  # fmt: skip

OURS, TRAIN, DELTA = "minift.peft.adalora", "minift.train", "minift.peft.delta"
PRUNING = "minift.peft.pruning"
TESTS = "tests.test_adalora."
STEP = "        optimizer.step()  # (4)\n        run.after_step(step, run.model)\n"
ELSEWHERE = [
    Mistake("mask before the optimiser", "6(d)14", f"{TESTS}test_fit_ends_with_the_budget",
            ("is the mask behind the optimiser?",), of=TRAIN,
            edits=[(STEP, "        run.after_step(step, run.model)\n        optimizer.step()\n")]),
    Mistake("hook behind zero_grad", "6(d)5", f"{TESTS}test_fit_ends_with_the_budget",
            ("allocate before zero_grad",), of=TRAIN,
            edits=[(STEP, "        optimizer.step()\n        optimizer.zero_grad()\n"
                    "        run.after_step(step, run.model)\n")]),
    Mistake("R in the report", "-",
            f"{TESTS}test_penalty_pulls_to_orthonormal_and_no_report_sees_it",
            ("loss of the first step, with R and without",), of=TRAIN,
            edits=[("total += seen[0].item()", "total += seen[1].item()")]),
    Mistake("scaled by the rank left", "6(d)12", f"{TESTS}test_shapes_and_types",
            ("expected α/r with the first r",), of=OURS,
            edits=[("self.scale = alpha / rank", "self.scale = alpha / (rank + 1)")]),
    Mistake("merge without Λ", "-", f"{TESTS}test_merge", ("Λ is missing in W'",), of=OURS,
            edits=[("(layer.P * layer.lam) @ layer.Q", "layer.P @ layer.Q")]),
    Mistake("averages in the file", "-", f"{TESTS}test_a_file_holds_no_averages",
            ("expected P, lam and Q alone",), of=DELTA,
            edits=[('("frozen.", "running_")', '("frozen.",)')]),
]  # fmt: skip

MISTAKES = [
    *START, *FORWARD, *MEASURE, *SCORES, *ORTHOGONALITY, *BUDGET, *BEST, *HOOK, *ELSEWHERE,
]  # fmt: skip

ZEROS = {
    "AdaLoRALinear.reset": """
        def reset(self):
            for parameter in (self.P, self.lam, self.Q):
                nn.init.zeros_(parameter)
    """,
    "AdaLoRALinear.forward": """
        def forward(self, x):
            return 0 * F.linear(x, self.frozen.weight) * self.lam.sum()
    """,
    "AdaLoRALinear.measure": """
        def measure(self, beta1=0.85, beta2=0.85):
            self.running_mean.zero_()
            self.running_spread.zero_()
    """,
    "AdaLoRALinear.scores": """
        def scores(self):
            return torch.zeros(len(self.lam))
    """,
    "orthogonality": """
        def orthogonality(model, form="paper"):
            return 0 * sum(layer.P.sum() + layer.Q.sum() for layer in layers_of(model))
    """,
    "budget": """
        def budget(step, b0, bT, total, t_i, t_f):
            return 0
    """,
    "best": """
        def best(scores, count):
            return [torch.zeros_like(one, dtype=torch.bool) for one in scores]
    """,
    "allocate": """
        def allocate(step, model):
            for layer in layers_of(model):
                layer.lam.zero_()
    """,
}

OTHERWISE = {
    "AdaLoRALinear.reset": """
        def reset(self):
            with torch.no_grad():
                self.P.copy_(0.02 * torch.randn(self.P.shape))
                self.lam.fill_(0.0)
                self.Q.copy_(0.02 * torch.randn(self.Q.shape))
    """,
    "AdaLoRALinear.forward": """
        def forward(self, x):
            change = self.scale * self.P @ torch.diag(self.lam) @ self.Q
            return self.frozen(x) + self.dropout(x) @ change.mT
    """,
    "AdaLoRALinear.measure": """
        def measure(self, beta1=0.85, beta2=0.85):
            o = self.P.shape[0]
            now = torch.empty_like(self.running_mean)
            now[:, :o] = (self.P * self.P.grad).abs().T
            now[:, o] = (self.lam * self.lam.grad).abs()
            now[:, o + 1 :] = (self.Q * self.Q.grad).abs()
            self.running_mean.lerp_(now, 1 - beta1)
            self.running_spread.lerp_((now - self.running_mean).abs(), 1 - beta2)
    """,
    "AdaLoRALinear.scores": """
        def scores(self):
            (o, r), i = self.P.shape, self.Q.shape[1]
            s = self.running_mean.mul(self.running_spread)
            p, lam, q = s.split([o, 1, i], dim=1)
            return p.sum(1) / o + lam.squeeze(1) + q.sum(1) / i
    """,
    "orthogonality": """
        def orthogonality(model, form="paper"):
            if form not in ("paper", "code"):
                raise ValueError(f"{form}: paper or code")
            norms = []
            for layer in model.modules():
                if isinstance(layer, AdaLoRALinear):
                    for columns in (layer.P, layer.Q.T):
                        gap = torch.einsum("or,os->rs", columns, columns)
                        norms.append(torch.linalg.norm(gap - torch.eye(len(gap))))
            if form == "code":
                return sum(norms) / len(norms)
            return sum(norm**2 for norm in norms)
    """,
    "budget": """
        def budget(step, b0, bT, total, t_i, t_f):
            share = min(max((step - t_i) / (total - t_f - t_i), 0.0), 1.0)
            return bT + int((b0 - bT) * (1 - share) ** 3)
    """,
    "best": """
        def best(scores, count):
            order = torch.cat(scores).argsort(descending=True)
            masks, first = [], 0
            for one in scores:
                places = torch.arange(first, first + len(one))
                masks.append(torch.isin(places, order[:count]))
                first += len(one)
            return masks
    """,
    "allocate": """
        def allocate(step, model):
            layers, plan = layers_of(model), pruning.plan_of(model)
            total, t_i, t_f = plan["total"], plan["t_i"], plan["t_f"]
            final = step > total - t_f
            if not final:
                [layer.measure(plan["beta1"], plan["beta2"]) for layer in layers]
            if not final and step > t_i and (step % plan["every"] == 0 or step == total - t_f):
                many = len(layers)
                count = budget(step, many * plan["rank"], many * plan["target_rank"], total, t_i,
                               t_f)
                masks = best([layer.scores() for layer in layers], count)
                for layer, mask in zip(layers, masks, strict=True):
                    layer.running_kept.data = mask.clone()
                final = True
            if final:
                for layer in layers:
                    layer.lam.data = layer.lam * layer.running_kept
    """,
}
