"""One-versus-rest classification: the data, the solver and the coefficients of each class."""
from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted

from fastgd._data import as_chunks
from fastgd._data.chunked import scan_chunks
from fastgd._data.labels import Labels
from fastgd._thread_pool import SERIAL
from fastgd._validation import is_lazy, refuse_lazy
from fastgd.estimators import _lazy
from fastgd.estimators._base import BaseDescent, refuse_early_stopping
from fastgd.estimators._fitting import finalize, objective_on, run
from fastgd.estimators._labels import (
    binary_targets,
    check_two_classes,
    class_weight_factors,
    encode,
    encode_known,
    one_vs_rest_targets,
    validation_accuracy,
    weighted_by_class,
)
from fastgd.estimators._options import options_of
from fastgd.estimators._partial_fit import run_epoch

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from fastgd.estimators._base import CheckedData
    from fastgd.estimators._fitting import Fit, SolverRun, State
    from fastgd.estimators._options import Options


class OneVsRest(ClassifierMixin, BaseDescent):    # type: ignore[misc]
    """A linear model for each class against the rest; a single model for two classes."""

    classes_: NDArray[Any]

    def _fit_classes(self, X: Any, y: Any, sample_weight: Any) -> None:
        options = options_of(self)
        before = getattr(self, "classes_", None)
        score = None
        if is_lazy(X, y, sample_weight):
            refuse_early_stopping(options)
            labels, rows = (X, None) if y is None else (y, X)
            sources = self._lazy_sources(options, labels, rows, sample_weight)
        else:
            sources, score = self._sources(options, self._checked(X, y, sample_weight, y_numeric=False))
        if before is None or not np.array_equal(before, self.classes_):
            options = options._replace(warm_start=False)
        try:
            self._set_fitted([finalize(done) for done in self._run_solvers(options, sources, score)], options)
        finally:
            if sources[0].is_chunked:
                sources[0].chunks.close()

    def _fit_epoch(self, X: Any, y: Any, classes: Any, sample_weight: Any) -> None:
        """Run one epoch for each class; see `partial_fit`."""
        refuse_lazy(X, "X")
        refuse_lazy(y, "y")
        options = options_of(self)
        if options.early_stopping:
            raise ValueError("partial_fit does not support early_stopping=True: it has no validation rows.")
        if isinstance(self.class_weight, str):
            raise ValueError("class_weight='balanced' is not supported for partial_fit, which has the rows of one "
                             "call only. Pass a dict.")
        states: Sequence[State | None] | None = getattr(self, "_states", None)
        is_first = states is None and not hasattr(self, "coef_")
        if classes is None and is_first:
            raise ValueError("classes must be passed on the first call to partial_fit.")
        checked = self._checked(X, y, sample_weight, reset=is_first, y_numeric=False)
        check_classification_targets(checked.y)
        if is_first:
            self.classes_ = check_two_classes(np.unique(np.asarray(classes)))
        elif classes is not None and not np.array_equal(np.unique(np.asarray(classes)), self.classes_):
            raise ValueError(f"classes={classes!r} differ from the classes of the first call, {self.classes_!r}.")
        at = encode_known(checked.y, self.classes_)
        weights = weighted_by_class(self.class_weight, self.classes_, at, checked.weights)
        sources = [self._rows(checked.X, targets, weights, options)
                   for targets in one_vs_rest_targets(at, len(self.classes_), options.loss)]
        starts, generators = self._warm_starts(options, len(sources)), _generators(options, len(sources))
        fits = [run_epoch(objective_on(source, options, options.threads), options, state,
                        source.theta(start, "theta0"), generator)
                for source, state, start, generator in zip(sources, states or [None] * len(sources), starts, generators,
                                                           strict=True)]
        calls = 0
        if states is not None:
            calls, curves = self.n_iter_, self.loss_curve_ if len(fits) > 1 else [self.loss_curve_]
            fits = [fit._replace(curve=np.append(curve, fit.curve)) for fit, curve in zip(fits, curves, strict=True)]
        self._set_fitted([fit._replace(iterations=calls + 1) for fit in fits], options)

    def _n_outputs(self) -> int:
        """Return the number of columns of the decision function; 0 for a one-dimensional array."""
        check_is_fitted(self)
        return len(self.coef_) if len(self.coef_) > 1 else 0

    def _sources(self, options: Options, checked: CheckedData) -> tuple[list[Any], Callable[..., float] | None]:
        """Return the data of each class against the rest, and the accuracy on the validation rows or None."""
        check_classification_targets(checked.y)
        classes, at = encode(checked.y)
        self.classes_ = check_two_classes(classes)
        weights = weighted_by_class(self.class_weight, classes, at, checked.weights)
        fitted, apart = self._train_validation_split(options, checked._replace(y=at, weights=weights), at)
        sources: list[Any] = [self._rows(fitted.X, targets, fitted.weights, options)
                              for targets in one_vs_rest_targets(fitted.y, len(classes), options.loss)]
        if apart is None:
            return sources, None
        return sources, functools.partial(validation_accuracy, apart, int(options.fit_intercept), len(classes) > 2)

    def _lazy_sources(self, options: Options, y: Any, X: Any, sample_weight: Any) -> list[Any]:
        """Return the data of each class, from data outside memory; the first pass finds the classes."""
        found = as_chunks(y, None if is_lazy(y) else X, sample_weight, Labels())
        try:
            classes, sums = _lazy.find_classes(found)
        finally:
            found.close()
        self.classes_ = check_two_classes(classes)
        chunks = as_chunks(y, X, sample_weight, Labels(classes))
        chunks.passes, chunks.bytes_read = chunks.passes + found.passes, found.bytes_read
        factors = class_weight_factors(self.class_weight, classes, sums)
        by_class = None if factors is None else {float(k): factor for k, factor in enumerate(factors.tolist())}
        labels = binary_targets(options.loss)
        sources: list[Any] = []
        for k in range(len(classes)) if len(classes) > 2 else [1]:
            relabelled: Any = _lazy.RelabelledChunks(chunks, k, labels, by_class)
            sources.append(scan_chunks(relabelled, options.fit_intercept))
            self._set_columns(sources[-1])
        return sources

    def _run_solvers(self, options: Options, sources: list[Any], score: Callable[..., float] | None) -> list[SolverRun]:
        """Run the solver of each class, in threads if the data are in memory and nothing is displayed."""
        starts, generators = self._warm_starts(options, len(sources)), _generators(options, len(sources))
        objectives = [objective_on(sources[0], options, SERIAL if len(sources) > 1 else options.threads)]
        # The columns are the same, and so are their second moments.
        shared = None if options.settings_for(sources[0].p).precondition is None else objectives[0].second_moments
        objectives += [objective_on(data, options, SERIAL, shared) for data in sources[1:]]

        def run_class(k: int) -> SolverRun:
            class_score = None if score is None else functools.partial(score, k)
            return run(objectives[k], options, starts[k], generator=generators[k], score=class_score)

        is_free = options.settings.display is None and options.settings.callback is None
        threads = options.threads if is_free and not sources[0].is_chunked else SERIAL
        return [run_class(0), *threads.map(run_class, range(1, len(sources)))]

    def _set_fitted(self, fits: list[Fit], options: Options) -> None:
        """Set the attributes of the fits of all classes."""
        thetas, first = np.array([fit.result.x for fit in fits]), int(options.fit_intercept)
        self.coef_ = thetas[:, first:].copy()
        self.intercept_ = thetas[:, 0].copy() if first else np.zeros(len(fits))
        self._states = [fit.state for fit in fits] if options.settings.is_stochastic else None
        self._set_run_attributes(fits, max(fit.iterations for fit in fits))


def _generators(options: Options, count: int) -> list[np.random.BitGenerator | None]:
    """Return a generator for each class, so that threads share none."""
    generator = options.settings.bit_generator
    if generator is None or count == 1:
        return [generator] * count
    seeds = np.random.Generator(generator).integers(2**63, size=count)
    return [np.random.PCG64(int(seed)) for seed in seeds]
