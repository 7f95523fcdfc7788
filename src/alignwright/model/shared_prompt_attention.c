/* Attention with its gradient, a few rows of queries at a time. Scores stay in float32 until they are weights; weights
 * are not kept, but made again for the gradient from `mass`, the logarithm of their sum (Dao et al. 2022,
 * arXiv:2205.14135, algorithm 4).
 *
 * A group are the queries of one key head: rows r of q. Row r looks at the columns before seen[r] that are not in its
 * gap, and what no row of a tile sees is not computed: half of a prompt's square.
 *
 * query, out: [b * heads, q, d]; key, value: [b * heads, s, d]; seen: [b, q]; gap: [b, 2], from and to; mass: [b *
 * heads, q]. d is a multiple of VEC.
 */
#ifdef VEC

#define SLAB 96 /* rows whose weights and slopes are held at once */

/* Rows this far apart begin in all parts of a cache. */
static inline long odd(long columns) { return ((columns + 15) / 16 | 1) * 16; }

static inline long most(const int64_t *seen, long n) {
    long last = 0;
    for (long r = 0; r < n; r++) last = seen[r] > last ? seen[r] : last;
    return last;
}

/* x y' of some rows, which are `across` elements apart, up to column `last` at least. turned: y packed, `columns` of
 * them. */
static inline void scores(const real *x, long across, const real *turned, float *to, long apart, long columns,
        long last, long rows, long d) {
    for (long column = 0; column < last; column += WIDTH) {
        term t = {x, turned + column * d, d, across, STEP, 0};
        (width(column, columns) == WIDTH ? tile_packed : tile_packed_half)(&t, 1, WIDE, to + column, apart, rows);
    }
}

/* w y of some rows, over the first n columns of w. */
static inline void mixed(const real *w, const real *y, real *to, long n, long apart, long rows, long d) {
    for (long column = 0; column < d; column += WIDTH)
        loose((term){w, y + column, n, apart, STEP, d}, column, ROUNDED, to + column, d, rows);
}

static inline void turn_all(const real *x, real *turned, long columns, long s, long d, long apart) {
    for (long column = 0; column < columns; column += WIDTH)
        pack_panel(x, turned + column * d, column, width(column, columns), s, d, apart);
}

static inline void close_gap(float *x, const int64_t *gap, long n) {
    for (long j = gap[0]; j < least(gap[1], n); j++) x[j] = -INFINITY;
}

/* w = softmax(x) over the first n columns, to whole lanes, with 0 in what is beyond. x: with room for LANES more; that
 * no loop ends with single elements takes half of the time. */
static inline void softmax_row(float *x, real *w, long n) {
    long lanes = (n + LANES - 1) / LANES * LANES;
    for (long j = 0; j < LANES; j++) x[n + j] = -INFINITY;
    float top = -INFINITY;
    TOP(top) for (long j = 0; j < lanes; j++) top = x[j] > top ? x[j] : top;
    float factor = 1.0f / exponentials(x, n, top);
    SIMD for (long j = 0; j < lanes; j++) w[j] = narrow(x[j] * factor);
}

/* Rows k of y [n, d], `apart` from one another, in the order in which tiles read a packed weight; a last row of 0 makes
 * whole steps. */
static inline void pack_rows(const real *y, real *packed, long n, long d, long apart) {
    for (long column = 0; column < d; column += WIDTH) {
        long wide = width(column, d);
        for (long k = 0; k < n; k += STEP)
            for (long j = column; j < column + wide; j += VEC, packed += VEC * STEP)
                write_packed(packed, read_rows(y + k * apart + j, y + (k + 1) * apart + j, (int)least(STEP, n - k)));
    }
}

static inline void write_row(real *w, const float *x, long n, float factor, long columns) {
    SIMD for (long j = 0; j < n; j++) w[j] = narrow(x[j] * factor);
    for (long j = n; j < columns; j++) w[j] = 0;
}

/* out = softmax(query key') value. `mass` may be null. */
void attend(const real *query, const real *key, const real *value, const int64_t *seen, const int64_t *gap,
        float *mass, real *out, long b, long heads, long q, long s, long d, int threads) {
    long columns = (s + VEC - 1) / VEC * VEC, apart = columns + LANES;
#pragma omp parallel num_threads(threads) if (b * heads * q * s > 4096)
    {
        real *turned = malloc(sizeof(real) * (size_t)(columns * d)),
                *w = malloc(sizeof(real) * (size_t)(TALL * columns));
        float *row = malloc(sizeof(float) * (size_t)(TALL * apart));
#pragma omp for schedule(dynamic)
        for (long i = 0; i < b * heads; i++) {
            const int64_t *sees = seen + i / heads * q, *closed = gap + i / heads * 2;
            turn_all(key + i * s * d, turned, columns, s, d, d);
            for (long begin = 0; begin < q; begin += TALL) {
                long rows = least(TALL, q - begin), last = most(sees + begin, rows);
                scores(query + (i * q + begin) * d, d, turned, row, apart, columns, last, rows, d);
                for (long r = 0; r < rows; r++) {
                    float *x = row + r * apart, top = -INFINITY, total = 1.0f;
                    long n = sees[begin + r];
                    close_gap(x, closed, n);
                    TOP(top) for (long j = 0; j < n; j++) top = x[j] > top ? x[j] : top;
                    if (n) total = exponentials(x, n, top);
                    write_row(w + r * columns, x, n, 1.0f / total, columns);
                    if (mass) mass[i * q + begin + r] = n ? top + logf(total) : 0.0f;
                }
                mixed(w, value + i * s * d, out + (i * q + begin) * d, last, columns, rows, d);
            }
        }
        free(turned), free(w), free(row);
    }
}

/* What some rows of queries add to the gradients of keys or values: left' right, where row k of left is 0 from column
 * seen[k] on. left: [rows, pad] in steps. */
static inline void gathered(const real *left, long pad, const real *right, const int64_t *seen, float *to, long rows,
        long last, long d) {
    long first = 0, along = STEP * pad;
    for (long j = 0; j < last; j += TALL) {
        while (first < rows && seen[first] <= j) first++;
        long k = first / STEP * STEP;
        for (long column = 0; column < d; column += WIDTH) {
            term t = {left + k / STEP * along + j * STEP, right + k * d + column, rows - k, STEP, along, d};
            loose(t, column, ADDED, to + j * d + column, d, least(TALL, last - j));
        }
    }
}

void attend_backward(const real *query, const real *key, const real *value, const int64_t *seen, const int64_t *gap,
        const float *mass, const real *grad, real *grad_query, real *grad_key, real *grad_value, long b, long heads,
        long q, long s, long d, int threads) {
    long columns = (s + VEC - 1) / VEC * VEC, apart = columns + LANES, pad = odd(columns);
#pragma omp parallel num_threads(threads) if (b * heads * q * s > 4096)
    {
        size_t keys = sizeof(real) * (size_t)(columns * d), sums = sizeof(float) * (size_t)(s * d),
                slab = sizeof(real) * (size_t)(SLAB * pad);
        real *turned = malloc(keys), *turned_value = malloc(keys), *w = malloc(slab), *slope = malloc(slab),
                *stepped = malloc(slab);
        float *row = malloc(sizeof(float) * (size_t)(2 * TALL * apart)), *slopes = row + TALL * apart,
                *to_key = malloc(sums), *to_value = malloc(sums);
#pragma omp for schedule(dynamic)
        for (long i = 0; i < b * heads; i++) {
            const int64_t *sees = seen + i / heads * q, *closed = gap + i / heads * 2;
            const real *k = key + i * s * d;
            turn_all(k, turned, columns, s, d, d);
            turn_all(value + i * s * d, turned_value, columns, s, d, d);
            for (long j = 0; j < s * d; j++) to_key[j] = to_value[j] = 0.0f;
            for (long from = 0; from < q; from += SLAB) {
                long held = least(SLAB, q - from), at = i * q + from, last = most(sees + from, held);
                for (long begin = 0; begin < held; begin += TALL) {
                    long rows = least(TALL, held - begin), here = most(sees + from + begin, rows);
                    scores(query + (at + begin) * d, d, turned, row, apart, columns, here, rows, d);
                    scores(grad + (at + begin) * d, d, turned_value, slopes, apart, columns, here, rows, d);
                    for (long r = 0; r < rows; r++) {
                        float *x = row + r * apart, *g = slopes + r * apart, total = 0.0f;
                        long n = sees[from + begin + r];
                        close_gap(x, closed, n);
                        if (n) exponentials(x, n, mass[at + begin + r]);
                        SUM(total) for (long j = 0; j < n; j++) total += x[j] * g[j];
                        SIMD for (long j = 0; j < n; j++) g[j] = x[j] * (g[j] - total);
                        write_row(w + (begin + r) * pad, x, n, 1.0f, pad);
                        write_row(slope + (begin + r) * pad, g, n, 1.0f, pad);
                    }
                    mixed(slope + begin * pad, k, grad_query + (at + begin) * d, here, pad, rows, d);
                }
                gathered(in_steps(slope, held, pad, pad, stepped), pad, query + at * d, sees + from, to_key, held,
                        last, d);
                gathered(in_steps(w, held, pad, pad, stepped), pad, grad + at * d, sees + from, to_value, held, last,
                        d);
            }
            SIMD for (long j = 0; j < s * d; j++) grad_key[i * s * d + j] = narrow(to_key[j]);
            SIMD for (long j = 0; j < s * d; j++) grad_value[i * s * d + j] = narrow(to_value[j]);
        }
        free(turned), free(turned_value), free(w), free(slope), free(stepped), free(row), free(to_key), free(to_value);
    }
}

/* Branches off one row that was read before, flat one after the other: branch i, tokens begin[i] to begin[i + 1], sees
 * the row's first fork[i] tokens and itself. The row's keys are turned once for all branches.
 *
 * query, out: [m, heads, group, d]; key, value: [m, heads, d]; row_key, row_value: [width, heads, d]. */
void attend_branches(const real *query, const real *key, const real *value, const real *row_key, const real *row_value,
        const int64_t *fork, const int64_t *begin, real *out, long branches, long heads, long group, long width_of_row,
        long d, int threads) {
    long front = (width_of_row + VEC - 1) / VEC * VEC, longest = 0, across = heads * d, far = group * across;
    for (long b = 0; b < branches; b++) longest = most((int64_t[]){longest, begin[b + 1] - begin[b]}, 2);
    long columns = (longest + VEC - 1) / VEC * VEC, apart = front + columns + WIDTH + LANES;
#pragma omp parallel num_threads(threads) if (begin[branches] * heads * group * apart > 4096)
    {
        size_t of_row = sizeof(real) * (size_t)(front * d), own_size = sizeof(real) * (size_t)(columns * d);
        real *turned_row = malloc(of_row), *packed_row = malloc(of_row), *turned = malloc(own_size),
                *packed = malloc(own_size), *w = malloc(sizeof(real) * (size_t)(TALL * apart));
        float *row = malloc(sizeof(float) * (size_t)(TALL * apart));
        long head_of_row = -1;
#pragma omp for schedule(static)
        for (long i = 0; i < heads * branches; i++) {
            long head = i / branches, b = i % branches, first = begin[b], n = begin[b + 1] - first, past = fork[b],
                    own = (past + VEC - 1) / VEC * VEC, mine = (n + VEC - 1) / VEC * VEC,
                    steps_of_row = (width_of_row + STEP - 1) / STEP * STEP, steps = (n + STEP - 1) / STEP * STEP;
            const int64_t gap[2] = {past, own};
            if (head != head_of_row) {
                turn_all(row_key + head * d, turned_row, front, width_of_row, d, across);
                pack_rows(row_value + head * d, packed_row, width_of_row, d, across);
            }
            head_of_row = head;
            turn_all(key + first * across + head * d, turned, mine, n, d, across);
            pack_rows(value + first * across + head * d, packed, n, d, across);
            for (long tile = 0; tile < group * n; ) {
                long g = tile / n, from = tile % n, rows = least(TALL, n - from), last = from + rows;
                long place = (first + from) * far + (head * group + g) * d;
                scores(query + place, far, turned_row, row, apart, front, past, rows, d);
                scores(query + place, far, turned, row + own, apart, mine, last, rows, d);
                for (long r = 0; r < rows; r++) {
                    close_gap(row + r * apart, gap, own);
                    softmax_row(row + r * apart, w + r * apart, own + from + r + 1);
                }
                /* A row's weights are 0 up to the end of its last lanes; what a later row of the tile sees is beyond. */
                for (long r = 0; r < rows; r++)
                    for (long j = (own + from + r + 1 + LANES - 1) / LANES * LANES; j < own + (last + STEP); j++)
                        w[r * apart + j] = 0;
                for (long column = 0; column < d; column += WIDTH) {
                    term terms[] = {{w, packed_row + column * steps_of_row, past, apart, STEP, 0},
                                    {w + own, packed + column * steps, last, apart, STEP, 0}};
                    (width(column, d) == WIDTH ? tile_packed : tile_packed_half)(
                            terms, 2, ROUNDED, out + place + column, far, rows);
                }
                tile += rows;
            }
        }
        free(turned_row), free(packed_row), free(turned), free(packed), free(w), free(row);
    }
}

/* Branches flat one after the other, each going on from the path before it: branch i, tokens begin[i] to begin[i + 1],
 * sees the first fork[i] tokens of that path and itself, and that is the next path. Its keys stay turned for all
 * branches that share them. No path is longer than `longest`; `parts` of the branches go their own way from the first.
 *
 * query, out: [m, heads, group, d]; key, value: [m, heads, d]. */
void attend_paths(const real *query, const real *key, const real *value, const int64_t *fork, const int64_t *begin,
        real *out, long branches, long heads, long group, long longest, long d, int threads) {
    long columns = (longest + VEC - 1) / VEC * VEC, apart = columns + WIDTH, across = heads * d, far = group * across;
#pragma omp parallel num_threads(threads) if (begin[branches] * heads * group * longest > 4096)
    {
        size_t path = sizeof(real) * (size_t)(columns * d);
        real *keys = malloc(path), *values = malloc(path), *turned = malloc(path),
             *w = malloc(sizeof(real) * (size_t)(TALL * apart)), *asked = malloc(sizeof(real) * (size_t)(2 * TALL * d)),
             *mix = asked + TALL * d;
        float *row = malloc(sizeof(float) * (size_t)(TALL * apart));
#pragma omp for schedule(static)
        for (long i = 0; i < heads * threads; i++) {
            long head = i / threads, from = i % threads * branches / threads, upto = (i % threads + 1) * branches / threads,
                    stale = 0;
            for (long b = 0; b < upto; b++) {
                long first = begin[b], n = begin[b + 1] - first, past = fork[b];
                for (long t = 0; t < n; t++) {
                    const real *k = key + (first + t) * across + head * d, *v = value + (first + t) * across + head * d;
                    SIMD for (long j = 0; j < d; j++) keys[(past + t) * d + j] = k[j], values[(past + t) * d + j] = v[j];
                }
                stale = least(stale, past);
                if (b < from) continue;
                for (long column = stale / WIDTH * WIDTH; column < past + n; column += WIDTH)
                    pack_panel(keys, turned + column * d, column, width(column, columns), past + n, d, d);
                stale = past + n;
                for (long tile = 0; tile < group * n; tile += TALL) {
                    long rows = least(TALL, group * n - tile), last = past + (tile + rows - 1) / group + 1,
                            seen = (last + VEC - 1) / VEC * VEC;
                    for (long r = 0; r < rows; r++) {
                        const real *q = query + (first + (tile + r) / group) * far + (head * group + (tile + r) % group) * d;
                        SIMD for (long j = 0; j < d; j++) asked[r * d + j] = q[j];
                    }
                    scores(asked, d, turned, row, apart, columns, last, rows, d);
                    for (long r = 0; r < rows; r++) {
                        float *x = row + r * apart, top = -INFINITY;
                        long sees = past + (tile + r) / group + 1;
                        TOP(top) for (long j = 0; j < sees; j++) top = x[j] > top ? x[j] : top;
                        float total = exponentials(x, sees, top);
                        write_row(w + r * apart, x, sees, 1.0f / total, seen);
                    }
                    mixed(w, values, mix, last, apart, rows, d);
                    for (long r = 0; r < rows; r++) {
                        real *to = out + (first + (tile + r) / group) * far + (head * group + (tile + r) % group) * d;
                        SIMD for (long j = 0; j < d; j++) to[j] = mix[r * d + j];
                    }
                }
            }
        }
        free(keys), free(values), free(turned), free(w), free(asked), free(row);
    }
}
#endif
