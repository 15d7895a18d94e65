/* Rows times a matrix.

   A matrix lies in panels of some columns; in a panel the weights of one input lie side by side, so that it is
   read in one sweep. Every result is one chain of multiplications and additions in the order of the inputs, whatever
   the number of rows or of threads: a row is the same bits in any company. */

#ifndef PRODUCT_H
#define PRODUCT_H

#include "lanes.h"

/* Vectors of a panel, and the most rows that are multiplied at once: their sums are in the processor's registers, and so
   many of them that none waits for the one before it. */
#define VECTORS 2
#if LANES == 8
#define MOST_ROWS 6
#else
#define MOST_ROWS 8
#endif

#define PANEL (VECTORS * LANES)

typedef struct {
    const void *panels; /* [outputs / PANEL, rounded up][inputs][PANEL], zeros beyond the last output */
    const void *next;   /* what is read after them */
    const float *scale; /* [outputs], of each result before its bias; or none */
    const float *bias;  /* [outputs] or none */
    int32_t inputs, outputs, kind;
} Matrix;

typedef struct {
    const float *x; /* [rows][x_step] */
    float *out;     /* [rows][out_step] */
    int64_t x_step, out_step;
    const float *added; /* to each result; of the same step as `out`; or none */
    int32_t gelu;       /* whether x sigmoid(1.702 x) of the result is wanted */
} Rows;

/* What comes after the product, for the results of one row in one panel. */
static __attribute__((noinline)) void put(const Matrix *m, const Rows *r, int row, int64_t column, float *results) {
    const int64_t left = m->outputs - column, count = left < PANEL ? left : PANEL;
    float *out = r->out + row * r->out_step + column;
    for (int64_t i = 0; m->scale && i < count; i++) results[i] *= m->scale[column + i];
    for (int64_t i = 0; m->bias && i < count; i++) results[i] += m->bias[column + i];
    for (int64_t i = 0; r->added && i < count; i++) results[i] += r->added[row * r->out_step + column + i];
    for (int i = 0; r->gelu && i < PANEL; i += LANES) {
        const lanes x = load(results + i);
        store(results + i, x / (1.0f + exponential(-1.702f * x)));
    }
    memcpy(out, results, count * sizeof(float));
}

/* The results of some rows in one panel: sums stay in registers, for which the number of rows is a constant. While it
   multiplies, it asks for the panel after this, line by line of every `stride`-th input from `phase` on: what comes from
   memory comes while the processor multiplies. */
static inline __attribute__((always_inline)) void multiply_panel(const Matrix *m, const Rows *r, int row, int64_t panel,
                                                                  int phase, int stride, const int rows,
                                                                  const int kind) {
    const int64_t inputs = m->inputs, step = r->x_step, bytes = PANEL * (kind == WHOLE ? 4 : kind == HALF ? 2 : 1);
    const char *weights = (const char *)m->panels + panel * inputs * bytes;
    const int last = (panel + 1) * PANEL >= m->outputs;
    const char *after = last ? (const char *)m->next : weights + inputs * bytes;
    const float *x = r->x + row * step;
    lanes sums[MOST_ROWS][VECTORS];
#pragma GCC unroll 8
    for (int i = 0; i < rows; i++)
#pragma GCC unroll 8
        for (int j = 0; j < VECTORS; j++) sums[i][j] = all(0.0f);
    /* Inputs that share a line. */
    const int shared = bytes < 64 ? 64 / (int)bytes : 1;
    int64_t next = (int64_t)phase * shared;
    for (int64_t k = 0; k < inputs; k++) {
        const char *from = weights + k * bytes;
        if (k == next) {
#pragma GCC unroll 8
            for (int64_t line = 0; line < bytes; line += 64) __builtin_prefetch(after + k * bytes + line, 0, 3);
            next += (int64_t)stride * shared;
        }
        lanes w[VECTORS];
#pragma GCC unroll 8
        for (int j = 0; j < VECTORS; j++) w[j] = widened(from + j * bytes / VECTORS, kind);
#pragma GCC unroll 8
        for (int i = 0; i < rows; i++) {
            const lanes value = all(x[i * step + k]);
#pragma GCC unroll 8
            for (int j = 0; j < VECTORS; j++) sums[i][j] = multiply_add(value, w[j], sums[i][j]);
        }
    }
#pragma GCC unroll 8
    for (int i = 0; i < rows; i++) {
        float results[PANEL];
#pragma GCC unroll 8
        for (int j = 0; j < VECTORS; j++) store(results + j * LANES, sums[i][j]);
        put(m, r, row + i, panel * PANEL, results);
    }
}

#define CASE(ROWS)                                                                                                     \
    case ROWS: multiply_panel(m, r, row, panel, phase, stride, ROWS, kind); break;

static inline __attribute__((always_inline)) void multiply_rows(const Matrix *m, const Rows *r, int row, int rows,
                                                                int64_t panel, int phase, int stride, const int kind) {
    switch (rows) {
        CASE(1)
        CASE(2)
        CASE(3)
        CASE(4)
        CASE(5)
        CASE(6)
#if MOST_ROWS > 6
        CASE(7)
        CASE(8)
#endif
    }
}

#undef CASE

/* Rows times a matrix, plus its bias and what is added. The result may be what is added. */
static void multiply(const Matrix *m, const Rows *r, int rows) {
    const int64_t panels = (m->outputs + PANEL - 1) / PANEL;
    const int parts = (rows + MOST_ROWS - 1) / MOST_ROWS;
    for (int64_t panel = 0; panel < panels; panel++)
        for (int part = 0; part < parts; part++) {
            const int from = (int)((int64_t)rows * part / parts), to = (int)((int64_t)rows * (part + 1) / parts);
            if (m->kind == WHOLE) multiply_rows(m, r, from, to - from, panel, part, parts, WHOLE);
            else if (m->kind == HALF) multiply_rows(m, r, from, to - from, panel, part, parts, HALF);
            else multiply_rows(m, r, from, to - from, panel, part, parts, BYTES);
        }
}

#endif
