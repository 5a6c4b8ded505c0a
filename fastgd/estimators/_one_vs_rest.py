"""One class after another against the rest: the sources of the descents, their runs, and what becomes of them."""
from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted

from fastgd._data import as_chunks
from fastgd._data.labels import Labels
from fastgd._data.chunked import scan_chunks
from fastgd._thread_pool import SERIAL
from fastgd._validation import is_lazy, refuse_lazy
from fastgd.estimators import _lazy
from fastgd.estimators._base import Descent, refuse_early_stop
from fastgd.estimators._classes import (
    accuracy,
    distinct,
    labels_for,
    places,
    targets_of,
    two_or_more,
    weights_of_classes,
    weights_of_rows,
)
from fastgd.estimators._options import options_of
from fastgd.estimators._resumed import resumed
from fastgd.estimators._runs import ended, objective_on, run

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from fastgd.estimators._base import Checked
    from fastgd.estimators._options import Options
    from fastgd.estimators._runs import Fit, Run, State


class OneVsRest(ClassifierMixin, Descent):    # type: ignore[misc]
    """A linear model for each class; of two classes one."""

    classes_: NDArray[Any]

    def _fit(self, X: Any, y: Any, sample_weight: Any) -> None:
        options = options_of(self)
        before = getattr(self, "classes_", None)
        score = None
        if is_lazy(X, y, sample_weight):
            refuse_early_stop(options)
            labels, rows = (X, None) if y is None else (y, X)
            sources = self._lazy_sources(options, labels, rows, sample_weight)
        else:
            sources, score = self._sources(options, self._checked(X, y, sample_weight, y_numeric=False))
        if before is None or not np.array_equal(before, self.classes_):
            options = options._replace(warm_start=False)
        try:
            self._take([ended(done) for done in self._runs(options, sources, score)], options)
        finally:
            if sources[0].is_chunked:
                sources[0].chunks.close()

    def _resume(self, X: Any, y: Any, classes: Any, sample_weight: Any) -> None:
        """An epoch of each class."""
        refuse_lazy(X, "X")
        refuse_lazy(y, "y")
        options = options_of(self)
        if options.early_stopping:
            raise ValueError("partial_fit does not support early_stopping=True: it keeps no rows apart.")
        if isinstance(self.class_weight, str):
            raise ValueError("class_weight='balanced' is not supported for partial_fit, which does not see all classes "
                             "at once. Pass a dict.")
        states: Sequence[State | None] | None = getattr(self, "_states", None)
        is_first = states is None and not hasattr(self, "coef_")
        if classes is None and is_first:
            raise ValueError("classes must be passed on the first call to partial_fit.")
        checked = self._checked(X, y, sample_weight, reset=is_first, y_numeric=False)
        check_classification_targets(checked.y)
        if is_first:
            self.classes_ = two_or_more(np.unique(np.asarray(classes)))
        elif classes is not None and not np.array_equal(np.unique(np.asarray(classes)), self.classes_):
            raise ValueError(f"classes={classes!r} are not those of the first call, {self.classes_!r}.")
        at = places(checked.y, self.classes_)
        weights = weights_of_rows(self.class_weight, self.classes_, at, checked.weights)
        sources = [self._rows(checked.X, targets, weights, options)
                   for targets in targets_of(at, len(self.classes_), options.loss)]
        starts, generators = self._starts(options, len(sources)), _generators(options, len(sources))
        fits = [resumed(objective_on(source, options, options.threads), options, state,
                        source.theta(start, "theta0"), generator)
                for source, state, start, generator in zip(sources, states or [None] * len(sources), starts, generators,
                                                           strict=True)]
        calls = 0
        if states is not None:
            calls, curves = self.n_iter_, self.loss_curve_ if len(fits) > 1 else [self.loss_curve_]
            fits = [fit._replace(curve=np.append(curve, fit.curve)) for fit, curve in zip(fits, curves, strict=True)]
        self._take([fit._replace(iterations=calls + 1) for fit in fits], options)

    def _outputs(self) -> int:
        """Columns of a decision function; 0 for an array of one axis."""
        check_is_fitted(self)
        return len(self.coef_) if len(self.coef_) > 1 else 0

    def _sources(self, options: Options, checked: Checked) -> tuple[list[Any], Callable[..., float] | None]:
        """The rows of each class against the rest, and the score of a theta on those that are kept apart."""
        check_classification_targets(checked.y)
        classes, at = distinct(checked.y)
        self.classes_ = two_or_more(classes)
        weights = weights_of_rows(self.class_weight, classes, at, checked.weights)
        fitted, apart = self._splits(options, checked._replace(y=at, weights=weights), at)
        sources: list[Any] = [self._rows(fitted.X, targets, fitted.weights, options)
                              for targets in targets_of(fitted.y, len(classes), options.loss)]
        if apart is None:
            return sources, None
        return sources, functools.partial(accuracy, apart, int(options.fit_intercept), len(classes) > 2)

    def _lazy_sources(self, options: Options, y: Any, X: Any, sample_weight: Any) -> list[Any]:
        """The same of data that are not in memory.

        A first pass over the labels finds the classes; from then on the targets are the numbers of these.
        """
        found = as_chunks(y, None if is_lazy(y) else X, sample_weight, Labels())
        try:
            classes, sums = _lazy.classes_of(found)
        finally:
            found.close()
        self.classes_ = two_or_more(classes)
        pieces = as_chunks(y, X, sample_weight, Labels(classes))
        pieces.passes, pieces.bytes_read = pieces.passes + found.passes, found.bytes_read
        factors = weights_of_classes(self.class_weight, classes, sums)
        by_class = None if factors is None else {float(k): factor for k, factor in enumerate(factors.tolist())}
        labels = labels_for(options.loss)
        sources: list[Any] = []
        for k in range(len(classes)) if len(classes) > 2 else [1]:
            relabelled: Any = _lazy.Relabelled(pieces, k, labels, by_class)
            sources.append(scan_chunks(relabelled, options.fit_intercept))
            self._looked_at(sources[-1])
        return sources

    def _runs(self, options: Options, sources: list[Any], score: Callable[..., float] | None) -> list[Run]:
        """The descent of each class; in threads where nobody looks on and the rows are in memory."""
        starts, generators = self._starts(options, len(sources)), _generators(options, len(sources))
        objectives = [objective_on(source, options, SERIAL if len(sources) > 1 else options.threads)
                      for source in sources]
        if options.settings_for(sources[0].p).precondition is not None:
            for objective in objectives[1:]:    # whose metrics are of the same columns
                objective.second_moments = objectives[0].curvature

        def done(k: int) -> Run:
            of_class = None if score is None else functools.partial(score, k)
            return run(objectives[k], options, starts[k], generator=generators[k], score=of_class)

        is_free = options.settings.display is None and options.settings.callback is None
        threads = options.threads if is_free and not sources[0].is_chunked else SERIAL
        return [done(0), *threads.map(done, range(1, len(sources)))]

    def _take(self, fits: list[Fit], options: Options) -> None:
        """The attributes of the fits of all classes."""
        thetas, first = np.array([fit.result.x for fit in fits]), int(options.fit_intercept)
        self.coef_ = thetas[:, first:].copy()
        self.intercept_ = thetas[:, 0].copy() if first else np.zeros(len(fits))
        self._states = [fit.state for fit in fits] if options.settings.is_stochastic else None
        self._take_iterations(fits, max(fit.iterations for fit in fits))


def _generators(options: Options, count: int) -> list[np.random.BitGenerator | None]:
    """A generator for each class, so that none waits for another."""
    generator = options.settings.bit_generator
    if generator is None or count == 1:
        return [generator] * count
    seeds = np.random.Generator(generator).integers(2**63, size=count)
    return [np.random.PCG64(int(seed)) for seed in seeds]
