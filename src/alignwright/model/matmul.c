/* Matrix products, with the sums in registers. A weight is read in the order in which it is used: packed
 * (`pack_weight`) as [o / WIDTH, i, WIDTH], in bfloat16 as [o / WIDTH, i / 2, WIDTH, 2]; the last panel may be half as
 * wide.
 *
 * Only where the processor has the instructions and nothing better: a matrix unit (AMX) is oneDNN's.
 */
#if defined(__AVX512F__) && (!defined(BFLOAT16) || (defined(__AVX512BF16__) && !defined(__AMX_BF16__)))
#include <immintrin.h>

#define VEC 16
#define TALL 12 /* rows at once: 24 sums, 2 weights and a number of x fill the 32 registers */
#define NEAR (1L << 19) /* bytes of x that stay near the unit, in its own cache, while all weights pass by */
typedef __m512 vec;
#define zeros() _mm512_setzero_ps()
#define read_sums(p) _mm512_loadu_ps(p)
#define write_sums(p, sum) _mm512_storeu_ps(p, sum)

#ifdef BFLOAT16
#define STEP 2 /* numbers that are multiplied and summed at once */
typedef uint32_t unit;
typedef __m512bh vecs;
#define more(sum, w, x) _mm512_dpbf16_ps(sum, w, x)
#define read_packed(p) ((__m512bh)_mm512_loadu_si512(p))
#define write_packed(p, v) _mm512_storeu_si512(p, (__m512i)(v))
#define first_of(v) ((__m512bh)_mm512_and_si512((__m512i)(v), _mm512_set1_epi32(0xffff)))
#define write_rounded(p, sum) _mm256_storeu_si256((__m256i *)(p), (__m256i)_mm512_cvtneps_pbh(sum))

static inline vecs one(const real *x) {
    int32_t both;
    __builtin_memcpy(&both, x, sizeof both);
    return (__m512bh)_mm512_set1_epi32(both);
}

/* Two rows of a matrix, number by number; only the first where `rows` is one. */
static inline vecs read_rows(const real *first, const real *second, int rows) {
    __m512i low = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)first));
    if (rows == 1) return (__m512bh)low;
    return (__m512bh)_mm512_or_si512(low,
            _mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)second)), 16));
}
#else
#define STEP 1
typedef float unit;
typedef __m512 vecs;
#define more(sum, w, x) _mm512_fmadd_ps(w, x, sum)
#define read_packed(p) _mm512_loadu_ps(p)
#define write_packed(p, v) _mm512_storeu_ps(p, v)
#define first_of(v) (v)
#define read_rows(first, second, rows) _mm512_loadu_ps(first)
#define write_rounded(p, sum) _mm512_storeu_ps(p, sum)
#define one(x) _mm512_set1_ps(*(x))
#endif

#elif defined(__AVX2__) && defined(__FMA__) && !defined(BFLOAT16)
#include <immintrin.h>

#define VEC 8
#define TALL 6
#define NEAR (1L << 18)
typedef __m256 vec;
#define zeros() _mm256_setzero_ps()
#define read_sums(p) _mm256_loadu_ps(p)
#define write_sums(p, sum) _mm256_storeu_ps(p, sum)
#define STEP 1
typedef float unit;
typedef __m256 vecs;
#define more(sum, w, x) _mm256_fmadd_ps(w, x, sum)
#define read_packed(p) _mm256_loadu_ps(p)
#define write_packed(p, v) _mm256_storeu_ps(p, v)
#define first_of(v) (v)
#define read_rows(first, second, rows) _mm256_loadu_ps(first)
#define write_rounded(p, sum) _mm256_storeu_ps(p, sum)
#define one(x) _mm256_broadcast_ss(x)
#endif

#ifdef VEC
#define WIDTH (2 * VEC)
#define INLINE static inline __attribute__((always_inline))

long vector_width(void) { return VEC; }

/* A term of a tile: x[r * across + k * along] times row k of w, for k of n. Rows of a packed w lie one after the other,
 * of another `apart` from one another. In bfloat16 two k are one step, and of an odd last one the second of w counts as
 * 0, whatever it is. */
typedef struct {
    const real *x, *w;
    long n, across, along, apart;
} term;

enum kind { ROUNDED, WIDE, ADDED }; /* to numbers of the precision, to float, onto float */

/* Unrolled at once, or the sums would not be kept in registers. */
#define EVERY(r) _Pragma("GCC unroll 16") for (int r = 0; r < rows; r++)

INLINE void tile_of(const term *terms, long count, enum kind kind, void *y, long o, const int loose, const int rows,
        const int wide) {
    vec low[TALL], high[TALL];
    EVERY(r) low[r] = high[r] = zeros();
    if (kind == ADDED)
        EVERY(r) {
            low[r] = read_sums((float *)y + r * o);
            if (wide == 2) high[r] = read_sums((float *)y + r * o + VEC);
        }
    for (; count--; terms++) {
        const real *x = terms->x, *w = terms->w;
        long across = terms->across, along = terms->along, apart = terms->apart,
                down = loose ? STEP * apart : wide * VEC * STEP;
        for (long k = terms->n / STEP; k--; x += along, w += down) {
            vecs left = loose ? read_rows(w, w + apart, 2) : read_packed(w), right = left;
            if (wide == 2) right = loose ? read_rows(w + VEC, w + apart + VEC, 2) : read_packed(w + VEC * STEP);
            EVERY(r) {
                vecs here = one(x + r * across);
                low[r] = more(low[r], left, here);
                if (wide == 2) high[r] = more(high[r], right, here);
            }
        }
        if (terms->n % STEP)
            EVERY(r) {
                low[r] = more(low[r], loose ? read_rows(w, w, 1) : first_of(read_packed(w)), one(x + r * across));
                if (wide == 2)
                    high[r] = more(high[r], loose ? read_rows(w + VEC, w, 1) : first_of(read_packed(w + VEC * STEP)),
                            one(x + r * across));
            }
    }
    if (kind == ROUNDED)
        EVERY(r) {
            write_rounded((real *)y + r * o, low[r]);
            if (wide == 2) write_rounded((real *)y + r * o + VEC, high[r]);
        }
    else
        EVERY(r) {
            write_sums((float *)y + r * o, low[r]);
            if (wide == 2) write_sums((float *)y + r * o + VEC, high[r]);
        }
}

#define TILE(rows) tile_of(terms, count, kind, y, o, loose, rows, wide)
#define CASE(rows) case rows: TILE(rows); break;
#if TALL > 6
#define MORE_CASES CASE(6) CASE(7) CASE(8) CASE(9) CASE(10) CASE(11)
#else
#define MORE_CASES
#endif
#define TILES(name, loose_, wide_)                                                                                     \
    static void name(const term *terms, long count, enum kind kind, void *y, long o, long rows) {                      \
        const int loose = loose_, wide = wide_;                                                                        \
        switch (rows) { CASE(1) CASE(2) CASE(3) CASE(4) CASE(5) MORE_CASES default: TILE(TALL); }                      \
    }
TILES(tile_packed, 0, 2)
TILES(tile_packed_half, 0, 1)
TILES(tile_loose, 1, 2)
TILES(tile_loose_half, 1, 1)

/* How many columns a panel has that begins here. */
static inline long width(long column, long o) { return o - column < WIDTH ? VEC : WIDTH; }

static inline long least(long a, long b) { return a < b ? a : b; }

/* rows of a panel of x w, with w [n, o] not packed. y: from the panel's first column on. */
static inline void loose(term t, long column, enum kind kind, void *y, long o, long rows) {
    (width(column, o) == WIDTH ? tile_loose : tile_loose_half)(&t, 1, kind, y, o, rows);
}

/* Of a sum of products x w'. x: [rows, i] with rows `apart` elements apart. Every w is packed. */
typedef struct {
    const real *x, *w;
    long i, apart;
} addend;

/* The i inputs of one of them from `from` on, of `whole`. */
typedef struct {
    const real *x, *w;
    long i, apart, whole, from;
} part;

#define PARTS 8
#define FEW (3 * TALL) /* rows; inputs of which not so many lie near are summed slice by slice */

/* Some slices of the parts, all of whose inputs are `inputs` long: y: [rows, o] of the kind. A block of rows lies near
 * while all weights pass by. */
static void passes(const part *parts, long count, long inputs, enum kind kind, void *y, long rows, long o,
        int threads) {
    long block = NEAR / (inputs * (long)sizeof(real)) / TALL * TALL, panels = (o + WIDTH - 1) / WIDTH;
    if (block < TALL) block = TALL;
    long blocks = (rows + block - 1) / block;
    ROWS(rows * o * inputs / 16) for (long at = 0; at < blocks * panels; at++) {
        long begin = at / panels * block, end = least(rows, begin + block), column = at % panels * WIDTH,
                across = width(column, o);
        for (long r = begin; r < end; r += TALL) {
            term terms[PARTS];
            void *to = kind == ROUNDED ? (void *)((real *)y + r * o + column) : (void *)((float *)y + r * o + column);
            for (long p = 0; p < count; p++)
                terms[p] = (term){parts[p].x + r * parts[p].apart,
                        parts[p].w + column * parts[p].whole + across * parts[p].from, parts[p].i,
                                  parts[p].apart, STEP, 0};
            (across == WIDTH ? tile_packed : tile_packed_half)(terms, count, kind, to, o, least(TALL, end - r));
        }
    }
}

/* y: [rows, o], of at most PARTS parts. */
void matmul_sum(const addend *addends, long count, real *y, long rows, long o, int threads) {
    part parts[PARTS];
    long inputs = 0, span = NEAR / (FEW * (long)sizeof(real)) / STEP * STEP;
    for (long p = 0; p < count; p++) {
        parts[p] = (part){addends[p].x, addends[p].w, addends[p].i, addends[p].apart, addends[p].i, 0};
        inputs += addends[p].i;
    }
    if (inputs <= span || rows <= FEW) {
        passes(parts, count, inputs, ROUNDED, y, rows, o, threads);
        return;
    }
    float *wide = malloc(sizeof(float) * (size_t)(rows * o));
    enum kind kind = WIDE;
    for (long p = 0; p < count; p++)
        for (long from = 0; from < addends[p].i; from += span, kind = ADDED) {
            part slice = {addends[p].x + from, addends[p].w, least(span, addends[p].i - from), addends[p].apart,
                    addends[p].i, from};
            passes(&slice, 1, slice.i, kind, wide, rows, o, threads);
        }
    ROWS(rows * o) for (long r = 0; r < rows; r++)
        SIMD for (long j = r * o; j < (r + 1) * o; j++) y[j] = narrow(wide[j]);
    free(wide);
}

void matmul(const real *x, const real *w, real *y, long rows, long o, long i, int threads) {
    addend only = {x, w, i, i};
    matmul_sum(&only, 1, y, rows, o, threads);
}

#define GATES (40L * TALL) /* rows whose gates are held at once, near the unit */

/* silu(x gate') * (x up'), each product rounded as if it had been written. gate, up: packed; x: [rows, i]; y: [rows, o]. */
void matmul_swiglu(const real *x, const real *gate, const real *up, real *y, long rows, long o, long i, int threads) {
    long block = least(GATES, NEAR / (i * (long)sizeof(real)) / TALL * TALL), panels = (o + WIDTH - 1) / WIDTH;
    if (block < TALL) block = TALL;
    long blocks = (rows + block - 1) / block;
    ROWS(rows * o * i / 8) for (long at = 0; at < blocks * panels; at++) {
        long begin = at / panels * block, end = least(rows, begin + block), column = at % panels * WIDTH,
                across = width(column, o);
        real gates[GATES * WIDTH], ups[TALL * WIDTH];
        void (*tile)(const term *, long, enum kind, void *, long, long) =
                across == WIDTH ? tile_packed : tile_packed_half;
        for (long r = begin; r < end; r += TALL) {
            term t = {x + r * i, gate + column * i, i, i, STEP, 0};
            tile(&t, 1, ROUNDED, gates + (r - begin) * across, across, least(TALL, end - r));
        }
        for (long r = begin; r < end; r += TALL) {
            term t = {x + r * i, up + column * i, i, i, STEP, 0};
            long n = least(TALL, end - r);
            tile(&t, 1, ROUNDED, ups, across, n);
            for (long k = 0; k < n; k++) {
                const real *g = gates + (r - begin + k) * across, *u = ups + k * across;
                real *to = y + (r + k) * o + column;
                SIMD for (long j = 0; j < across; j++) to[j] = narrow(wide(g[j]) * logistic(wide(g[j])) * wide(u[j]));
            }
        }
    }
}

/* Two rows of x [n, r], number by number: [n / 2, r, 2], with a last row of 0 where n is odd. In float32 x itself. */
static const real *in_steps(const real *x, long n, long r, long apart, real *out) {
    if (STEP == 1) return x;
    for (long k = 0; k < n; k += 2)
        for (long j = 0; j < r; j++) {
            out[k * r + 2 * j] = x[k * apart + j];
            out[k * r + 2 * j + 1] = k + 1 < n ? x[(k + 1) * apart + j] : (real)0;
        }
    return out;
}

#define CHUNK (4 * WIDTH)
#define SPAN 128 /* rows that are summed before the next columns: their part of `right` stays near */

/* y = left' right: the sum over n of the outer products of their rows. left: [n, r] with rows `apart` elements apart;
 * right: [n, o]; y: [r, o]. */
void outer(const real *left, const real *right, real *y, long n, long r, long apart, long o, int threads) {
    real *scratch = STEP == 1 ? 0 : malloc(sizeof(real) * (size_t)((n + 1) * r));
    const real *x = in_steps(left, n, r, apart, scratch);
    long along = STEP == 1 ? apart : 2 * r, tiles = (r + TALL - 1) / TALL, tall = (r + tiles - 1) / tiles;
#pragma omp parallel num_threads(threads) if (n * r * o / 16 > 32768)
    {
        float *sums = malloc(sizeof(float) * (size_t)(r * CHUNK));
#pragma omp for schedule(static)
        for (long begin = 0; begin < o; begin += CHUNK) {
            long wide = least(CHUNK, o - begin);
            for (long k = 0; k < n; k += SPAN)
                for (long column = 0; column < wide; column += WIDTH)
                    for (long j = 0; j < r; j += tall) {
                        term t = {x + k / STEP * along + j * STEP, right + k * o + begin + column, least(SPAN, n - k),
                                STEP, along, o};
                        float *to = sums + j * CHUNK + column;
                        (width(column, wide) == WIDTH ? tile_loose : tile_loose_half)(
                                &t, 1, k ? ADDED : WIDE, to, CHUNK, least(tall, r - j));
                    }
            for (long j = 0; j < r; j++)
                SIMD for (long c = 0; c < wide; c++) y[j * o + begin + c] = n ? narrow(sums[j * CHUNK + c]) : 0;
        }
        free(sums);
    }
    free(scratch);
}

#if VEC == 16
/* Sixteen rows of sixteen units, turned into columns: in steps of 1, 2, 4 and 8, as a transpose is made of swaps. */
static inline void turn(const unit *from, long apart, unit *to, long wide) {
    __m512i a[16], b[16];
    for (int r = 0; r < 16; r++) a[r] = _mm512_loadu_si512(from + r * apart);
    for (int r = 0; r < 16; r += 2) {
        b[r] = _mm512_unpacklo_epi32(a[r], a[r + 1]);
        b[r + 1] = _mm512_unpackhi_epi32(a[r], a[r + 1]);
    }
    for (int r = 0; r < 16; r += 4)
        for (int h = 0; h < 2; h++) {
            a[r + 2 * h] = _mm512_unpacklo_epi64(b[r + h], b[r + 2 + h]);
            a[r + 2 * h + 1] = _mm512_unpackhi_epi64(b[r + h], b[r + 2 + h]);
        }
    for (int q = 0; q < 4; q++) { /* a[4 g + q] holds units q, q + 4, q + 8, q + 12 of rows 4 g to 4 g + 3 */
        __m512i even = _mm512_shuffle_i32x4(a[q], a[4 + q], 0x88), odd = _mm512_shuffle_i32x4(a[q], a[4 + q], 0xdd);
        __m512i even2 = _mm512_shuffle_i32x4(a[8 + q], a[12 + q], 0x88),
                odd2 = _mm512_shuffle_i32x4(a[8 + q], a[12 + q], 0xdd);
        _mm512_storeu_si512(to + q * wide, _mm512_shuffle_i32x4(even, even2, 0x88));
        _mm512_storeu_si512(to + (q + 8) * wide, _mm512_shuffle_i32x4(even, even2, 0xdd));
        _mm512_storeu_si512(to + (q + 4) * wide, _mm512_shuffle_i32x4(odd, odd2, 0x88));
        _mm512_storeu_si512(to + (q + 12) * wide, _mm512_shuffle_i32x4(odd, odd2, 0xdd));
    }
}
#else
/* Eight rows of eight units, turned into columns: in steps of 1, 2 and 4, as a transpose is made of swaps. */
static inline void turn(const unit *from, long apart, unit *to, long wide) {
    __m256 a[8], b[8];
    for (int r = 0; r < 8; r++) a[r] = _mm256_loadu_ps(from + r * apart);
    for (int r = 0; r < 8; r += 2) {
        b[r] = _mm256_unpacklo_ps(a[r], a[r + 1]);
        b[r + 1] = _mm256_unpackhi_ps(a[r], a[r + 1]);
    }
    for (int r = 0; r < 8; r += 4)
        for (int h = 0; h < 2; h++) {
            a[r + 2 * h] = _mm256_shuffle_ps(b[r + h], b[r + 2 + h], 0x44);
            a[r + 2 * h + 1] = _mm256_shuffle_ps(b[r + h], b[r + 2 + h], 0xee);
        }
    for (int q = 0; q < 4; q++) { /* a[4 g + q] holds units q and q + 4 of rows 4 g to 4 g + 3 */
        _mm256_storeu_ps(to + q * wide, _mm256_permute2f128_ps(a[q], a[4 + q], 0x20));
        _mm256_storeu_ps(to + (q + 4) * wide, _mm256_permute2f128_ps(a[q], a[4 + q], 0x31));
    }
}
#endif

/* Rows of w [o, i], `apart` from one another, of one panel that begins at `column`; rows that are not there are 0. */
static void pack_panel(const real *w, real *out, long column, long wide, long o, long i, long apart) {
    const unit *from = (const unit *)(w + column * apart);
    unit *to = (unit *)out;
    long units = i / STEP, down = apart / STEP, k = 0;
    for (; k + VEC <= units; k += VEC)
        for (long j = 0; j < wide; j += VEC) {
            unit some[VEC * VEC];
            long there = least(VEC, o - column - j);
            for (long r = 0; there < VEC && r < VEC; r++)
                for (long c = 0; c < VEC; c++) some[r * VEC + c] = r < there ? from[(j + r) * down + k + c] : (unit)0;
            if (there < VEC) turn(some, VEC, to + k * wide + j, wide);
            else turn(from + j * down + k, down, to + k * wide + j, wide);
        }
    for (; k < units; k++)
        for (long j = 0; j < wide; j++) to[k * wide + j] = column + j < o ? from[j * down + k] : (unit)0;
}

/* w: [o, i], packed for x w'. */
void pack_weight(const real *w, real *out, long o, long i, int threads) {
    ROWS(o * i) for (long column = 0; column < o; column += WIDTH)
        pack_panel(w, out + column * i, column, width(column, o), o, i, i);
}

/* w: [i, o], packed for x w. */
void pack_weight_transposed(const real *w, real *out, long o, long i, int threads) {
    ROWS(o * i) for (long column = 0; column < o; column += WIDTH) {
        real *to = out + column * i;
        long wide = width(column, o);
        for (long k = 0; k < i; k += STEP, to += wide * STEP)
            for (long j = 0; j < wide; j++)
                for (long t = 0; t < STEP; t++) to[j * STEP + t] = w[(k + t) * o + column + j];
    }
}
#endif
