/* What stands between the matrix products, each in one pass over memory. Called from kernels.py, which compiles this
 * file once for each precision: numbers are read and written as `real` (bfloat16 with -DBFLOAT16, else float32) and
 * computed in float32.
 *
 * Rows are independent of one another and of the number of threads, so the numbers are too. `work` is counted in
 * elements: a loop over few of them stays on one thread, since waking others would cost more.
 */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>

#ifdef BFLOAT16
typedef uint16_t real;

static inline float wide(real x) {
    union { uint32_t bits; float value; } u = {.bits = (uint32_t)x << 16};
    return u.value;
}

static inline real narrow(float x) { /* to the nearest, ties to even; a NaN stays one */
    union { float value; uint32_t bits; } u = {.value = x};
    uint32_t nearest = (u.bits + 0x7fff + ((u.bits >> 16) & 1)) >> 16;
    return (u.bits & 0x7fffffff) > 0x7f800000 ? 0x7fc0 : (real)nearest;
}
#else
typedef float real;

static inline float wide(real x) { return x; }

static inline real narrow(float x) { return x; }
#endif

#define ROWS(work) _Pragma(STRING(omp parallel for num_threads(threads) schedule(static) if ((work) > 32768)))
#define STRING(x) STRING_(x)
#define STRING_(x) #x
#define SIMD _Pragma("omp simd")
#define SUM(name) _Pragma(STRING(omp simd reduction(+ : name)))
#define TOP(name) _Pragma(STRING(omp simd reduction(max : name)))

/* e^x: x = n ln 2 + r with |r| <= ln 2 / 2, ln 2 in two parts, a polynomial of degree 7 in r; 0 below the normal
 * range. */
static inline float exponential(float x) {
    /* fmaf as written: sums elsewhere may be reordered */
    float n = rintf(x * 1.44269504088896f);
    float r = fmaf(-n, 1.42860682030941723e-6f, fmaf(-n, 0.693145751953125f, x));
    float p = 1.0f + r * (1.0f + r * (0.5f + r * (1.0f / 6 + r * (1.0f / 24 +
            r * (1.0f / 120 + r * (1.0f / 720 + r * (1.0f / 5040)))))));
    union { int32_t bits; float value; } power = {.bits = ((int32_t)n + 127) << 23};
    return x < -87.0f ? 0.0f : p * power.value;
}

#define LANES 16

/* x[0..n) to e^(x - top), and their sum. Up to LANES places behind are overwritten, so that no element is left to a
 * scalar loop. */
static inline float exponentials(float *x, long n, float top) {
    float total = 0.0f;
    for (long j = n; j < n + LANES; j++) x[j] = -INFINITY;
    SUM(total) for (long j = 0; j < (n + LANES - 1) / LANES * LANES; j++) {
        float e = exponential(x[j] - top);
        x[j] = e;
        total += e;
    }
    return total;
}

static inline float logistic(float x) {
    return 1.0f / (1.0f + exponential(x < -80.0f ? 80.0f : x > 80.0f ? -80.0f : -x));
}

static inline float norm_row(const real *x, const real *weight, real *y, long h, float eps) {
    float square = 0.0f;
    SUM(square) for (long j = 0; j < h; j++) square += wide(x[j]) * wide(x[j]);
    float scale = 1.0f / sqrtf(square / (float)h + eps);
    SIMD for (long j = 0; j < h; j++) y[j] = narrow(wide(x[j]) * scale * wide(weight[j]));
    return scale;
}

/* y = x / sqrt(mean x^2 + eps) * weight. x, y: [n, h]; scale: [n]. */
void rms_norm(const real *x, const real *weight, real *y, float *scale, long n, long h, float eps, int threads) {
    ROWS(n * h) for (long i = 0; i < n; i++) scale[i] = norm_row(x + i * h, weight, y + i * h, h, eps);
}

/* The same of every head, in place: x holds n rows `apart` elements apart, of which the first heads * h are heads. */
void rms_norm_heads(real *x, const real *weight, long n, long apart, long heads, long h, float eps, int threads) {
    ROWS(n * heads * h) for (long i = 0; i < n * heads; i++) {
        real *xi = x + i / heads * apart + i % heads * h;
        norm_row(xi, weight, xi, h, eps);
    }
}

/* x += more, then the same norm of it. */
void add_rms_norm(real *x, const real *more, const real *weight, real *y, long n, long h, float eps, int threads) {
    ROWS(n * h) for (long i = 0; i < n; i++) {
        real *xi = x + i * h;
        const real *mi = more + i * h;
        SIMD for (long j = 0; j < h; j++) xi[j] = narrow(wide(xi[j]) + wide(mi[j]));
        norm_row(xi, weight, y + i * h, h, eps);
    }
}

/* The gradient of x, given that of y. */
void rms_norm_backward(const real *x, const real *weight, const float *scale, const real *grad, real *out, long n,
        long h, int threads) {
    ROWS(n * h) for (long i = 0; i < n; i++) {
        const real *xi = x + i * h, *gi = grad + i * h;
        float s = scale[i], along = 0.0f;
        SUM(along) for (long j = 0; j < h; j++) along += wide(gi[j]) * wide(weight[j]) * wide(xi[j]) * s;
        along /= (float)h;
        SIMD for (long j = 0; j < h; j++) out[i * h + j] =
                narrow((wide(gi[j]) * wide(weight[j]) - wide(xi[j]) * s * along) * s);
    }
}

/* y = silu(gate) * up. gate and up: [n, h] with rows `apart` elements apart; y: [n, h]. */
void swiglu(const real *gate, const real *up, real *y, long n, long h, long apart, int threads) {
    ROWS(n * h) for (long i = 0; i < n; i++) {
        const real *gi = gate + i * apart, *ui = up + i * apart;
        SIMD for (long j = 0; j < h; j++) y[i * h + j] = narrow(wide(gi[j]) * logistic(wide(gi[j])) * wide(ui[j]));
    }
}

/* Blocks of 32 numbers as signed bytes of a scale, a half rounded away from 0: GGUF's Q8_0, whose two bytes of the scale
 * before each block are the caller's. x: [n, 32]; scale: [n]; y: [n, 34]. */
void quantize_q8_0(const real *x, float *scale, unsigned char *y, long n, int threads) {
    ROWS(n * 32) for (long i = 0; i < n; i++) {
        const real *xi = x + i * 32;
        float top = 0.0f, whole[32];
        TOP(top) for (long j = 0; j < 32; j++) top = fmaxf(top, fabsf(wide(xi[j])));
        scale[i] = top / 127.0f;
        float inverse = scale[i] == 0.0f ? 0.0f : 1.0f / scale[i];
        SIMD for (long j = 0; j < 32; j++) {
            float size = fabsf(wide(xi[j]) * inverse), down = floorf(size);
            whole[j] = copysignf(down + floorf(2.0f * (size - down)), wide(xi[j]));
        }
        for (long j = 0; j < 32; j++) y[i * 34 + 2 + j] = (unsigned char)(signed char)whole[j];
    }
}

void swiglu_backward(const real *gate, const real *up, const real *grad, real *grad_gate, real *grad_up, long n,
        long h, int threads) {
    ROWS(n * h) for (long i = 0; i < n; i++) {
        SIMD for (long j = i * h; j < (i + 1) * h; j++) {
            float x = wide(gate[j]), s = logistic(x), back = wide(grad[j]);
            grad_up[j] = narrow(back * x * s);
            grad_gate[j] = narrow(back * wide(up[j]) * s * (1.0f + x * (1.0f - s)));
        }
    }
}

static inline float turned(const real *x, const real *cosine, const real *sine, long j, long half) {
    return wide(x[j]) * wide(cosine[j]) + wide(x[j < half ? j + half : j - half]) * wide(sine[j]);
}

/* Every head's two halves as pairs, rotated: (a cos + b sin, b cos + a sin') with sines as `signed_sine` gives them,
 * times `sign`. x, y: [n, heads, d]; cosine, sine: [n, d]. */
void apply_rotary(const real *x, const real *cosine, const real *sine, real *y, long n, long heads, long d,
        float sign, int threads) {
    ROWS(n * heads * d) for (long i = 0; i < n; i++) {
        const real *c = cosine + i * d, *s = sine + i * d;
        for (long k = i * heads; k < (i + 1) * heads; k++) {
            const real *xk = x + k * d;
            real *yk = y + k * d;
            long half = d / 2;
            SIMD for (long j = 0; j < half; j++) {
                float a = wide(xk[j]), b = wide(xk[j + half]);
                yk[j] = narrow(a * wide(c[j]) + sign * b * wide(s[j]));
                yk[j + half] = narrow(b * wide(c[j + half]) + sign * a * wide(s[j + half]));
            }
        }
    }
}

/* softmax(scores + mask) over the last axis, in place. scores: [b, heads, q, s]; mask: [b, q, s]. */
void masked_softmax(real *scores, const real *mask, long b, long heads, long q, long s, int threads) {
#pragma omp parallel num_threads(threads) if (b * heads * q * s > 32768)
    {
        float *row = malloc(sizeof(float) * (size_t)(s + LANES));
#pragma omp for schedule(static)
        for (long i = 0; i < b * heads * q; i++) {
            real *x = scores + i * s;
            const real *m = mask + (i / (heads * q) * q + i % q) * s;
            float top = -INFINITY;
            TOP(top) for (long j = 0; j < s; j++) {
                float v = wide(x[j]) + wide(m[j]);
                row[j] = v;
                top = v > top ? v : top;
            }
            float share = 1.0f / exponentials(row, s, top);
            SIMD for (long j = 0; j < s; j++) x[j] = narrow(row[j] * share);
        }
        free(row);
    }
}

/* The gradient of the scores from that of the weights, in place. grad, weight: [n, s]. */
void softmax_backward(real *grad, const real *weight, long n, long s, int threads) {
    ROWS(n * s) for (long i = 0; i < n; i++) {
        real *g = grad + i * s;
        const real *w = weight + i * s;
        float along = 0.0f;
        SUM(along) for (long j = 0; j < s; j++) along += wide(g[j]) * wide(w[j]);
        SIMD for (long j = 0; j < s; j++) g[j] = narrow(wide(w[j]) * (wide(g[j]) - along));
    }
}

static inline float highest(const real *x, long v) {
    float top = -INFINITY;
    TOP(top) for (long j = 0; j < v; j++) top = wide(x[j]) > top ? wide(x[j]) : top;
    return top;
}

/* mass = e^((x - top) * cold), and its sum: block by block, since a sum of a whole vocabulary in float32 would lose
 * digits. */
static inline float spread(const real *x, float *mass, long v, float top, float cold) {
    double total = 0.0;
    for (long begin = 0; begin < v; begin += 1024) {
        long end = begin + 1024 < v ? begin + 1024 : v;
        float part = 0.0f;
        SUM(part) for (long j = begin; j < end; j++) {
            float e = exponential((wide(x[j]) - top) * cold);
            mass[j] = e;
            part += e;
        }
        total += part;
    }
    return (float)total;
}

/* Logits [n, v] to mass = e^((logit - top) / temperature), with their top and total. */
void unnormalised_probs(const real *logits, float *mass, float *top, float *total, long n, long v, float temperature,
        int threads) {
    ROWS(n * v) for (long i = 0; i < n; i++) {
        top[i] = highest(logits + i * v, v);
        total[i] = spread(logits + i * v, mass + i * v, v, top[i], 1.0f / temperature);
    }
}

/* Log-probability of the label of each row of logits [n, v]; where a `slope` is wanted, the logits become factor *
 * (1[label] - softmax), its derivative times `factor`. */
void label_logprob(real *logits, const int64_t *label, const float *factor, float *logp, long n, long v, int slope,
        int threads) {
#pragma omp parallel num_threads(threads) if (n * v > 32768)
    {
        float *mass = malloc(sizeof(float) * (size_t)v);
#pragma omp for schedule(static)
        for (long i = 0; i < n; i++) {
            real *x = logits + i * v;
            float top = highest(x, v), total = spread(x, mass, v, top, 1.0f), said = wide(x[label[i]]);
            logp[i] = said - top - logf(total);
            if (!slope) continue;
            float less = -factor[i] / total, most = factor[i] + mass[label[i]] * less;
            SIMD for (long j = 0; j < v; j++) x[j] = narrow(mass[j] * less);
            x[label[i]] = narrow(most);
        }
        free(mass);
    }
}

/* One more token for every row: its keys are turned and stored at column `seen`, its values too, and its queries attend
 * to the columns from `first` to `seen`. qkv: [rows, (heads * group + 2 * heads) * d]; keys, values: [rows, heads,
 * columns, d]; out: [rows, heads * group * d]. */
static inline void attend_kv_cache_row(const real *query, const real *key, const real *value, const real *cosine,
        const real *sine, real *keys, real *values, real *out, float *score, long group, long d, long first,
        long seen, float scaling) {
    for (long j = 0; j < d; j++) {
        keys[seen * d + j] = narrow(turned(key, cosine, sine, j, d / 2));
        values[seen * d + j] = value[j];
    }
    float *q = score + seen + 1, *sum = q + d;
    for (long g = 0; g < group; g++) {
        const real *qg = query + g * d;
        float top = -INFINITY, total = 0.0f;
        for (long j = 0; j < d; j++) q[j] = wide(narrow(turned(qg, cosine, sine, j, d / 2))) * scaling, sum[j] = 0.0f;
        for (long s = first; s <= seen; s++) {
            const real *k = keys + s * d;
            float dot = 0.0f;
            SUM(dot) for (long j = 0; j < d; j++) dot += q[j] * wide(k[j]);
            score[s] = dot;
            top = dot > top ? dot : top;
        }
        SUM(total) for (long s = first; s <= seen; s++) {
            float e = exponential(score[s] - top);
            score[s] = e;
            total += e;
        }
        for (long s = first; s <= seen; s++) {
            const real *v = values + s * d;
            float e = score[s];
            SIMD for (long j = 0; j < d; j++) sum[j] += e * wide(v[j]);
        }
        SIMD for (long j = 0; j < d; j++) out[g * d + j] = narrow(sum[j] / total);
    }
}

void attend_kv_cache(const real *qkv, const real *cosine, const real *sine, real *keys, real *values,
        const int64_t *first, real *out, long rows, long heads, long group, long d, long columns, long seen,
        float scaling, int threads) {
    long queries = heads * group * d, wide_row = queries + 2 * heads * d;
#pragma omp parallel num_threads(threads) if (rows * heads * group * seen * d > 32768)
    {
        float *score = malloc(sizeof(float) * (size_t)(seen + 1 + 2 * d));
#pragma omp for schedule(static)
        for (long i = 0; i < rows * heads; i++) {
            long r = i / heads, k = i % heads;
            const real *row = qkv + r * wide_row, *query = row + k * group * d, *key = row + queries + k * d,
                    *value = key + heads * d;
            real *ki = keys + i * columns * d, *vi = values + i * columns * d, *oi = out + r * queries + k * group * d;
            const real *c = cosine + r * d, *s = sine + r * d;
            if (d == 64)
                attend_kv_cache_row(query, key, value, c, s, ki, vi, oi, score, group, 64, first[r], seen, scaling);
            else if (d == 128)
                attend_kv_cache_row(query, key, value, c, s, ki, vi, oi, score, group, 128, first[r], seen, scaling);
            else
                attend_kv_cache_row(query, key, value, c, s, ki, vi, oi, score, group, d, first[r], seen, scaling);
        }
        free(score);
    }
}

#include "matmul.c"
#include "shared_prompt_attention.c"
