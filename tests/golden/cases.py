"""The 2,000 cases of the golden record (`tests/golden.py`), each made from its number alone.

A case is a piece of Python code: `Case.setup` makes the data, `Case.call` is the call. Choices come from a generator
seeded by the number of the case, and data from + - * / on uniform draws, so that every machine has the same.
"""
import re
from dataclasses import dataclass, field

import numpy as np

IMPORTS = """\
import numpy as np
import pandas as pd
import fastgd
from fastgd import losses, schedules
"""

# ---------------------------------------------------------------------------------------------------------------------
# What a case is made of.

SMALL = (1, 2, 3, 5, 7, 8, 9, 16, 33, 100, 127, 128, 129, 137, 200, 244, 257, 500)
LARGE = (1000, 1023, 1024, 1025, 1500, 2049, 3000, 4097, 5000)
HUGE = (8191, 8193, 12_345, 20_000)

POINTS = (
    "random.integers(0, 30, {n})", "random.integers(0, 30_000, {n}) / 1000", "30 * random.random({n})",
    "random.integers(-20, 20, {n})", "1 / (0.02 + random.random({n}))", "random.random({n}) - 0.5",
    "1000 + 50 * random.random({n})", "np.full({n}, 12.5)", "1e-3 * random.random({n})")
PROBABILITIES = ("random.integers(0, 2, {n})", "random.random({n})", "np.ones({n})", "random.integers(0, 5, {n}) / 4")
#: What a caller may have the points in; the plain array most often.
FORMS = ("({})",) * 5 + (
    "({}).astype(np.float32)", "({}).astype(np.float32)", "({}).tolist()", "tuple(({}).tolist())", "pd.Series({})",
    "pd.Series({}, name='y')[::-1]", "np.repeat({}, 2)[::2]", "({}).astype(int)")

#: Each loss with its gradient: their code, and the largest stable learning rate or None.
LOSSES = {
    "mse": ("fastgd.mse", "fastgd.grad_mse", 1),
    "abs_loss": ("fastgd.abs_loss", "fastgd.grad_abs_loss", None),
    "huber_loss": ("fastgd.huber_loss", "fastgd.grad_huber_loss", 2),
    "quartic_loss": ("fastgd.quartic_loss", "fastgd.grad_quartic_loss", None),
    "cross_entropy": ("fastgd.cross_entropy", "fastgd.grad_cross_entropy", 8),
    "pinball_loss": ("fastgd.pinball_loss", "fastgd.grad_pinball_loss", None),
    "log_cosh": ("fastgd.log_cosh", "fastgd.grad_log_cosh", 2),
    "epsilon_insensitive": ("fastgd.epsilon_insensitive", "fastgd.grad_epsilon_insensitive", None),
}
WITH_PARAMETERS = {
    "huber_loss": ("losses.Huber({})", (0.25, 2, 5.5, 30)),
    "pinball_loss": ("losses.Pinball({})", (0.1, 0.25, 0.9)),
    "epsilon_insensitive": ("losses.EpsilonInsensitive({})", (0, 0.5, 2, 10)),
}
#: Learning rates that are made by + - * / alone, and others; a is a rate and b a smaller one.
ARITHMETIC_RATES = (
    "lambda t: {a} / (1 + t)", "lambda t: {a} / (1 + 0.01 * t)", "lambda t: {a} if t < 10 else {b}",
    "schedules.step_decay({a}, 0.5, 20)", "schedules.constant({a})")
OTHER_RATES = (
    "schedules.step_decay({a}, 0.1, 50)", "schedules.inverse_scaling({a}, 0.75)", "schedules.inverse_scaling({a})",
    "schedules.exponential_decay({a}, 0.99)", "schedules.cosine({a}, 150, {b})", "lambda t: {a} / (1 + t) ** 0.6")
KINKED = ("abs_loss", "pinball_loss", "epsilon_insensitive")

#: Losses in Python: for points, and for rows.
PYTHON = {
    "mse": ("np.mean((y - theta) * (y - theta))", "-2 * np.mean(y - theta)"),
    "abs_loss": ("np.mean(np.abs(y - theta))", "-np.mean(np.sign(y - theta))"),
    "huber_loss": ("np.mean(np.where(np.abs(y - theta) <= 1, (y - theta) * (y - theta) / 2, np.abs(y - theta) - 0.5))",
                   "-np.mean(np.clip(y - theta, -1, 1))"),
}
PYTHON_ROWS = {
    "mse": ("np.mean((y - X @ theta) * (y - X @ theta))", "-2 * X.T @ (y - X @ theta) / len(y)"),
    "abs_loss": ("np.mean(np.abs(y - X @ theta))", "-X.T @ np.sign(y - X @ theta) / len(y)"),
    "huber_loss": ("np.mean(np.where(np.abs(y - X @ theta) <= 1, (y - X @ theta) * (y - X @ theta) / 2,"
                   " np.abs(y - X @ theta) - 0.5))", "-X.T @ np.clip(y - X @ theta, -1, 1) / len(y)"),
}
#: What needs more than + - * /: exp, tanh, cos and pow differ in the last bit between CPUs, and so do the streams.
BEYOND_ARITHMETIC = re.compile(
    r"cross_entropy|log_cosh|inverse_scaling|exponential_decay|cosine|step_decay\([\d.]+, 0\.1|\*\*")
#: numpy before 2.3 sums more numbers than this in another order, which shows where fastgd leaves the sum to numpy.
SUMMED_ALIKE = 8192
#: How near two answers in float32 are where they may differ.
SINGLE = 1e-5


@dataclass
class Case:
    """One call, as code, and by what rule its record is compared."""

    number: int
    verb: str
    loss: str
    setup: str
    call: str
    n: int = 1
    runs_away: bool = False

    @property
    def code(self):
        """All of it, to be pasted."""
        return f"{IMPORTS}\n{self.setup}\n{self.call}\n"

    @property
    def in_python(self):
        return "def loss" in self.setup

    @property
    def has_rows(self):
        return "X=" in self.call

    @property
    def tolerance(self):
        """By how much theta may differ, relative to its largest component; 0 is not at all.

        Points: not at all, unless the case needs more than + - * / or sums that numpy does in its own order (a Python
        function's, pandas's own mean, the mean of the thetas of an epoch). Rows: what the order of their sums may
        change. Measured with three orders of the sums, three BLAS kernels, and exp, tanh, pow and the rates moved by a
        last bit: 1.5e-13 at most, but for the quartic, which is not convex, stochastic runs whose theta runs away,
        which amplify what each batch left of them, and differences of a Python loss, which lose a third of the digits.
        """
        beyond = BEYOND_ARITHMETIC.search(self.code)
        by_numpy = (self.in_python or "average=True" in self.call) and self.n > SUMMED_ALIKE
        by_pandas = self.in_python and "Series" in self.setup
        if not (self.has_rows or beyond or by_numpy or by_pandas):
            return 0.0
        if re.search("^y = .*float32", self.setup, re.M) and not self.has_rows:
            return SINGLE
        if self.in_python and "(loss, None" in self.call:
            return 1e-7
        return 1e-9 if beyond or not self.has_rows or self.runs_away or "quartic" in self.code else 1e-12

    @property
    def loss_tolerance(self):
        """The same for values of the loss: those of the quartic depend on the order of its factors."""
        if "quartic" not in self.code:
            return self.tolerance
        return SINGLE if "float32" in self.setup else max(self.tolerance, 1e-9)


class Dice:
    """The choices of one case."""

    def __init__(self, number):
        self._random = np.random.Generator(np.random.PCG64(number))

    def one_of(self, options):
        return options[int(self._random.integers(len(options)))]

    def chance(self, share):
        return bool(self._random.random() < share)


@dataclass
class Draft:
    """A case in the making."""

    number: int
    dice: Dice
    loss: str = ""
    n: int = 1
    q: int = 0                # parameters of a linear model
    loss_code: str = ""
    gradient_code: str = ""
    stable: float | None = None
    in_python: bool = False
    runs_away: bool = False
    setup: list[str] = field(default_factory=list)
    options: dict[str, str] = field(default_factory=dict)

    def case(self, verb, *arguments):
        given = [*arguments, *(f"{name}={value}" for name, value in self.options.items())]
        return Case(self.number, verb, self.loss, "\n".join(self.setup), f"fastgd.{verb}({', '.join(given)})", self.n,
                    self.runs_away)

    def add_data(self, with_rows, at_least=1, single=False):
        dice = self.dice
        sizes = HUGE if dice.chance(0.02) else LARGE if dice.chance(0.25) else SMALL
        if self.in_python and at_least > 1:
            sizes = SMALL    # stochastic descent in Python takes microseconds for each point
        self.n = n = max(at_least, dice.one_of(sizes))
        self.setup.append(f"random = np.random.Generator(np.random.PCG64({self.number}))")
        if with_rows:
            return self._add_rows()
        points = dice.one_of(PROBABILITIES if self.loss == "cross_entropy" else POINTS).format(n=n)
        form = dice.one_of(FORMS)
        if "float32" in form and self.loss in ("cross_entropy", "log_cosh") and not single:
            form = "({})"    # where a run in float32 ends may hang on the last bit of an exp
        if "astype(int)" in form and (self.loss == "cross_entropy" or "- 0.5" in points or "1e-3" in points):
            form = "({})"
        self.setup.append(f"y = {form.format(points)}")
        return None

    def _add_rows(self):
        dice = self.dice
        p = dice.one_of((1, 1, 2, 2, 3, 3, 4, 5, 8, 12))
        self.n = max(self.n, 4 * p + 8)
        drawn = f"random.random(({self.n}, {p}))"
        X = dice.one_of((f"2 * {drawn} - 1", f"2 * {drawn} - 1", f"3 * {drawn}",
                         f"(2 * {drawn} - 1) * np.linspace(1, 9, {p})", f"random.integers(-3, 4, ({self.n}, {p}))"))
        self.setup.append(f"X = {X}")
        if self.loss == "cross_entropy":
            self.setup.append(f"y = (X[:, 0] / 2 + 2 * random.random({self.n}) - 1 > 0) * 1.0")
        else:
            self.setup.append(f"y = 1 + 2 * X[:, 0] + 3 * random.random({self.n})")
        if dice.chance(0.15):
            self.setup.append("y = y.astype(np.float32)")
        form = dice.one_of(("",) * 6 + ("X.astype(np.float32)", "X.astype(np.float32)", "X.tolist()",
                                        "np.asfortranarray(X)", "X[:, ::-1]", "pd.DataFrame(X)",
                                        "pd.DataFrame(X, columns=list('abcdefghijkl'[:X.shape[1]]))"))
        if form:
            self.setup.append(f"X = {form}")
        self.options["X"] = "X"
        if dice.chance(0.5):
            self.options["fit_intercept"] = "True"
        self.q = p + ("fit_intercept" in self.options)

    def choose_loss(self, python=0.15, names=tuple(LOSSES)):
        """Before the data, which must suit it."""
        dice = self.dice
        self.loss = dice.one_of(names)
        self.loss_code, self.gradient_code, self.stable = LOSSES[self.loss]
        if self.loss in WITH_PARAMETERS and dice.chance(0.5):
            form, parameters = WITH_PARAMETERS[self.loss]
            self.loss_code = form.format(dice.one_of(parameters))
            self.gradient_code = f"{self.loss_code}.gradient"
        self.in_python = self.loss in PYTHON and dice.chance(2 * python)

    def functions(self, differences=True):
        """The code of the first two arguments, after the data; a Python loss alone only where `differences` may be."""
        dice = self.dice
        if self.in_python:
            signature, table = ("theta, X, y", PYTHON_ROWS) if self.q else ("theta, y", PYTHON)
            for name, body in zip(("loss", "gradient"), table[self.loss], strict=True):
                self.setup.append(f"\ndef {name}({signature}):\n    return {body}\n")
            return "loss", "None" if dice.chance(0.25) and differences else "gradient"
        if dice.chance(0.1):
            return "None", self.gradient_code
        if dice.chance(0.06) and self.loss != "cross_entropy":
            return "fastgd.mse", self.gradient_code    # a loss that is not the gradient's
        return self.loss_code, self.gradient_code if dice.chance(0.6) else "None"

    def most_updates(self, numbers):
        """Updates that take some milliseconds if each looks at so many numbers."""
        if self.in_python:
            return 60 if "Series" in self.setup[1] or self.q else 300
        return int(min(3000, max(20, 1e6 // numbers)))

    def rate(self, size, *, varying=0.45):
        """The code of a learning rate near `size`."""
        dice = self.dice
        size = float(f"{size:.3g}")
        if not dice.chance(varying):
            return repr(size)
        form = dice.one_of(ARITHMETIC_RATES if dice.chance(0.6) else OTHER_RATES)
        if "constant" in form and self.loss in KINKED:
            form = "lambda t: {a} / (1 + 0.1 * t)"
        return form.format(a=size, b=float(f"{size / 8:.3g}"))

    def add_outputs(self, batch=False):
        """What is asked for beside theta."""
        dice, options = self.dice, self.options
        if dice.chance(0.6):
            options["full_output"] = "True"
        if dice.chance(0.3):
            options["history"] = "True"
        has_loss = "None" not in options.get("loss", "")
        shown = has_loss and dice.chance(0.15)
        if batch or shown:    # True is the default of minimize alone
            options["progress"] = str(shown)

    def add_callback(self, stops):
        name = self.dice.one_of(("intermediate_result", "so_far"))
        self.setup.append(f"seen = []\n\ndef callback({name}):\n"
                          f"    seen.append(({name}.nit, {name}.x, {name}.fun))\n"
                          f"    if len(seen) == {stops}:\n        raise StopIteration\n")
        self.options["callback"] = "callback"

    def add_generator(self):
        dice, seed = self.dice, self.number % 17
        form = dice.one_of((
            "{}", "None", "np.random.RandomState({})", "np.random.default_rng({})",
            "np.random.Generator(np.random.MT19937({}))", "np.random.PCG64({})", "np.random.SeedSequence({})",
            "np.random.Generator(np.random.Philox({}))", "np.random.MT19937({})"))
        if form == "None":
            self.setup.append(f"np.random.seed({seed})")
            if dice.chance(0.5):
                return
        self.options["rng"] = "rng"
        self.setup.append(f"rng = {form.format(seed)}")
        if "default_rng" in form and dice.chance(0.5):
            self.setup.append("rng.integers(10, size=3, dtype=np.uint32)    # half of a draw is left over")

    def start(self):
        """Sometimes a start other than 0."""
        dice = self.dice
        if dice.chance(0.4):
            if self.q and dice.chance(0.6):
                self.setup.append(f"theta0 = np.linspace(-1, 2, {self.q})")
                self.options["theta0"] = dice.one_of(("theta0", "theta0.tolist()"))
            else:
                self.options["theta0"] = dice.one_of(("5", "12.5", "-3.75", "np.float32(0.1)", "1e3"))

# ---------------------------------------------------------------------------------------------------------------------
# One function for each verb; each ends in a Case.

def batch(draft, with_rows):
    dice, options = draft.dice, draft.options
    aim = dice.one_of(("converge", "converge", "limit", "cycle", "diverge", "stall", "stop", "odd"))
    if aim == "odd":
        return _rise(draft) if with_rows else _odd(draft)
    if aim == "cycle":
        return _exact_cycle(draft) if with_rows else _cycle(draft)
    draft.choose_loss(names={"diverge": ("mse", "mse", "quartic_loss")}.get(aim, tuple(LOSSES)))
    draft.add_data(with_rows)
    loss, gradient = draft.functions(differences=aim != "diverge")
    draft.start()
    bounded = draft.stable or {"quartic_loss": 0.01 if with_rows else 0.2}.get(draft.loss, 1.0)
    size = bounded * dice.one_of((0.05, 0.1, 0.25, 0.45)) / (3 if with_rows else 1)
    most = draft.most_updates(draft.n * max(draft.q, 1))
    if aim == "stall":
        options.update(tol=dice.one_of(("0.1", "0.01")), stop="'loss'")
        size /= 30
    elif aim == "diverge":
        size = dice.one_of((1.5, 3.0, 40.0)) * bounded
        if with_rows and draft.loss == "quartic_loss":
            size = 1e3
    elif aim == "limit":
        most = dice.one_of((1, 2, 3, 10, 40))
    elif aim == "converge":
        # Where a run ends at tol=0 is for the last bit to say.
        may_stand = not (with_rows or draft.loss in ("cross_entropy", "log_cosh") or draft.in_python)
        options["tol"] = dice.one_of(("1e-3", "1e-4", "1e-6", "1e-8", "0" if may_stand else "1e-5"))
        if dice.chance(0.2) and (options["tol"] != "0" or draft.loss != "quartic_loss"):
            options["stop"] = "'loss'"
    if aim == "stop":
        draft.add_callback(dice.one_of((1, 2, 5, 17, 1000)))
    if "tol" in options and options["tol"] == "0":
        alpha = draft.rate(size, varying=0)
    elif aim == "converge" and draft.stable and not draft.in_python and dice.chance(0.4 if with_rows else 0.2):
        alpha = "'auto'"
    else:
        alpha = draft.rate(size, varying=0.8 if draft.loss in KINKED else 0.35)
    options["max_iter"] = str(most)
    draft.add_outputs(batch=True)
    if loss == "None":
        options.update(progress="False")
        options.pop("stop", None)
    if dice.chance(0.05):
        options["n_threads"] = "2"
    return draft.case("minimize", loss, gradient, "y", alpha)


def _cycle(draft):
    """Descent on points that swings between a few values for ever."""
    dice = draft.dice
    draft.choose_loss(names=(*KINKED, *KINKED, "mse", "huber_loss"))
    draft.add_data(False)
    # A cycle is made of bits, and a sum that is pandas's or numpy's own may have others.
    draft.in_python = draft.in_python and "Series" not in draft.setup[1] and draft.n <= SUMMED_ALIKE
    loss, gradient = draft.functions()
    draft.start()
    alpha = {"mse": "1.0", "huber_loss": "2.0"}.get(draft.loss) or dice.one_of(("0.2", "0.25", "0.5", "1.0"))
    draft.options.update(tol=dice.one_of(("1e-9", "0")), max_iter=str(draft.most_updates(draft.n)))
    draft.add_outputs(batch=True)
    if loss == "None":
        draft.options["progress"] = "False"
    return draft.case("minimize", loss, gradient, "y", alpha)


def _odd(draft):
    """Descent on points whose rate falls to 0 far from the least, or on numbers that overflow."""
    dice = draft.dice
    draft.choose_loss(python=0)
    draft.add_data(False)
    alpha = "lambda t: 0.01 if t < 3 else 0.0"
    if dice.chance(0.5):
        draft.loss, draft.loss_code, draft.gradient_code, _ = "mse", *LOSSES["mse"]
        draft.setup[1] = f"y = {dice.one_of(('1e308', '-1e308', '1e160'))} * random.random({draft.n})"
        alpha = draft.rate(0.1)
    loss, gradient = draft.functions()
    draft.options["max_iter"] = "50"
    draft.add_outputs(batch=True)
    if loss == "None":
        draft.options["progress"] = "False"
    return draft.case("minimize", loss, gradient, "y", alpha)


def _rise(draft, verb="minimize", *arguments):
    """Descent on rows that takes ten giant steps, and then meets its rule far above where it began."""
    dice = draft.dice
    draft.choose_loss(python=0, names=(*KINKED, "huber_loss", "log_cosh"))
    draft.add_data(True, at_least=2)
    loss, gradient = draft.functions()
    draft.options.update(tol="1e-3")
    if verb == "minimize":
        draft.options["progress"] = "False"
    else:
        draft.add_generator()
    if dice.chance(0.7):
        draft.options["full_output"] = "True"
    alpha = f"lambda t: {dice.one_of(('30', '1e3', '1e5', '1e8'))} if t < 10 else 1e-12"
    return draft.case(verb, loss, gradient, "y", *arguments, alpha)


def _exact_cycle(draft):
    """The same with rows of few bits: whatever order they are summed in, no sum is rounded."""
    dice = draft.dice
    draft.choose_loss(python=0, names=KINKED)
    if draft.loss_code not in ("fastgd.abs_loss", "fastgd.pinball_loss", "losses.Pinball(0.25)"):
        draft.loss, draft.loss_code, draft.gradient_code = "abs_loss", "fastgd.abs_loss", "fastgd.grad_abs_loss"
    n, p = dice.one_of((2, 4, 8, 16)), dice.one_of((1, 2))
    draft.n = n
    draft.setup += [f"random = np.random.Generator(np.random.PCG64({draft.number}))",
                    f"X = random.integers(-2, 3, ({n}, {p}))", f"y = random.integers(-5, 6, {n})"]
    draft.options.update(X="X", tol="1e-6", max_iter="4000", full_output="True", progress="False")
    if dice.chance(0.4):
        draft.options["fit_intercept"] = "True"
    return draft.case("minimize", draft.loss_code, draft.gradient_code, "y", dice.one_of(("0.25", "0.5", "1.0")))


def stochastic(draft, with_rows, mini):
    dice, options = draft.dice, draft.options
    aim = dice.one_of(("", "", "", "settle", "settle", "limit", "diverge", "stop", "stop", "rise"))
    if aim == "rise" and with_rows:
        return _rise(draft, *(("minimize_mini_batch", "3") if mini else ("minimize_sgd",)))
    # Rows that run away on the quartic, or in Python, may amplify the order of their sums without bound.
    fast = ("mse",) if with_rows else ("mse", "mse", "quartic_loss")
    draft.choose_loss(names=fast if aim == "diverge" else tuple(LOSSES),
                      python=0.0 if aim == "diverge" and with_rows else 0.15)
    draft.add_data(with_rows, at_least=2)
    loss, gradient = draft.functions(differences=aim != "diverge")
    draft.add_generator()
    draft.start()
    bounded = draft.stable or (0.005 if draft.loss == "quartic_loss" else 1.0)
    size = bounded * dice.one_of((0.02, 0.1, 0.2)) / (draft.q + 1 if with_rows else 1)
    epochs = max(1, min(1000, (draft.most_updates(1) if draft.in_python else 30_000) // draft.n))
    stop = dice.one_of(("step", "epoch", "loss"))
    tol = dice.one_of(("1e-3", "1e-3", "1e-2", "1e-5"))
    alpha = None
    if aim == "settle":
        tol, stop, options["average"] = dice.one_of(("0.1", "0.02")), "epoch", str(dice.chance(0.6))
        alpha = dice.one_of(("lambda t: {} / (1 + 0.1 * t)", "schedules.inverse_scaling({}, 0.75)")).format(
            float(f"{3 * size if draft.loss in KINKED else 0.8 * bounded / (draft.q + 1):.3g}"))
    elif aim == "limit":
        epochs, tol = min(epochs, dice.one_of((1, 2, 3))), dice.one_of(("0", "1e-9"))
    elif aim == "diverge":
        size *= dice.one_of((1e3, 1e5))
        draft.runs_away = True
        alpha = repr(float(f"{size:.3g}")) if dice.chance(0.6) else None
    elif aim == "stop":
        draft.add_callback(dice.one_of((1, 2, 3, 1000)))
        tol = "1e-9"
    elif draft.stable and not draft.in_python and dice.chance(0.15):
        alpha = "'auto'"
    options.update(tol=tol, max_epochs=str(epochs))
    if stop != "step" and not (stop == "loss" and loss == "None"):
        options["stop"] = repr(stop)
    if "average" not in options and dice.chance(0.15):
        options["average"] = "True"
    is_float_array = "random.random" in draft.setup[1] and not re.search("tolist|Series|astype|::", draft.setup[1])
    if not with_rows and is_float_array and dice.chance(0.3):
        options["in_place"] = "True"
    if loss == "None":
        options["loss"] = "None"    # nothing can be shown
    draft.add_outputs()
    options.pop("loss", None)
    alpha = alpha or draft.rate(size)
    if not mini:
        return draft.case("minimize_sgd", loss, gradient, "y", alpha)
    batch_size = min(draft.n - 1, dice.one_of((1, 2, 3, 7, 10, 32, 100, 1000)))
    return draft.case("minimize_mini_batch", loss, gradient, "y", str(batch_size), alpha)


def multistart(draft):
    dice, options = draft.dice, draft.options
    draft.choose_loss(python=0.1, names=(*LOSSES, "quartic_loss", "quartic_loss"))
    draft.add_data(False)
    loss, gradient = draft.functions()
    loss = draft.loss_code if loss == "None" else loss
    count = dice.one_of((1, 2, 3, 5, 8))
    draft.setup.append("starts = " + dice.one_of((
        f"random.integers(-30, 40, {count})", f"60 * random.random({count}) - 20", "[-21, 5, 30]",
        f"(10 * random.random({count})).tolist()", "[0.0, 0.5]")))
    size = (draft.stable or 0.4) * dice.one_of((0.05, 0.2, 0.45, 0.45, 1.0, 1.7))
    options["tol"] = dice.one_of(("1e-3", "1e-6", "1e-9", "0.05"))
    options["max_iter"] = str(dice.one_of((3, 200, min(1000, draft.most_updates(draft.n * count)))))
    return draft.case("minimize_multistart", loss, gradient, "y", "starts", draft.rate(size, varying=0.3))


def grid(draft):
    draft.choose_loss()
    draft.add_data(False)
    loss, _ = draft.functions()
    draft.setup.append("thetas = " + draft.dice.one_of((
        "np.arange(-20, 60) / 2", "[14, 15, 16]", "np.linspace(-1, 1, 33)", "random.random(20)",
        "np.float32([0.5, 2.5, 100])", "(3.0,)")))
    return draft.case("simple_minimize", draft.loss_code if loss == "None" else loss, "y", "thetas")


def call(draft, with_rows):
    """A loss or a gradient at one theta, or its curve over several."""
    dice, options = draft.dice, draft.options
    draft.choose_loss(python=0)
    draft.add_data(with_rows, single=True)
    function = dice.one_of((draft.loss_code, draft.gradient_code))
    points = "y"
    if dice.chance(0.4):
        function += ".curve"
        m = dice.one_of((1, 2, 5))
        draft.setup.append(f"thetas = 4 * random.random(({m}, {draft.q})) - 2" if with_rows else
                           f"thetas = 40 * random.random({dice.one_of((1, 3, 20, 70))}) - 5")
        theta = "thetas"
    elif with_rows:
        draft.setup.append(f"theta = np.linspace(-1, 2, {draft.q})")
        theta = dice.one_of(("theta", "theta", "theta.tolist()"))
    else:
        theta = dice.one_of(("12.5", "0", "-3.25", "np.float32(0.1)", "np.array([2.5])", "1e300", "np.inf", "0.5"))
        points = dice.one_of(("y", "y", "y", "y", "0.25", "1"))
    if "Huber" not in function and "huber" in function and "curve" not in function and dice.chance(0.5):
        options["delta"] = dice.one_of(("2", "0.5"))
    if dice.chance(0.1):
        options["n_threads"] = "2"
    case = draft.case(function.removeprefix("fastgd."), theta, points)
    case.call, case.verb = case.call.replace("fastgd.losses.", "losses."), "call"
    return case


#: Arguments that are refused: for any descent (a verb is put before), and whole calls.
REFUSED_OPTIONS = (
    "alpha=0", "alpha=-0.1", "alpha='fast'", "alpha=None", "alpha=np.nan", "alpha=np.inf", "alpha=[0.2]",
    "alpha=lambda t: 0.1 - t", "tol=-1", "tol='x'", "tol=np.nan", "stop='gradient'", "stop=None", "theta0='x'",
    "theta0=np.nan", "theta0=[1.0]", "callback=3", "fit_intercept=True", "X=[1.0, 2.0]", "X=np.ones((3, 2))",
    "X=np.ones((2, 2, 2))", "X=np.ones((200, 0))", "X=[['a', 'b']]", "X=np.ones((200, 2)), theta0=[1.0]",
    "X=np.ones((200, 2)), fit_intercept='yes'", "progress='yes'")
REFUSED_OF_BATCH = ("max_iter=0", "max_iter=2.5", "max_iter='x'", "n_threads=0", "n_threads='x'", "stop='epoch'",
                    "n_threads=2.5")
REFUSED_OF_STOCHASTIC = ("max_epochs=0", "max_epochs=1.5", "rng=-1", "rng=1.5", "rng='seed'", "rng=[3]",
                         "X=np.ones((200, 2)), in_place=True")
REFUSED_FIRST = (
    "3, fastgd.grad_mse, y", "fastgd.mse, 3, y", "fastgd.mse, fastgd.mse, y", "losses.Huber, None, y", "None, None, y",
    "fastgd.mse, losses.Huber, y", "fastgd.mse, None, []", "fastgd.mse, None, np.ones((2, 2))", "fastgd.mse, None, 'y'",
    "fastgd.mse, None, ['a', 'b']", "fastgd.mse, None, y * 1j", "fastgd.mse, None, None", "fastgd.mse, None, [1, 'a']",
    "fastgd.mse, None, np.ma.array([1.0, 2.0])")
REFUSED_CALLS = (
    "fastgd.minimize_mini_batch(fastgd.mse, None, y, 200)", "fastgd.minimize_mini_batch(fastgd.mse, None, y, 0)",
    "fastgd.minimize_mini_batch(fastgd.mse, None, y, 2.5)", "fastgd.minimize(fastgd.abs_loss, None, y, 'auto')",
    "fastgd.minimize_sgd(fastgd.quartic_loss, None, y, 'auto')", "fastgd.minimize_sgd(None, fastgd.grad_mse, y, "
    "stop='loss')", "fastgd.minimize(None, fastgd.grad_mse, y)", "fastgd.minimize(None, fastgd.grad_mse, y, "
    "stop='loss', progress=False)", "fastgd.minimize_sgd(fastgd.mse, None, y.tolist(), in_place=True)",
    "fastgd.minimize_sgd(fastgd.mse, None, np.arange(9), in_place=True)",
    "fastgd.minimize_multistart(fastgd.mse, None, y, [])", "fastgd.minimize_multistart(fastgd.mse, None, y, [[1.0]])",
    "fastgd.minimize_multistart(None, fastgd.grad_mse, y, [1.0])", "fastgd.simple_minimize(3, y, [1.0])",
    "fastgd.minimize_multistart(fastgd.mse, None, y, [1.0], tol=-1)", "fastgd.simple_minimize(fastgd.mse, y, [])",
    "fastgd.simple_minimize(fastgd.mse, y, [1e200, 1e300])", "fastgd.mse(None, y)", "fastgd.mse([1.0, 2.0], y)",
    "fastgd.mse(1.0, [])", "fastgd.mse('x', y)", "fastgd.huber_loss(1.0, y, delta=-1)", "losses.Pinball(1.5)",
    "losses.Huber('x')", "losses.EpsilonInsensitive(-1)", "fastgd.mse(1.0, y, fit_intercept=True)",
    "fastgd.mse([1.0], y, X=np.ones((200, 2)))", "fastgd.mse.curve([], y)", "fastgd.mse.curve([[1.0]], y)",
    "fastgd.grad_mse.curve([1.0], y, X=np.ones((200, 2)))", "fastgd.mse(1.0, np.ones((2, 2)))",
    "schedules.cosine(0.1, 0)", "schedules.cosine(0.1, 10, 0.2)", "schedules.exponential_decay(0.1, 1.5)",
    "schedules.step_decay(0.1, 0.5, 0)", "schedules.constant(0)", "schedules.inverse_scaling(0.1, -1)",
    "schedules.constant(0.1)(-1)", "fastgd.grad_mse(1.0, y, n_threads=0)")


def _all_refused():
    verbs = {"minimize": "", "minimize_sgd": "", "minimize_mini_batch": ", 10"}
    for k, first in enumerate(REFUSED_FIRST):
        verb = tuple(verbs)[k % 3]
        yield f"fastgd.{verb}({first}{verbs[verb]})"
    names = [name for name in LOSSES if name != "cross_entropy"]    # whose points are from 0 to 1
    of_verb = {"minimize": REFUSED_OF_BATCH, "minimize_sgd": REFUSED_OF_STOCHASTIC, "minimize_mini_batch": ()}
    for verb, own in of_verb.items():
        for k, wrong in enumerate((*REFUSED_OPTIONS, *own)):
            yield f"fastgd.{verb}({LOSSES[names[k % len(names)]][0]}, None, y{verbs[verb]}, {wrong})"
    yield from REFUSED_CALLS


REFUSED = tuple(_all_refused())


def refused(draft):
    setup = f"random = np.random.Generator(np.random.PCG64({draft.number}))\ny = 30 * random.random(200)"
    place = 2 * (draft.number // len(FAMILIES)) + draft.number % 2
    return Case(draft.number, "refused", "", setup, REFUSED[place % len(REFUSED)], 200)


#: What each of 25 cases in a row is; so each of 40 groups of 50 has all.
FAMILIES = (
    *[lambda draft: batch(draft, False)] * 6, *[lambda draft: batch(draft, True)] * 4,
    *[lambda draft: stochastic(draft, False, False)] * 3, *[lambda draft: stochastic(draft, True, False)] * 2,
    *[lambda draft: stochastic(draft, False, True)] * 2, *[lambda draft: stochastic(draft, True, True)] * 2,
    multistart, grid, lambda draft: call(draft, False), lambda draft: call(draft, True), refused, refused)


def make_case(number):
    return FAMILIES[number % len(FAMILIES)](Draft(number, Dice(number)))
