/* Attention with its gradient, a group of queries at a time: a group are the rows of one key head. Scores stay in float32 until they are
 * weights. Row r of a group looks at columns before seen[r] alone, and what no row of a tile sees is not computed: half of a prompt's square.
 *
 * query, out: [b * heads, q, d]; key, value: [b * heads, s, d]; mask: [b, q, s], additive; seen: [b, q]; weights: [b * heads, q, pad], 0 where
 * nothing is seen, with s <= pad, a multiple of VEC. d is a multiple of VEC.
 */
#ifdef VEC

static inline long most(const int64_t *seen, long n) {
    long last = 0;
    for (long r = 0; r < n; r++) last = seen[r] > last ? seen[r] : last;
    return last;
}

/* x y' of some rows, up to column `last` at least. turned: y arranged, `columns` of them. */
static inline void scores(const real *x, const real *turned, float *to, long apart, long columns, long last, long rows, long d) {
    for (long column = 0; column < last; column += WIDTH) {
        term t = {x, turned + column * d, d, d, STEP, 0};
        (width(column, columns) == WIDTH ? tile_arranged : tile_arranged_half)(&t, 1, WIDE, to + column, apart, rows);
    }
}

/* w y of some rows, over the first n columns of w. */
static inline void mixed(const real *w, const real *y, real *to, long n, long pad, long rows, long d) {
    for (long column = 0; column < d; column += WIDTH) loose((term){w, y + column, n, pad, STEP, d}, column, ROUNDED, to + column, d, rows);
}

static inline void turn_all(const real *x, real *turned, long columns, long s, long d) {
    for (long column = 0; column < columns; column += WIDTH) arrange_panel(x, turned + column * d, column, width(column, columns), s, d, d);
}

/* out = softmax(query key' + mask) value. The weights are kept where `weights` is not null. */
void look(const real *query, const real *key, const real *value, const real *mask, const int64_t *seen, real *weights, real *out, long b,
          long heads, long q, long s, long d, long pad, int threads) {
    long columns = (s + VEC - 1) / VEC * VEC, apart = pad + LANES;
#pragma omp parallel num_threads(threads) if (b * heads * q * s > 4096)
    {
        real *turned = malloc(sizeof(real) * (size_t)(columns * d)), *here = malloc(sizeof(real) * (size_t)(TALL * pad));
        float *row = malloc(sizeof(float) * (size_t)(TALL * apart));
#pragma omp for schedule(dynamic)
        for (long i = 0; i < b * heads; i++) {
            const int64_t *sees = seen + i / heads * q;
            turn_all(key + i * s * d, turned, columns, s, d);
            for (long begin = 0; begin < q; begin += TALL) {
                long rows = least(TALL, q - begin), last = most(sees + begin, rows);
                real *w = weights ? weights + (i * q + begin) * pad : here;
                scores(query + (i * q + begin) * d, turned, row, apart, columns, last, rows, d);
                for (long r = 0; r < rows; r++) {
                    float *x = row + r * apart, top = -INFINITY, share = 0.0f;
                    long n = sees[begin + r];
                    const real *m = mask + (i / heads * q + begin + r) * s;
                    TOP(top) for (long j = 0; j < n; j++) {
                        x[j] += wide(m[j]);
                        top = x[j] > top ? x[j] : top;
                    }
                    if (n) share = 1.0f / exponentials(x, n, top);
                    SIMD for (long j = 0; j < n; j++) w[r * pad + j] = narrow(x[j] * share);
                    for (long j = n; j < pad; j++) w[r * pad + j] = 0;
                }
                mixed(w, value + i * s * d, out + (i * q + begin) * d, last, pad, rows, d);
            }
        }
        free(turned), free(here), free(row);
    }
}

/* Gradients of the keys or the values of a group: left' right, where row k of left is 0 from column seen[k] on. left: [q, pad] in steps. */
static inline void gathered(const real *left, long along, const real *right, const int64_t *seen, real *to, long q, long s, long d) {
    long first = 0;
    for (long j = 0; j < s; j += TALL) {
        while (first < q && seen[first] <= j) first++;
        long k = first / STEP * STEP;
        for (long column = 0; column < d; column += WIDTH) {
            term t = {left + k / STEP * along + j * STEP, right + k * d + column, q - k, STEP, along, d};
            loose(t, column, ROUNDED, to + j * d + column, d, least(TALL, s - j));
        }
    }
}

void look_back(const real *query, const real *key, const real *value, const real *weights, const int64_t *seen, const real *grad,
               real *grad_query, real *grad_key, real *grad_value, long b, long heads, long q, long s, long d, long pad, int threads) {
    long columns = (s + VEC - 1) / VEC * VEC, along = STEP * pad;
#pragma omp parallel num_threads(threads) if (b * heads * q * s > 4096)
    {
        size_t square = sizeof(real) * (size_t)((q + 1) * pad);
        real *turned = malloc(sizeof(real) * (size_t)(columns * d)), *slope = malloc(square), *stepped = STEP == 1 ? 0 : malloc(square);
        float *row = malloc(sizeof(float) * (size_t)(TALL * pad));
#pragma omp for schedule(dynamic)
        for (long i = 0; i < b * heads; i++) {
            const int64_t *sees = seen + i / heads * q;
            const real *back = grad + i * q * d, *w = weights + i * q * pad;
            turn_all(value + i * s * d, turned, columns, s, d);
            for (long begin = 0; begin < q; begin += TALL) {
                long rows = least(TALL, q - begin), last = most(sees + begin, rows);
                scores(back + begin * d, turned, row, pad, columns, last, rows, d);
                for (long r = 0; r < rows; r++) {
                    const float *g = row + r * pad;
                    const real *v = w + (begin + r) * pad;
                    real *to = slope + (begin + r) * pad;
                    long n = sees[begin + r];
                    float total = 0.0f;
                    SUM(total) for (long j = 0; j < n; j++) total += g[j] * wide(v[j]);
                    SIMD for (long j = 0; j < n; j++) to[j] = narrow(wide(v[j]) * (g[j] - total));
                    for (long j = n; j < pad; j++) to[j] = 0;
                }
                mixed(slope + begin * pad, key + i * s * d, grad_query + (i * q + begin) * d, last, pad, rows, d);
            }
            gathered(in_steps(slope, q, pad, pad, stepped), along, query + i * q * d, sees, grad_key + i * s * d, q, s, d);
            gathered(in_steps(w, q, pad, pad, stepped), along, back, sees, grad_value + i * s * d, q, s, d);
        }
        free(turned), free(slope), free(stepped), free(row);
    }
}
#endif
