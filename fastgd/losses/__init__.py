"""Losses as objects that are called like a textbook's functions, their gradients, and `compiled` for your own.

>>> from fastgd.losses import Huber
>>> Huber(delta=2)(14.0, [12.0, 15.0]), Huber(delta=2).gradient(14.0, [12.0, 15.0])
(1.25, 0.5)

A loss of your own
------------------
A Python function ``f(theta, dataset)`` is called as it is, at the speed of Python. `compiled` makes a loss of two C
functions, which runs at the speed of the losses here and without the interpreter's lock. It takes functions of numba's
``@cfunc``, ctypes, `scipy.LowLevelCallable` or a capsule; parameters are an array of double in a third argument. An
example is the Cauchy loss, log(1 + (r / c)**2), whose slope tends to 0 for far outliers. With numba::

    import math
    from collections.abc import Sequence

    import numba

    from fastgd import check_gradient, minimize
    from fastgd.datasets import load_tips
    from fastgd.losses import compiled

    @numba.cfunc("float64(float64, float64, CPointer(float64))")
    def value(prediction: float, target: float, c: Sequence[float]) -> float:
        r = (target - prediction) / c[0]
        return math.log1p(r * r)

    @numba.cfunc("float64(float64, float64, CPointer(float64))")
    def slope(prediction: float, target: float, c: Sequence[float]) -> float:
        r = prediction - target
        return 2 * r / (c[0] * c[0] + r * r)

    cauchy = compiled(value, slope, name="cauchy", c=5.0)
    pcttip = load_tips()["pcttip"]
    check_gradient(cauchy, cauchy.gradient, pcttip).error < 1e-6  # True
    round(minimize(cauchy, cauchy.gradient, pcttip, tol=1e-9, progress=False), 4)  # 15.6503

With the C compiler::

    import ctypes
    import pathlib
    import subprocess

    from fastgd import minimize
    from fastgd.datasets import load_tips
    from fastgd.losses import compiled

    pathlib.Path("cauchy.c").write_text('''
    #include <math.h>
    double value(double prediction, double target, void *c)
    { double r = (target - prediction) / *(double *) c; return log1p(r * r); }
    double slope(double prediction, double target, void *c)
    { double w = *(double *) c, r = prediction - target; return 2 * r / (w * w + r * r); }
    ''')
    subprocess.run("cc -O2 -shared -fPIC -o cauchy.so cauchy.c -lm".split(), check=True)
    library = ctypes.CDLL("./cauchy.so")
    for function in (library.value, library.slope):
        function.restype, function.argtypes = ctypes.c_double, [ctypes.c_double, ctypes.c_double, ctypes.c_void_p]

    cauchy = compiled(library.value, library.slope, name="cauchy", c=5.0)
    round(minimize(cauchy, cauchy.gradient, load_tips()["pcttip"], tol=1e-9, progress=False), 4)  # 15.6503

``tests/README.md`` of the source tree describes how to add a loss to fastgd itself.
"""
from fastgd.losses import builtin
from fastgd.losses.base import Gradient, Loss
from fastgd.losses.builtin import *  # noqa: F403
from fastgd.losses.builtin import REGISTRY
from fastgd.losses.from_c import CompiledLoss, compiled

__all__ = ["REGISTRY", "CompiledLoss", "Gradient", "Loss", "compiled"]
__all__ += builtin.__all__
