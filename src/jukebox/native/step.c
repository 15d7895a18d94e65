/* Writing codes: the steps of a prior for some windows, from the token before to the one that is drawn.

   What it computes is written in Python in prior/processor.py, which it is held to by tests; where a pattern's keys lie
   is prior/runs.py's table. Nothing here keeps anything: several threads may each write windows of their own. */

#include "attention.h"
#include "choice.h"
#include "product.h"

typedef struct {
    const float *weight, *bias; /* [width] */
    float epsilon;
} Norm;

typedef struct {
    Norm norm, second_norm;
    Matrix project, output, inner, outer;
    const float *query_weight, *key_weight; /* [head width], or none */
    float *kept;                            /* [rows][heads][keys, values][slots][padded head width] */
    const int32_t *places;                  /* [context][slot to write, first to read, count]; none for lyrics */
    int64_t slots;
    float query_key_epsilon, branch;
} Layer;

typedef struct {
    const Layer *layers;
    const float *tokens;    /* [vocabulary][width] */
    const float *positions; /* [context][width], or none */
    const float *turns;     /* [context][cosines, sines][half a head], or none */
    const float *start;     /* [rows][width] */
    const float *added;     /* [rows][context][width], or none */
    Matrix logits;
    int32_t depth, width, heads, head_width, context, vocabulary, hidden, recondition;
    int32_t shift; /* the token of code 0: what is less counts as that for windows that follow */
} Stack;

typedef struct {
    int32_t position;    /* of its next token in the transformer */
    int32_t leader;      /* the window whose tokens it reads instead of drawing, by its number here; or -1 */
    int64_t row;         /* of the caches, its first */
    int64_t previous[2]; /* the token before that, as each of its rows reads it */
    Choice choice;
} Window;

/* What one row of the activations is: a position of a window, which keeps its keys and values in a row of the caches. */
typedef struct {
    int64_t position, previous, kept;
} Row;

static int64_t padded(int64_t count) { return (count + LANES - 1) / LANES * LANES; }

static void normalise(const Norm *norm, const float *x, int64_t width, float *out) {
    const int64_t whole = width / LANES * LANES;
    lanes sums = all(0.0f);
    for (int64_t i = 0; i < whole; i += LANES) sums += load(x + i);
    float sum = sum_of(sums);
    for (int64_t i = whole; i < width; i++) sum += x[i];
    const float mean = sum / width;
    sums = all(0.0f);
    for (int64_t i = 0; i < whole; i += LANES) {
        const lanes apart = load(x + i) - mean;
        sums = multiply_add(apart, apart, sums);
    }
    sum = sum_of(sums);
    for (int64_t i = whole; i < width; i++) sum += (x[i] - mean) * (x[i] - mean);
    const float rate = 1.0f / sqrtf(sum / width + norm->epsilon);
    for (int64_t i = 0; i < whole; i += LANES)
        store(out + i, multiply_add((load(x + i) - mean) * rate, load(norm->weight + i), load(norm->bias + i)));
    for (int64_t i = whole; i < width; i++) out[i] = (x[i] - mean) * rate * norm->weight[i] + norm->bias[i];
}

/* A query or a key of one head, normalised and turned where its prior does so, with zeros up to its padded width. */
static void prepare(const Stack *stack, const float *from, const float *weight, float epsilon, int64_t position,
                    float *to) {
    const int64_t width = stack->head_width, half = width / 2;
    for (int64_t i = padded(width) - LANES; i < padded(width); i++) to[i] = 0.0f;
    memcpy(to, from, width * sizeof(float));
    if (weight) {
        lanes squares = all(0.0f);
        for (int64_t i = 0; i < width; i += LANES) squares = multiply_add(load(to + i), load(to + i), squares);
        const float rate = 1.0f / sqrtf(sum_of(squares) / width + epsilon);
        for (int64_t i = 0; i < width; i++) to[i] *= rate * weight[i];
    }
    if (stack->turns) {
        const float *cosine = stack->turns + position * width, *sine = cosine + half;
        for (int64_t i = 0; i < half; i++) {
            const float first = to[i], second = to[half + i];
            to[i] = first * cosine[i] - second * sine[i];
            to[half + i] = second * cosine[i] + first * sine[i];
        }
    }
}

/* Keys of one head that a row of the caches keeps; its values follow after `slots` of them. */
static float *keys_of(const Stack *stack, const Layer *layer, int64_t kept, int64_t head) {
    return layer->kept + (kept * stack->heads + head) * 2 * layer->slots * padded(stack->head_width);
}

/* What the `index`-th of all heads of all rows looks at. */
static Run run_of(const Stack *stack, const Layer *layer, const Row *rows, int64_t index) {
    const Row *row = rows + index / stack->heads;
    const int32_t *place = layer->places ? layer->places + 3 * row->position : 0;
    const int64_t width = padded(stack->head_width), begin = place ? place[1] : 0;
    const float *keys = keys_of(stack, layer, row->kept, index % stack->heads) + begin * width;
    return (Run){keys, keys + layer->slots * width, place ? place[2] : layer->slots, (int32_t)width};
}

typedef struct {
    float *x, *normed, *projected, *found, *hidden, *logits, *query, *weights, *noise;
    Row *rows;
} Rooms;

/* What all rows find in one layer. Each writes its key and value just before it looks: rows that are positions of one
   window see what they would see if they came one by one. */
static void look(const Stack *stack, const Layer *layer, int count, const Rooms *rooms) {
    const int64_t heads = stack->heads, head = stack->head_width, inner = heads * head, width = padded(head);
    const int64_t step = layer->places ? 3 * inner : inner;
    const float scale = 1.0f / sqrtf((float)head), epsilon = layer->query_key_epsilon;
    float *query = rooms->query, *found = query + width;
    Run run = run_of(stack, layer, rooms->rows, 0);
    for (int64_t index = 0; index < count * heads; index++) {
        const Row *row = rooms->rows + index / heads;
        const float *from = rooms->projected + index / heads * step + index % heads * head;
        if (layer->places) {
            float *key = keys_of(stack, layer, row->kept, index % heads) + layer->places[3 * row->position] * width;
            prepare(stack, from + inner, layer->key_weight, epsilon, row->position, key);
            memcpy(key + layer->slots * width, from + 2 * inner, head * sizeof(float));
            prepare(stack, from, layer->query_weight, epsilon, row->position, query);
        } else {
            memset(query, 0, width * sizeof(float));
            memcpy(query, from, head * sizeof(float));
        }
        const Run next = index + 1 < count * heads ? run_of(stack, layer, rooms->rows, index + 1) : (Run){0};
        attend(query, &run, &next, scale, rooms->weights, found);
        memcpy(rooms->found + index / heads * inner + index % heads * head, found, head * sizeof(float));
        run = next;
    }
}

static void normalise_rows(const Stack *stack, const Norm *norm, int rows, const Rooms *rooms) {
    for (int row = 0; row < rows; row++)
        normalise(norm, rooms->x + row * stack->width, stack->width, rooms->normed + row * stack->width);
}

static void pass(const Stack *stack, const Layer *layer, int rows, const Rooms *rooms) {
    const int64_t width = stack->width, hidden = stack->hidden, inner = stack->heads * stack->head_width;
    const int64_t wide = layer->places ? 3 * inner : inner;
    float *before = rooms->logits; /* free until the last layer is done */
    normalise_rows(stack, &layer->norm, rows, rooms);
    multiply(&layer->project, &(Rows){rooms->normed, rooms->projected, width, wide, 0, 0}, rows);
    look(stack, layer, rows, rooms);
    if (layer->branch != 1.0f) memcpy(before, rooms->x, rows * width * sizeof(float));
    multiply(&layer->output, &(Rows){rooms->found, rooms->x, inner, width, rooms->x, 0}, rows);
    normalise_rows(stack, &layer->second_norm, rows, rooms);
    multiply(&layer->inner, &(Rows){rooms->normed, rooms->hidden, width, hidden, 0, 1}, rows);
    multiply(&layer->outer, &(Rows){rooms->hidden, rooms->x, hidden, width, rooms->x, 0}, rows);
    /* x + branch (a + m), where x + a + m is there. */
    for (int64_t i = 0; layer->branch != 1.0f && i < rows * width; i++)
        rooms->x[i] = before[i] + layer->branch * (rooms->x[i] - before[i]);
}

static void add(float *x, const float *added, int64_t width) {
    for (int64_t i = 0; i < width; i++) x[i] += added[i];
}

/* What is added to the input of a row, and before its logits. */
static const float *added_to(const Stack *stack, const Row *row) {
    return stack->added + (row->kept * stack->context + row->position) * stack->width;
}

/* All layers for so many rows, from what enters them; `rooms->x` is what leaves the last. */
static void pass_all(const Stack *stack, int count, const Rooms *rooms) {
    const int64_t width = stack->width;
    for (int i = 0; i < count; i++) {
        const Row *row = rooms->rows + i;
        float *x = rooms->x + i * width;
        const float *token = row->position ? stack->tokens + row->previous * width : stack->start + row->kept * width;
        memcpy(x, token, width * sizeof(float));
        if (stack->positions) add(x, stack->positions + row->position * width, width);
        if (stack->added) add(x, added_to(stack, row), width);
    }
    for (int i = 0; i < stack->depth; i++) pass(stack, stack->layers + i, count, rooms);
}

/* The rooms for so many rows, one after another in `free`; gives the numbers that they are. */
static int64_t divide(const Stack *stack, int rows, float *free, Rooms *rooms) {
    const int64_t width = stack->width, inner = stack->heads * stack->head_width, vocabulary = padded(stack->vocabulary);
    int64_t longest = 0, used = 0;
    for (int i = 0; i < stack->depth; i++) longest = stack->layers[i].slots > longest ? stack->layers[i].slots : longest;
    const int64_t sizes[] = {
        rows * width, rows * width, rows * 3 * inner, rows * inner, rows * stack->hidden,
        rows * (vocabulary > width ? vocabulary : width), 2 * padded(stack->head_width), longest, 2 * vocabulary,
    };
    float **all[] = {&rooms->x, &rooms->normed, &rooms->projected, &rooms->found, &rooms->hidden,
                     &rooms->logits, &rooms->query, &rooms->weights, &rooms->noise};
    for (int i = 0; i < 9; i++) {
        *all[i] = free + used;
        used += padded(sizes[i]);
    }
    rooms->rows = (Row *)(free + used);
    return used + rows * sizeof(Row) / sizeof(float);
}

/* Numbers of the room that is needed for so many rows at once. */
int64_t room(const Stack *stack, int rows) {
    Rooms rooms;
    return divide(stack, rows, 0, &rooms);
}

/* Read the tokens from `first` to `last` - 1 of those that a window begins with into a row of the caches: what they leave
   there, bit for bit, is what steps would. `at_once` positions are read together; `free` is `room` numbers for as many
   rows. */
void read_codes(const Stack *stack, int64_t kept, const int64_t *tokens, int64_t first, int64_t last, int at_once,
                float *free) {
    Rooms rooms;
    divide(stack, at_once, free, &rooms);
    for (; first < last; first += at_once) {
        const int rows = (int)(last - first < at_once ? last - first : at_once);
        for (int i = 0; i < rows; i++) {
            const int64_t position = first + i;
            rooms.rows[i] = (Row){position, position ? tokens[position - 1] : 0, kept};
        }
        pass_all(stack, rows, &rooms);
    }
}

/* Write the next tokens of some windows.

   windows: of which these are the first to the last but one.
   rows_each: of a window.
   given: tokens that are not drawn but read again, or -1, [steps][all windows].
   noise: added to logits, [steps][all windows][vocabulary]; or none for Gumbel noise by key and place.
   tokens: what was written, [steps][all windows].
   seen: the last step's logits, [all windows][rows_each][vocabulary]; or none.
   free: `room` numbers for the rows of these windows. */
void write_codes(const Stack *stack, Window *windows, int first, int last, int all_windows, int rows_each, int steps,
                 const int64_t *given, const float *noise, int64_t *tokens, float *seen, float *free) {
    const int rows = (last - first) * rows_each;
    const int64_t width = stack->width, vocabulary = stack->vocabulary, wide = padded(vocabulary);
    Rooms rooms;
    divide(stack, rows, free, &rooms);
    for (int step = 0; step < steps; step++) {
        for (int i = 0; i < rows; i++) {
            const Window *window = windows + first + i / rows_each;
            rooms.rows[i] = (Row){window->position, window->previous[i % rows_each], window->row + i % rows_each};
        }
        pass_all(stack, rows, &rooms);
        for (int i = 0; stack->recondition && stack->added && i < rows; i++)
            add(rooms.x + i * width, added_to(stack, rooms.rows + i), width);
        multiply(&stack->logits, &(Rows){rooms.x, rooms.logits, width, wide, 0, 0}, rows);
        for (int i = 0; seen && step == steps - 1 && i < rows; i++)
            memcpy(seen + ((int64_t)first * rows_each + i) * vocabulary, rooms.logits + i * wide,
                   vocabulary * sizeof(float));
        int64_t *now = tokens + (int64_t)step * all_windows;
        for (int i = first; i < last; i++) {
            if (windows[i].leader >= 0) continue;
            const int64_t place = (int64_t)step * all_windows + i;
            now[i] = given[place];
            if (now[i] < 0)
                now[i] = draw(rooms.logits + (int64_t)(i - first) * rows_each * wide, wide, rows_each == 2, vocabulary,
                              &windows[i].choice, noise ? noise + place * vocabulary : 0, rooms.noise);
        }
        for (int i = first; i < last; i++) {
            Window *window = windows + i;
            if (window->leader >= 0) now[i] = now[window->leader] < stack->shift ? stack->shift : now[window->leader];
            window->previous[0] = window->previous[1] = now[i];
            window->position++;
            window->choice.place++;
        }
    }
}

/* Rows times one matrix. */
void multiply_matrix(const Matrix *matrix, const float *x, float *out, int rows) {
    multiply(matrix, &(Rows){x, out, matrix->inputs, matrix->outputs, 0, 0}, rows);
}

int panel_width(void) { return PANEL; }

int lane_count(void) { return LANES; }

int has_half(void) { return HAS_HALF; }
