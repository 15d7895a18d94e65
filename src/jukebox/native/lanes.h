/* Numbers side by side, as many as one instruction of the processor takes: the only file that knows which one it is. */

#ifndef LANES_H
#define LANES_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

#if defined(__AVX512F__)
#define LANES 16
#elif defined(__AVX2__)
#define LANES 8
#else
#define LANES 4
#endif

/* Whether matrices can be kept in half precision. */
#if defined(__AVX512F__) || (defined(__AVX2__) && defined(__F16C__)) || defined(__aarch64__)
#define HAS_HALF 1
#else
#define HAS_HALF 0
#endif

typedef float lanes __attribute__((vector_size(4 * LANES)));
typedef int32_t whole_lanes __attribute__((vector_size(4 * LANES)));
typedef float lanes_anywhere __attribute__((vector_size(4 * LANES), aligned(4), may_alias));

static inline lanes load(const float *from) { return *(const lanes_anywhere *)from; }

static inline void store(float *to, lanes values) { *(lanes_anywhere *)to = values; }

static inline lanes all(float value) { return value - (lanes){0}; }

/* a b + c, rounded once where the processor can: said in so many words, since a compiler may choose here but not there,
   and a window shall be the same bits in any company. */
static inline lanes multiply_add(lanes a, lanes b, lanes c) {
#if defined(__AVX512F__)
    return (lanes)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
#elif defined(__AVX2__) && defined(__FMA__)
    return (lanes)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
#elif defined(__aarch64__)
    return (lanes)vfmaq_f32((float32x4_t)c, (float32x4_t)a, (float32x4_t)b);
#else
    return a * b + c;
#endif
}

static inline lanes larger(lanes a, lanes b) {
#if defined(__AVX512F__)
    return (lanes)_mm512_max_ps((__m512)a, (__m512)b);
#else
    whole_lanes first = a > b;
    return (lanes)((first & (whole_lanes)a) | (~first & (whole_lanes)b));
#endif
}

static inline lanes smaller(lanes a, lanes b) { return -larger(-a, -b); }

/* Their sum, always in the same order. */
static inline float sum_of(lanes values) {
#if defined(__AVX512F__)
    return _mm512_reduce_add_ps((__m512)values);
#else
    float sum[LANES];
    store(sum, values);
    for (int half = LANES / 2; half > 0; half /= 2)
        for (int i = 0; i < half; i++) sum[i] += sum[i + half];
    return sum[0];
#endif
}

/* How weights are kept: in float32, in half precision, as whole numbers of 8 bits, or of 4 bits. */
enum { WHOLE, HALF, BYTES, NIBBLES };

/* Weights of the first three kinds in float32: the same numbers. */
static inline lanes widened(const void *from, int kind) {
    if (kind == WHOLE) return load((const float *)from);
    if (kind == BYTES) {
#if defined(__AVX512F__)
        return (lanes)_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)from)));
#elif defined(__AVX2__)
        return (lanes)_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)from)));
#else
        lanes found;
        for (int i = 0; i < LANES; i++) found[i] = ((const int8_t *)from)[i];
        return found;
#endif
    }
#if defined(__AVX512F__)
    return (lanes)_mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)from));
#elif defined(__AVX2__) && defined(__F16C__)
    return (lanes)_mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)from));
#elif defined(__aarch64__)
    return (lanes)vcvt_f32_f16(vld1_f16((const __fp16 *)from));
#else
    /* Exponent and fraction where float32 has them; its exponents count from 112 lower. */
    whole_lanes bits;
    for (int i = 0; i < LANES; i++) bits[i] = ((const uint16_t *)from)[i];
    const lanes magnitude = (lanes)((bits & 0x7fff) << 13) * 0x1p112f;
    return (lanes)((whole_lanes)magnitude | (bits & 0x8000) << 16);
#endif
}

/* The lowest four bits of each word as a number, 0 to 15. */
static inline lanes lowest_nibbles(whole_lanes words) {
#if defined(__AVX512F__)
    const lanes numbers = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    return (lanes)_mm512_permutexvar_ps((__m512i)words, (__m512)numbers);
#else
    return __builtin_convertvector(words & 15, lanes);
#endif
}

/* e to the power of values up to 88; below -87 it is as if they were -87. Error: 2e-7 of the result. */
static inline lanes exponential(lanes x) {
    const float round = 12582912.0f; /* 1.5 2^23: what is added to it is rounded to whole numbers */
    x = larger(smaller(x, all(88.0f)), all(-87.0f));
    lanes shifted = multiply_add(x, all(1.44269504f), all(round));
    lanes n = shifted - round;
    lanes r = multiply_add(n, all(-0.693359375f), x);
    r = multiply_add(n, all(2.12194440e-4f), r);
    /* Taylor's terms to the seventh: |r| is at most 0.35. */
    lanes sum = multiply_add(r, all(1.0f / 5040), all(1.0f / 720));
    sum = multiply_add(sum, r, all(1.0f / 120));
    sum = multiply_add(sum, r, all(1.0f / 24));
    sum = multiply_add(sum, r, all(1.0f / 6));
    sum = multiply_add(sum, r, all(0.5f));
    sum = multiply_add(sum, r, all(1.0f));
    sum = multiply_add(sum, r, all(1.0f));
    whole_lanes power = ((whole_lanes)shifted - (whole_lanes)all(round) + 127) << 23;
    return sum * (lanes)power;
}

/* The natural logarithm of positive normal values. Error: 2e-7 of the result or of 1, whichever is larger; near 1 of the
   result. */
static inline lanes logarithm(lanes x) {
    /* x = 2^n m with m from sqrt(1/2) to sqrt(2). */
    whole_lanes bits = (whole_lanes)x - 0x3f3504f3;
    whole_lanes n = bits >> 23;
    lanes m = (lanes)((bits & 0x7fffff) + 0x3f3504f3);
    lanes s = (m - 1.0f) / (m + 1.0f), square = s * s;
    /* log m = 2 artanh s; |s| is at most 0.172. */
    lanes sum = multiply_add(square, all(2.0f / 9), all(2.0f / 7));
    sum = multiply_add(sum, square, all(2.0f / 5));
    sum = multiply_add(sum, square, all(2.0f / 3));
    lanes low = multiply_add(sum * square, s, 2.0f * s);
    lanes whole = __builtin_convertvector(n, lanes);
    return multiply_add(whole, all(0.693359375f), multiply_add(whole, all(-2.12194440e-4f), low));
}

#endif
