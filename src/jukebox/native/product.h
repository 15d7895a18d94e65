/* Rows times a matrix.

   A matrix lies in panels of some columns; in a panel the weights of one input lie side by side, so that it is
   read in one sweep. Every result is one chain of multiplications and additions in the order of the inputs, whatever
   the number of rows or of threads: a row is the same bits in any company. */

#ifndef PRODUCT_H
#define PRODUCT_H

#include "lanes.h"

/* Vectors of a panel, and the most rows that are multiplied at once, of a matrix in 4 bits apart: their sums and what is
   multiplied are in the processor's registers, 32 or 16, and so many of them that few wait for the one before. Where few
   rows have too few sums for that, they take some panels at once; with AVX-512 widening takes longer than they wait. */
#if defined(__AVX512F__) || defined(__aarch64__)
#define VECTORS 4
#define MOST_ROWS 6
#define MOST_ROWS_OF_NIBBLES 6
#else
#define VECTORS 3
#define MOST_ROWS 4
#define MOST_ROWS_OF_NIBBLES 2
#endif
#ifdef __AVX512F__
#define MOST_PANELS 1
#else
#define MOST_PANELS 2
#endif

#define PANEL (VECTORS * LANES)

/* Of matrices in 4 bits (nn/quantised.py): inputs that share a step and a lowest value, inputs whose numbers are in one
   word, the first in its lowest bits, and the bytes of a panel's steps and lowest values of one group. */
#define GROUP 128
#define IN_A_WORD 8
#define GRID_BYTES (2 * 2 * PANEL)

typedef struct {
    const void *panels; /* [outputs / PANEL, rounded up][inputs][PANEL], zeros beyond the last output; in 4 bits
                           [..][inputs / GROUP, rounded up] of steps [PANEL], lowest values [PANEL], both in half
                           precision, and words [GROUP / IN_A_WORD][PANEL] */
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

/* A panel, and where what is read after it lies. */
typedef struct {
    const char *weights, *after;
    int64_t inputs;
} Span;

/* How many panels so many rows take at once. In 4 bits what numbers are made of takes the room of a second one. */
static inline __attribute__((always_inline)) int panels_of(const int rows, const int kind) {
    return kind != NIBBLES && rows <= MOST_ROWS / 2 ? MOST_PANELS : 1;
}

/* What a panel of so many inputs takes. */
static inline int64_t panel_bytes(int64_t inputs, int kind) {
    if (kind == NIBBLES) return (inputs + GROUP - 1) / GROUP * (GRID_BYTES + GROUP / 2 * PANEL);
    return inputs * PANEL * (kind == WHOLE ? 4 : kind == HALF ? 2 : 1);
}

/* Asks for the lines of what is read soon. */
static inline __attribute__((always_inline)) void ask(const char *from, const int64_t bytes) {
#pragma GCC unroll 8
    for (int64_t line = 0; line < bytes; line += 64) __builtin_prefetch(from + line, 0, 3);
}

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

/* Adds to the sums of some rows what one input brings; their numbers are constants, so that sums stay in registers. */
static inline __attribute__((always_inline)) void add_input(const float *x, int64_t step, const lanes *w, const int rows,
                                                            lanes sums[][VECTORS]) {
#pragma GCC unroll 8
    for (int i = 0; i < rows; i++) {
        const lanes value = all(x[i * step]);
#pragma GCC unroll 8
        for (int j = 0; j < VECTORS; j++) sums[i][j] = multiply_add(value, w[j], sums[i][j]);
    }
}

/* The same, vector by vector: then sums take all registers but one for each row and one for weights. */
static inline __attribute__((always_inline)) void add_weights(const float *x, int64_t step, const lanes w, const int rows,
                                                              const int j, lanes sums[][VECTORS]) {
#pragma GCC unroll 8
    for (int i = 0; i < rows; i++) sums[i][j] = multiply_add(all(x[i * step]), w, sums[i][j]);
}

/* The sums of some panels whose weights each have a place. While it multiplies, it asks for the panels after these, line
   by line of every `stride`-th input from `phase` on: what comes from memory comes while the processor multiplies. */
static inline __attribute__((always_inline)) void sum_inputs(const Span *span, const float *x, int64_t step, int phase,
                                                             int stride, const int rows, const int panels,
                                                             const int kind, lanes sums[][MOST_ROWS][VECTORS]) {
    const int64_t bytes = panel_bytes(1, kind), whole = span->inputs * bytes;
    /* Inputs that share a line. */
    const int shared = bytes < 64 ? 64 / (int)bytes : 1;
    int64_t next = (int64_t)phase * shared;
    for (int64_t k = 0; k < span->inputs; k++) {
        if (k == next) {
#pragma GCC unroll 4
            for (int p = 0; p < panels; p++) ask(span->after + p * whole + k * bytes, bytes);
            next += (int64_t)stride * shared;
        }
#pragma GCC unroll 4
        for (int p = 0; p < panels; p++) {
            const char *from = span->weights + p * whole + k * bytes;
            lanes w[VECTORS];
#pragma GCC unroll 8
            for (int j = 0; j < VECTORS; j++) {
                w[j] = widened(from + j * bytes / VECTORS, kind);
                if (panels > 1) add_weights(x + k, step, w[j], rows, j, sums[p]);
            }
            if (panels == 1) add_input(x + k, step, w, rows, sums[p]);
        }
    }
}

/* The sums of a panel in 4 bits. A weight is rounded once from what it stands for, since a step in half precision times
   a number of 4 bits is exact in float32: it is the weight that the same matrix has in float32. */
static inline __attribute__((always_inline)) void sum_groups(const Span *span, const float *x, int64_t step, int asks,
                                                             const int rows, lanes sums[][VECTORS]) {
    const char *from = span->weights, *after = span->after;
    for (int64_t group = 0; group < span->inputs; group += GROUP) {
        lanes steps[VECTORS], lowest[VECTORS];
#pragma GCC unroll 8
        for (int j = 0; j < VECTORS; j++) {
            const char *grid = from + 2 * LANES * j;
            steps[j] = widened(grid, HALF);
            lowest[j] = widened(grid + 2 * PANEL, HALF);
        }
        if (asks) ask(after, GRID_BYTES);
        from += GRID_BYTES;
        after += GRID_BYTES;
        for (int64_t k = group; k < group + GROUP && k < span->inputs; k += IN_A_WORD) {
            whole_lanes words[VECTORS];
#pragma GCC unroll 8
            for (int j = 0; j < VECTORS; j++)
                words[j] = (whole_lanes)load((const float *)from + LANES * j);
            const int count = k + IN_A_WORD <= span->inputs ? IN_A_WORD : (int)(span->inputs - k);
#pragma GCC unroll 8
            for (int i = 0; i < IN_A_WORD; i++) {
                if (i >= count) break;
                lanes w[VECTORS];
#pragma GCC unroll 8
                for (int j = 0; j < VECTORS; j++)
                    w[j] = multiply_add(steps[j], lowest_nibbles(words[j] >> 4 * i), lowest[j]);
                add_input(x + k + i, step, w, rows, sums);
            }
            if (asks) ask(after, 4 * PANEL);
            from += 4 * PANEL;
            after += 4 * PANEL;
        }
    }
}

/* The results of some rows in some panels. */
static inline __attribute__((always_inline)) void multiply_panels(const Matrix *m, const Rows *r, int row,
                                                                  int64_t panel, int phase, int stride, const int rows,
                                                                  const int panels, const int kind) {
    const int64_t bytes = panel_bytes(m->inputs, kind);
    const char *weights = (const char *)m->panels + panel * bytes;
    const int last = (panel + panels) * PANEL >= m->outputs;
    const Span span = {weights, last ? (const char *)m->next : weights + panels * bytes, m->inputs};
    const float *x = r->x + row * r->x_step;
    lanes sums[MOST_PANELS][MOST_ROWS][VECTORS];
#pragma GCC unroll 4
    for (int p = 0; p < panels; p++)
#pragma GCC unroll 8
        for (int i = 0; i < rows; i++)
#pragma GCC unroll 8
            for (int j = 0; j < VECTORS; j++) sums[p][i][j] = all(0.0f);
    if (kind == NIBBLES) sum_groups(&span, x, r->x_step, phase == 0, rows, sums[0]);
    else sum_inputs(&span, x, r->x_step, phase, stride, rows, panels, kind, sums);
#pragma GCC unroll 4
    for (int p = 0; p < panels; p++)
#pragma GCC unroll 8
        for (int i = 0; i < rows; i++) {
            float results[PANEL];
#pragma GCC unroll 8
            for (int j = 0; j < VECTORS; j++) store(results + j * LANES, sums[p][i][j]);
            put(m, r, row + i, (panel + p) * PANEL, results);
        }
}

#define CASE(ROWS, PANELS)                                                                                             \
    case ROWS: multiply_panels(m, r, row, panel, phase, stride, ROWS, PANELS, kind); break;

static inline __attribute__((always_inline)) void multiply_rows(const Matrix *m, const Rows *r, int row, int rows,
                                                                int64_t panel, int phase, int stride, const int kind) {
    switch (rows) {
        CASE(1, 1)
        CASE(2, 1)
        CASE(3, 1)
        CASE(4, 1)
#if MOST_ROWS > 4
        CASE(5, 1)
        CASE(6, 1)
#endif
    }
}

/* All rows, which are few, in as many panels at once as they take (`panels_of`); gives the first panel that is left. */
static inline __attribute__((always_inline)) int64_t multiply_few(const Matrix *m, const Rows *r, int rows,
                                                                  int64_t panels, const int kind) {
    const int row = 0, phase = 0, stride = 1;
    int64_t panel = 0;
    for (; panels_of(rows, kind) > 1 && panel + MOST_PANELS <= panels; panel += MOST_PANELS)
        switch (rows) {
            CASE(1, MOST_PANELS)
            CASE(2, MOST_PANELS)
#if MOST_ROWS > 4
            CASE(3, MOST_PANELS)
#endif
        }
    return panel;
}

#undef CASE

/* Rows times a matrix of one kind. */
static inline __attribute__((always_inline)) void multiply_kind(const Matrix *m, const Rows *r, int rows,
                                                                const int kind) {
    const int64_t panels = (m->outputs + PANEL - 1) / PANEL;
    const int most = kind == NIBBLES ? MOST_ROWS_OF_NIBBLES : MOST_ROWS, parts = (rows + most - 1) / most;
    for (int64_t panel = multiply_few(m, r, rows, panels, kind); panel < panels; panel++)
        for (int part = 0; part < parts; part++) {
            const int from = (int)((int64_t)rows * part / parts), to = (int)((int64_t)rows * (part + 1) / parts);
            multiply_rows(m, r, from, to - from, panel, part, parts, kind);
        }
}

/* Rows times a matrix, plus its bias and what is added. The result may be what is added. */
static void multiply(const Matrix *m, const Rows *r, int rows) {
    switch (m->kind) {
        case WHOLE: multiply_kind(m, r, rows, WHOLE); break;
        case HALF: multiply_kind(m, r, rows, HALF); break;
        case BYTES: multiply_kind(m, r, rows, BYTES); break;
        default: multiply_kind(m, r, rows, NIBBLES);
    }
}

#endif
