/* From logits to the token that is drawn; what it means is written in sampling/token.py and sampling/noise.py. */

#ifndef CHOICE_H
#define CHOICE_H

#include "lanes.h"

typedef struct {
    float temperature; /* 0 takes the largest logit */
    float guidance;    /* 1 where a window has one row */
    float top_p;       /* more than 1 keeps all */
    int32_t top_k;     /* the whole vocabulary keeps all */
    int64_t key;       /* of the noise */
    int64_t place;     /* of the next code in its song */
} Choice;

/* Bits that are in ascending order where the floats are in descending order; and the other way round. */
static inline uint32_t turned(uint32_t bits) { return bits >> 31 ? bits : bits ^ 0x7fffffff; }

/* Values in descending order, a byte of their bits after the other. `other` is room for as many. */
static void sort_descending(float *values, float *other, int count) {
    uint32_t *keys = (uint32_t *)values, *spare = (uint32_t *)other;
    int32_t places[4][256] = {0};
    for (int i = 0; i < count; i++) {
        uint32_t bits;
        memcpy(&bits, values + i, sizeof bits);
        keys[i] = bits = turned(bits);
        for (int byte = 0; byte < 4; byte++) places[byte][bits >> 8 * byte & 255]++;
    }
    for (int byte = 0; byte < 4; byte++) {
        int32_t *place = places[byte], next = 0;
        for (int digit = 0; digit < 256; digit++) {
            const int32_t of_digit = place[digit];
            place[digit] = next;
            next += of_digit;
        }
        for (int i = 0; i < count; i++) spare[place[keys[i] >> 8 * byte & 255]++] = keys[i];
        uint32_t *const sorted = spare;
        spare = keys;
        keys = sorted;
    }
    for (int i = 0; i < count; i++) {
        const uint32_t bits = turned(keys[i]);
        memcpy(values + i, &bits, sizeof bits);
    }
}

/* -inf in place of the logits that are not to be drawn. `sorted` and `other` are room for as many each. */
static void filter_logits(float *logits, float *sorted, float *other, int count, const Choice *choice) {
    memcpy(sorted, logits, count * sizeof(float));
    sort_descending(sorted, other, count);
    int last = (choice->top_k < count ? choice->top_k : count) - 1;
    float least = sorted[last];
    while (last + 1 < count && sorted[last + 1] == least) last++;
    if (choice->top_p <= 1.0f) {
        double sum = 0.0, seen = 0.0;
        for (int i = 0; i <= last; i++) sum += exp((double)sorted[i] - sorted[0]);
        int place = 0;
        for (; place < last; place++) {
            seen += exp((double)sorted[place] - sorted[0]);
            if (seen / sum > choice->top_p) break;
        }
        least = sorted[place];
    }
    for (int i = 0; i < count; i++)
        if (logits[i] < least) logits[i] = -INFINITY;
}

static inline uint64_t mixed(uint64_t bits) {
    bits = (bits ^ bits >> 30) * 0xBF58476D1CE4E5B9ull;
    bits = (bits ^ bits >> 27) * 0x94D049BB133111EBull;
    return bits ^ bits >> 31;
}

/* Gumbel noise of so many tokens at one place, a multiple of LANES. */
static void gumbel(float *noise, int count, int64_t key, int64_t place) {
    const uint64_t step = 0x9E3779B97F4A7C15ull, first = (uint64_t)key + (uint64_t)place * (step << 20);
    for (int token = 0; token < count; token += LANES) {
        float uniform[LANES];
        for (int i = 0; i < LANES; i++)
            uniform[i] = (float)(uint32_t)(mixed(first + (uint64_t)(token + i) * step) >> 32);
        lanes u = smaller((load(uniform) + 0.5f) * 0x1p-32f, all(1.0f - 0x1p-24f));
        /* log(1 - u), where 1 - u is rounded: what was lost is made good. */
        lanes v = 1.0f - u, lost = (1.0f - v) - u;
        lanes rate = -(logarithm(v) + lost / v);
        store(noise + token, -logarithm(rate));
    }
}

/* The token of one window: the largest of filtered logits and noise, the first of equals.

   logits: of its row, or of both rows of a guided one, `step` numbers apart; overwritten.
   noise: given, or none for Gumbel noise by key and place.
   room: for two such rows. */
static int64_t draw(float *logits, int64_t step, int guided, int count, const Choice *choice, const float *noise,
                    float *room) {
    if (guided) {
        const float *less = logits + step;
        for (int i = 0; i < count; i++) logits[i] = less[i] + (logits[i] - less[i]) * choice->guidance;
    }
    const int noisy = choice->temperature > 0.0f;
    if (noisy)
        for (int i = 0; i < count; i++) logits[i] /= choice->temperature;
    if (choice->top_k < count || choice->top_p <= 1.0f) filter_logits(logits, room, room + step, count, choice);
    if (noisy) {
        if (!noise) {
            gumbel(room, (count + LANES - 1) / LANES * LANES, choice->key, choice->place);
            noise = room;
        }
        for (int i = 0; i < count; i++) logits[i] += noise[i];
    }
    int64_t best = 0;
    for (int i = 1; i < count; i++)
        if (logits[i] > logits[best]) best = i;
    return best;
}

#endif
