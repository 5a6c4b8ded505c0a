"""The Gram matrix of a design: the sum over rows of w u u' for the augmented row u = [z, 1, t], with z = x - shift.

X is float32 or float64 in C order and is not copied; z and all sums are in double. A leaf is summed from 0 in
the order of its rows, and leaves are added by the tree of sums over rows, so that the bits depend on n and p alone.

A leaf is copied into panels of WIDTH columns, each of them row by row and the last filled up with zeros. A tile is the
sums of products of two panels, which stay in registers while the rows pass: number s * WIDTH + j is that of column j
of the first panel and column j ^ s of the second: both are read in place, or with neighbours or pairs exchanged, which
costs less than to broadcast a number to a vector. Loops over j go down, because GCC 12 then vectorises them with the
fewest shuffles; no sum depends on the order of j.
"""
from fastgd._kernels.linear cimport levels
from fastgd._kernels.losses cimport real
from fastgd._kernels.mean cimport LEAF, LINE, half_of, prefetch

cdef enum:
    WIDTH = 4                # columns of a panel: 8 vectors of 2 sums, as many as 16 registers hold beside the factors
    TILE = WIDTH * WIDTH
    ENDS = 2                 # the columns 1 and t
    EDGE = ENDS * WIDTH      # the sums of products of a panel with these
    CORNER = 4               # those of w, w t and w t t, and a 0
    PANEL = LEAF * WIDTH + LINE // 8    # from panel to panel: a cache line beside its size, so that they share no set

cdef struct job:
    const double* shift
    const double* weights    # NULL for ones
    const double* targets    # NULL for zeros
    Py_ssize_t p
    Py_ssize_t panels
    Py_ssize_t size          # of the sums of a node: the corner, the edges, and the tiles of the upper half
    double* ends             # 1 and t of each row of a leaf
    double* plain            # the panels of z
    double* weighted         # those of w z; the same ones without weights


cdef inline Py_ssize_t panels_of(Py_ssize_t p) noexcept nogil:
    return (p + WIDTH - 1) // WIDTH


cdef inline Py_ssize_t size_of(Py_ssize_t panels) noexcept nogil:
    return panels * (panels + 1) // 2 * TILE + panels * EDGE + CORNER


cpdef Py_ssize_t scratch_size(Py_ssize_t n, Py_ssize_t p, bint is_weighted) noexcept nogil:
    """Length of the scratch array for sums over n rows of p columns."""
    cdef Py_ssize_t panels = panels_of(p)
    return ENDS * LEAF + (2 if is_weighted else 1) * panels * PANEL + levels(n) * size_of(panels)


cdef inline void pack(
    const real* X, const job* of, Py_ssize_t column, Py_ssize_t width, const double* weights, Py_ssize_t n,
    double* plain, double* weighted, double* total,
) noexcept nogil:
    """Copy `width` columns from `column` on of n rows into a panel; write its edge to `total`."""
    cdef double r[EDGE]
    cdef double z[WIDTH]
    cdef double shift[WIDTH]
    cdef const double* ends = of.ends
    cdef Py_ssize_t i, j
    for j in range(width):
        shift[j] = of.shift[column + j]
    for j in range(EDGE):
        r[j] = 0
    X += column
    for i in range(n):
        for j in range(width):
            z[j] = X[j] - shift[j]
        for j in range(width, WIDTH):
            z[j] = 0
        for j in range(WIDTH):
            plain[j] = z[j]
        if weights != NULL:
            for j in range(WIDTH):
                z[j] = weights[i] * z[j]
            for j in range(WIDTH):
                weighted[j] = z[j]
        for j in range(WIDTH - 1, -1, -1):
            r[j] += z[j] * ends[j & 1]
        for j in range(WIDTH - 1, -1, -1):
            r[WIDTH + j] += z[j] * ends[j & 1 ^ 1]
        X += of.p
        plain += WIDTH
        weighted += WIDTH
        ends += ENDS
    for j in range(EDGE):
        total[j] = r[j]


cdef inline void pack_any(
    const real* X, const job* of, Py_ssize_t a, const double* weights, Py_ssize_t n, double* total,
) noexcept nogil:
    """Pack panel a. Each width is a constant, so that no compiler leaves the choice inside the loop."""
    cdef Py_ssize_t column = a * WIDTH, left = of.p - column
    cdef double* plain = of.plain + a * PANEL
    cdef double* weighted = of.weighted + a * PANEL
    if left >= WIDTH:
        pack(X, of, column, WIDTH, weights, n, plain, weighted, total)
    elif left == 3:
        pack(X, of, column, 3, weights, n, plain, weighted, total)
    elif left == 2:
        pack(X, of, column, 2, weights, n, plain, weighted, total)
    else:
        pack(X, of, column, 1, weights, n, plain, weighted, total)


cdef inline void corner(const job* of, Py_ssize_t start, Py_ssize_t n, double* total) noexcept nogil:
    cdef Py_ssize_t i
    cdef double w, t
    for i in range(CORNER):
        total[i] = 0
    for i in range(n):
        w, t = 1 if of.weights == NULL else of.weights[start + i], of.ends[ENDS * i + 1]
        total[0] += w
        total[1] += w * t
        total[2] += w * t * t


cdef inline void pack_leaf(const real* X, const job* of, Py_ssize_t start, Py_ssize_t n, double* total) noexcept nogil:
    """Pack n rows into panels; write the corner and the edges to `total`."""
    cdef Py_ssize_t a, i
    for i in range(n):
        of.ends[ENDS * i] = 1
        of.ends[ENDS * i + 1] = 0 if of.targets == NULL else of.targets[start + i]
    corner(of, start, n, total)
    total += CORNER
    for a in range(of.panels):
        if of.weights == NULL:
            pack_any(X + start * of.p, of, a, NULL, n, total)
        else:
            pack_any(X + start * of.p, of, a, of.weights + start, n, total)
        total += EDGE


cdef void tile(const double* a, const double* b, Py_ssize_t n, double* total) noexcept nogil:
    """Write the sums of products of two panels."""
    cdef double r[TILE]
    cdef Py_ssize_t _, j
    for j in range(TILE):
        r[j] = 0
    for _ in range(n):
        for j in range(WIDTH - 1, -1, -1):
            r[j] += a[j] * b[j]
        for j in range(WIDTH - 1, -1, -1):
            r[4 + j] += a[j] * b[j ^ 1]
        for j in range(WIDTH - 1, -1, -1):
            r[8 + j] += a[j] * b[j ^ 2]
        for j in range(WIDTH - 1, -1, -1):
            r[12 + j] += a[j] * b[j ^ 3]
        a += WIDTH
        b += WIDTH
    for j in range(TILE):
        total[j] = r[j]


cdef void tile_on_diagonal(const double* a, const double* b, Py_ssize_t n, double* total) noexcept nogil:
    """Write the sums of products of a panel with itself; for s of 2 and 3 only the half above the diagonal."""
    cdef double r[TILE]
    cdef Py_ssize_t _, j
    for j in range(TILE):
        r[j] = 0
    for _ in range(n):
        for j in range(WIDTH - 1, -1, -1):
            r[j] += a[j] * b[j]
        for j in range(WIDTH - 1, -1, -1):
            r[4 + j] += a[j] * b[j ^ 1]
        for j in range(1, -1, -1):
            r[8 + j] += a[j] * b[j ^ 2]
        for j in range(1, -1, -1):
            r[12 + j] += a[j] * b[j ^ 3]
        a += WIDTH
        b += WIDTH
    for j in range(TILE):
        total[j] = r[j]


cdef inline void add_leaf(const real* X, const job* of, Py_ssize_t start, Py_ssize_t n, double* total) noexcept nogil:
    """Write the sums over n rows; prefetch an equal share of the following rows with each tile."""
    cdef Py_ssize_t a, b, k, lines = n * of.p * <Py_ssize_t> sizeof(real) // LINE
    cdef Py_ssize_t share = lines // (of.panels * (of.panels + 1) // 2) + 1
    cdef const char* ahead = <const char*> (X + (start + n) * of.p)
    pack_leaf(X, of, start, n, total)
    total += CORNER + of.panels * EDGE
    for a in range(of.panels):
        for b in range(a, of.panels):
            for k in range(share):
                prefetch(ahead + k * LINE)
            ahead += share * LINE
            if a == b:
                tile_on_diagonal(of.plain + a * PANEL, of.weighted + a * PANEL, n, total)
            else:
                tile(of.plain + a * PANEL, of.weighted + b * PANEL, n, total)
            total += TILE


cdef void add_tree(
    const real* X, const job* of, Py_ssize_t start, Py_ssize_t n, double* total, double* scratch,
) noexcept nogil:
    """Write the sums over any number of rows, by the tree; `scratch` holds the sums of each level below."""
    cdef Py_ssize_t half, j
    if n <= LEAF:
        add_leaf(X, of, start, n, total)
        return
    half = half_of(n)
    add_tree(X, of, start, half, total, scratch)
    add_tree(X, of, start + half, n - half, scratch, scratch + of.size)
    for j in range(of.size):
        total[j] += scratch[j]


cdef void unpack(const job* of, const double* total, double[:, ::1] out) noexcept nogil:
    """Write the sums of a node as a symmetric matrix."""
    cdef Py_ssize_t a, b, s, j, row, column, p = of.p, q = out.shape[0]
    for row in range(p, q):
        for column in range(p, q):
            out[row, column] = total[row + column - 2 * p]
    total += CORNER
    for a in range(of.panels):
        for j in range(min(<Py_ssize_t> WIDTH, p - a * WIDTH)):
            row = a * WIDTH + j
            for s in range(q - p):
                out[row, p + s] = out[p + s, row] = total[((j ^ s) & 1) * WIDTH + j]
        total += EDGE
    for a in range(of.panels):
        for b in range(a, of.panels):
            for s in range(WIDTH):
                for j in range(WIDTH):
                    row, column = a * WIDTH + j, b * WIDTH + (j ^ s)
                    if row <= column < p:
                        out[row, column] = out[column, row] = total[s * WIDTH + j]
            total += TILE


def sums(const real[:, ::1] X not None, const double[::1] shift not None, const double[::1] weights,
         const double[::1] targets, Py_ssize_t start, Py_ssize_t stop, double[:, ::1] out not None,
         double[::1] scratch not None):
    """Write the sum of w u u' over the rows from `start` to `stop` to `out`, with u = [x - shift, 1, t].

    `weights` may be None, for ones, and `targets` too, for rows u without t. `out` has a row and a column for each
    number of u, and `scratch` has ``scratch_size(stop - start, p, weights is not None)`` places.
    """
    cdef Py_ssize_t p = X.shape[1], n = X.shape[0]
    cdef bint is_weighted = weights is not None, has_targets = targets is not None
    cdef job of
    cdef double* total
    if p == 0 or not 0 <= start < stop <= n:
        raise ValueError("sums: rows out of range")
    if shift.shape[0] != p or is_weighted and weights.shape[0] != n or has_targets and targets.shape[0] != n:
        raise ValueError("sums: arrays of different lengths")
    if (not p + 1 + has_targets == out.shape[0] == out.shape[1]
            or scratch.shape[0] < scratch_size(stop - start, p, is_weighted)):
        raise ValueError("sums: a buffer is too short")
    with nogil:
        of.shift = &shift[0]
        of.weights = &weights[0] if is_weighted else NULL
        of.targets = &targets[0] if has_targets else NULL
        of.p, of.panels = p, panels_of(p)
        of.size = size_of(of.panels)
        of.ends = &scratch[0]
        of.plain = of.ends + ENDS * LEAF
        of.weighted = of.plain + of.panels * PANEL if is_weighted else of.plain
        total = of.weighted + of.panels * PANEL
        add_tree(&X[0, 0], &of, start, stop - start, total, total + of.size)
        unpack(&of, total, out)


cdef void add_columns(
    const double* X, const double* weights, Py_ssize_t p, Py_ssize_t n, double* total, double* scratch,
) noexcept nogil:
    """Write the sum of w x over n rows from X on, by the tree."""
    cdef Py_ssize_t i, j, half
    if n <= LEAF:
        for j in range(p):
            total[j] = 0
        for i in range(n):
            for j in range(p):
                total[j] += (X[j] if weights == NULL else weights[i] * X[j])
            X += p
        return
    half = half_of(n)
    add_columns(X, weights, p, half, total, scratch)
    add_columns(X + half * p, NULL if weights == NULL else weights + half, p, n - half, scratch, scratch + p)
    for j in range(p):
        total[j] += scratch[j]


def column_sums(const double[:, ::1] X not None, const double[::1] weights, double[::1] out not None,
                double[:, ::1] scratch not None):
    """Write the sum of each column to `out`, of rows that are multiplied by their `weights` unless that is None.

    `scratch` has ``levels(n)`` rows as long as one of X.
    """
    cdef Py_ssize_t n = X.shape[0], p = X.shape[1]
    if n == 0 or p == 0 or weights is not None and weights.shape[0] != n:
        raise ValueError("column_sums: arrays of different lengths")
    if out.shape[0] != p or scratch.shape[1] != p or scratch.shape[0] < levels(n):
        raise ValueError("column_sums: a buffer is too short")
    with nogil:
        add_columns(&X[0, 0], NULL if weights is None else &weights[0], p, n, &out[0], &scratch[0, 0])
