/* The attention of one new position of a window, over a run of what is kept of it. */

#ifndef ATTENTION_H
#define ATTENTION_H

#include "lanes.h"

/* Where one head's keys and values begin, and how many of them are looked at. */
typedef struct {
    const float *keys, *values; /* [count][width] */
    int64_t count;
    int32_t width; /* of a head, rounded up to LANES; zeros beyond the head */
} Run;

/* Sums of values that are in the processor's registers at once. */
#define SUMS 8

/* What a query finds: the values, weighted by the softmax of `scale` times its products with the keys; 0 where there
   are none. `weights` is room for `count` numbers, rounded up to LANES. It asks for what is looked at `next`. */
static void attend(const float *query, const Run *run, const Run *next, float scale, float *weights, float *found) {
    const int64_t count = run->count, width = run->width;
    if (count == 0) {
        memset(found, 0, width * sizeof(float));
        return;
    }
    const int64_t line = 64 / sizeof(float), lines = count < next->count ? count : next->count;
    float largest = -INFINITY;
    for (int64_t i = 0; i < count; i++) {
        lanes sum = all(0.0f);
        for (int64_t j = 0; j < width; j += LANES)
            sum = multiply_add(load(query + j), load(run->keys + i * width + j), sum);
        if (i < lines)
            for (int64_t j = 0; j < width; j += line) __builtin_prefetch(next->keys + i * width + j);
        weights[i] = sum_of(sum);
        largest = weights[i] > largest ? weights[i] : largest;
    }
    for (int64_t i = count; i % LANES; i++) weights[i] = -INFINITY;
    lanes total = all(0.0f);
    for (int64_t i = 0; i < count; i += LANES) {
        lanes weight = exponential((load(weights + i) - largest) * scale);
        store(weights + i, weight);
        if (i + LANES <= count) total += weight;
    }
    float sum = sum_of(total);
    for (int64_t i = count / LANES * LANES; i < count; i++) sum += weights[i];
    for (int64_t from = 0; from < width; from += SUMS * LANES) {
        const int64_t left = (width - from) / LANES, parts = left < SUMS ? left : SUMS;
        lanes sums[SUMS] = {0};
        for (int64_t i = 0; i < count; i++) {
            const lanes weight = all(weights[i]);
            const float *value = run->values + i * width + from;
            for (int64_t j = 0; j < parts; j++) sums[j] = multiply_add(weight, load(value + j * LANES), sums[j]);
            if (i < lines)
                for (int64_t j = 0; j < parts * LANES; j += line)
                    __builtin_prefetch(next->values + i * width + from + j);
        }
        for (int64_t j = 0; j < parts; j++) store(found + from + j * LANES, sums[j] / sum);
    }
}

#endif
