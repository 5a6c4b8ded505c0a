"""Every tuning constant, with its unit and what chose it."""

# Between two chances to answer Ctrl-C, which is promised within 0.1 s.

#: Evaluations of a loss at a point in one call of a kernel: 3 ms of the slowest that needs only + - * /.
EVALUATIONS = 2**22
#: Evaluations in the first chunk of updates, after which their time is known.
FIRST_CHUNK = 2**20
#: Numbers that are checked, copied or reduced at once: 4 ms.
SLICE = 2**22
#: Seconds that a chunk of updates should take at most; the next one is made half or twice as long. A fifth of the
#: promise, because a machine may be busy.
LONGEST_CHUNK = 0.02

# Sums.

#: Evaluations of a loss at a point, or numbers of X, above which `n_threads` counts: to wake a thread and to wait for
#: it takes as long as a quarter of a pass over so many.
MANY_POINTS = 1_000_000
#: Points above which it counts for the updates of a batch descent, which one thread makes in a kernel of their own.
MANY_FOR_UPDATES = 2_000_000
#: Points or rows that the trees of sums do not cut; the kernels' own.
LEAF = 128
#: Points that stay in the first cache while every theta passes over them; the kernels' own block.
CACHED_POINTS = 4096
#: Points or numbers of X that a function of numpy's is given at once: its temporaries stay in the second cache.
POINTS_AT_ONCE = 2**16
#: Numbers of X of a part: a millisecond or less, and few enough that threads end together.
NUMBERS_OF_A_PART = 2**19
#: Products of two numbers of X in one call of the kernel of the Gram matrix, which makes half of them: 15 ms.
PRODUCTS = 2**28
#: Numbers of X for each number of a sum of products that is kept until those of all parts are added.
NUMBERS_FOR_EACH_SUM = 16
#: Numbers of X that stay in the second cache for several passes, or for a copy in float64.
CACHED_NUMBERS = 2**15

# Chunks of updates.

#: Updates of a batch descent.
BATCH_UPDATES = 4096
#: Evaluations that a batch descent may make after it began to repeat, before that is looked for: 65 us of the slowest.
EVALUATIONS_IN_VAIN = 4096
#: Updates of a stochastic one: 96 KiB of rates and as much of thetas, below the size for which malloc maps fresh pages
#: at every call.
STOCHASTIC_UPDATES = 12_288
#: Numbers of the thetas of a linear model that are kept at once: 512 KiB.
NUMBERS_KEPT = 2**16

# Stochastic descent on data that are not in memory.

#: Numbers of X in a block, and the fewest rows; blocks that are held and shuffled together: 8 MB of float64.
NUMBERS_OF_A_BLOCK, LEAST_OF_A_BLOCK, BLOCKS_TOGETHER = 2**14, 256, 64
#: The means of blocks that differ so many times as much as by chance are of rows in an order.
UNEVEN = 4.0

# Differences and chords.

#: Points that tell the spread of more of them to 1 %, in two milliseconds.
SPREAD_SAMPLE = 2**17
#: A loss is coarse if rounding changes it by more than this part of what the size of a residual does: of losses in
#: double precision it is 1e-15 or so, in single precision 1e-8.
COARSE = 2.0**-28
#: Times that the resolution of a loss is measured because it does not change, at 11 evaluations or more.
MOST_MEASURED = 8
#: A slope below this part of the steepest one is near a minimum, where rounding matters most.
NEAR_MINIMUM = 1e-2

# Curvature.

#: Parameters up to which descent on the squared error goes by the Gram matrix; it costs a pass over X for every 8.
MOST_FOR_GRAM = 101
#: Parameters up to which the largest eigenvalue is that of the Gram matrix; the power iteration takes 60 passes.
MOST_FOR_EIGENVALUES = 512

# Adaptive steps.

#: Rows for each row of a sample from which on a descent on the sample says where to begin.
FEW_ENOUGH = 8
#: Points in a bracket that are gathered and sorted; and looks after which they are, however many.
FEW_TO_SORT, LOOKS_BEFORE_SORTING = 4096, 12
#: Quantiles that stand for the points where the minimum is first looked for, and how many of them on each side of it
#: tell the curvature there.
PLACES, PLACES_NEAR = 64, 4
#: A step that goes by the secant, or by a curvature, goes so many times as far, to see the other side of the minimum;
#: where the slope does not change at all steps grow by the other factor.
BEYOND, FARTHER = 1.5, 10.0
#: A theta from which all points are far away.
FAR_AWAY = 1e300
#: The part of a sum of weights that is rounding.
ROUNDING_OF_SUMS = 1e-9

# Smoothed kinks.

#: The half-width falls by this factor from one stage to the next, which ends where a step is this part of it.
NARROWER, SHORT_FOR_STAGE = 0.3, 0.02
#: Updates of adaptive lengths in a stage, after which it goes on with momentum, which cannot overshoot.
PATIENCE = 150
#: A run ends where smoothing can have cost this part of the loss.
COST_OF_SMOOTHING = 1e-4
#: Where no less can be shown, by rounding or in the updates that were allowed, this part of the loss is enough.
NEAR_ENOUGH = 1e-3
#: What is this part of a residual's terms is their rounding, below which no width is of use.
ROUNDING_OF_RESIDUALS = 2.0**-48
#: Shorter steps that leave this part of what the slopes left lead nowhere.
STUCK = 0.99
#: How many times as much as may be left what the slopes leave, by the length of their mean, is worth a proof.
WORTH_A_PROOF = 4.0
#: The part of a jump that a slope far from kinks may change by, where those near them cannot make up for it.
LEAST_ROOM = 1e-6
#: How often slopes are moved, and the part of what they cost that they may leave.
MOST_ROUNDS, ENOUGH_LEFT = 4, 0.1
#: What is this part of what it is compared with is rounding.
ROUNDING = 1e-13
#: A bound of this part of the loss at the start ends a run, and so much of the loss of the targets' spread is none: the
#: model fits.
NEGLIGIBLE = 1e-9

#: A bound below this part of the loss says that the exact minimum is near; it is looked for along at most so many edges
#: where the rows have at most so many numbers, with which that takes as long as one more stage.
NEAR_A_VERTEX, EDGES, NUMBERS_FOR_VERTEX = 1e-3, 500, 2**17
#: Kinks along an edge that are sorted first: the one at its end is most often among them.
FEW_KINKS = 64
#: The part of the mean residual by which the targets are moved apart.
TIE_BREAKER = 1e-11
#: The part of a jump by which a slope at a kink may be beyond it, by rounding.
ROUNDING_OF_SLOPES = 1e-9

# Scales.

#: The median of abs(z) of a standard normal z: the quantile of it at 3/4.
NORMAL_MAD = 0.6744897501960817
#: Updates with one scale: more of them take longer, and with fewer the last digits are lost.
UPDATES_OF_A_SCALE = 3

# Estimators.

#: Columns up to which a fit makes its steps in the metric of their Gram matrix, where none is named.
MOST_FOR_FIT_BY_GRAM = 500
#: Updates at most on the sample that tells a stochastic descent the scale of its residuals.
UPDATES_ON_SAMPLE = 300
#: Rows of a sample for a curve of the loss, which takes a tenth of the fit then.
ROWS_OF_A_CURVE = 1024
#: Points of a curve of the loss; it has up to twice as many.
POINTS_OF_A_CURVE = 1000
#: A score that rose by less has not improved.
IMPROVED = 1e-4

# Metrics.

#: Eigenvalues of a Gram matrix of columns of size 1 below this part of the largest, for each column, are rounding.
LOST_IN_ROUNDING = 1e-14
#: Columns that differ along a direction by less than so many roundings of their numbers are the same there; numpy's
#: least squares of as many rows allows as much.
ROUNDINGS = 1000
#: A column is part of a tie if its share in a direction in which the matrix is 0 is above this.
PART_OF_A_TIE = 1e-4
#: Columns above which a Gram matrix, of which a pseudo-inverse is taken, would take minutes.
MOST_FOR_METRIC = 2000
#: The largest stable learning rate in any metric: they are made for half of it to be 1.
LARGEST_IN_METRIC = 2.0
#: A column whose deviation is below this part of its mean is constant, as far as a double can say.
CONSTANT = 1e-15
#: Mean square of a column below which a product of two of them loses digits to underflow.
LEAST_SQUARE = 1e-280

# Verdicts.

#: Rows that tell how far a loss is from the least, and rows that tell whether it rose.
SAMPLE, FEW = 4096, 512
#: A loss that ended so many times above where it began has diverged, whatever theta is.
GROWN = 1e6
#: A descent ended too soon if the loss falls by this part of itself farther on; below the other it surely does not.
WORTH_WHILE, SURELY_NOT = 0.01, 2e-3
#: The minimum is looked for within so many tol first.
FAR = 10
#: Units in the last place by which theta may be off, by rounding in a descent.
ROUNDED = 64
#: A loss that can fall by this part of itself at most is said to be the least.
LEAST = 1e-6
#: Log-odds that are of any use.
LOG_ODDS = 10.0
#: A loss is straight at a residual if it is less than so many times as steep at twice that.
STRAIGHT = 1.1
#: Where the least is below this part of it the model fits, and a fall of the other part is none within `FAR` tol.
FITS, WELL_FITTED = 1e-6, 1e-4
#: Updates of the descent that looks: on all rows after it was on a sample of them, and where it is alone.
LOOKS, ENOUGH_LOOKS = 12, 300
#: Updates at most where it goes on because it has not arrived, and numbers of X that they pass over: 0.1 s.
MOST_LOOKS, NUMBERS_LOOKED_AT = 4000, 2**26
#: Columns whose root mean square is above this are named where a descent diverged.
UNSCALED = 3.0
#: Columns that a message names at most.
MOST_NAMED = 8
