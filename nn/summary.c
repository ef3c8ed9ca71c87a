/* summary.c - a model as a table: layer, output shape, parameters */
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "layer.h"
#include "words.h"

static void describe(const nn_layer *layer, char *text, size_t size)
{
    const nn_layer_type *type = nn_layer_type_of(layer->kind);
    const char *word = layer->kind == NN_ACTIVATION ? layer->activation : type->name;
    const char *after = layer->kind != NN_ACTIVATION && layer->activation ? layer->activation : "";
    int used = snprintf(text, size, "%s%s%s", word, *after ? " + " : "", after);
    if (layer->kind == NN_DROPOUT && used > 0 && (size_t)used < size)
        snprintf(text + used, size - (size_t)used, " %d%%", (int)(100 * layer->rate + .5));
}

void nn_note_layer(nn_model *model, const char *scope, const char *name, const nn_layer *layer,
                   ad_var y, int64_t parameters)
{
    if (model->n_notes == model->notes_room) {
        int room = model->notes_room ? 2 * model->notes_room : 16;
        nn_note *notes = realloc(model->notes, (size_t)room * sizeof *notes);
        if (!notes) {
            model->notes_lost = true;
            return;
        }
        model->notes = notes;
        model->notes_room = room;
    }
    nn_note *note = &model->notes[model->n_notes++];
    model->noted += parameters;
    *note = (nn_note){.parameters = parameters, .output = {.rank = ad_rank(y) - 1}};
    snprintf(note->name, sizeof note->name, "%s%s", scope, name);
    describe(layer, note->what, sizeof note->what);
    for (int i = 0; i < note->output.rank; i++)
        note->output.size[i] = ad_shape(y)[i + 1];
}

/* "55,050" */
static void grouped(int64_t n, char text[32])
{
    char digits[32];
    int count = snprintf(digits, sizeof digits, "%lld", (long long)n), used = 0;
    for (int i = 0; i < count; i++) {
        if (i > 0 && (count - i) % 3 == 0)
            text[used++] = ',';
        text[used++] = digits[i];
    }
    text[used] = 0;
}

static int widest(int so_far, const char *text)
{
    int n = (int)strlen(text);
    return n > so_far ? n : so_far;
}

static void rule(FILE *to, int width)
{
    for (int i = 0; i < width; i++)
        fputc('-', to);
    fputc('\n', to);
}

ad_status nn_summary(const nn_model *model, FILE *to)
{
    nn_error own = {0};
    char number[32];
    if (nn_model_ready(model, &own))
        return own.status;
    if (!to)
        return AD_NULL;
    if (model->notes_lost)
        return AD_NO_MEMORY;
    int name = 5, what = 4, shape = 12;
    for (int i = 0; i < model->n_notes; i++) {
        const nn_shape *output = &model->notes[i].output;
        name = widest(name, model->notes[i].name);
        what = widest(what, model->notes[i].what);
        shape = widest(shape, nn_shape_text_of(output->rank, output->size).text);
    }
    const int width = name + what + shape + 18;
    fprintf(to, "%-*s  %-*s  %-*s  %12s\n", name, "layer", what, "kind", shape, "output shape",
            "parameters");
    rule(to, width);
    for (int i = 0; i < model->n_notes; i++) {
        const nn_note *note = &model->notes[i];
        grouped(note->parameters, number);
        fprintf(to, "%-*s  %-*s  %-*s  %12s\n", name, note->name, what, note->what, shape,
                nn_shape_text_of(note->output.rank, note->output.size).text, number);
    }
    rule(to, width);
    grouped(nn_size(model), number);
    fprintf(to, "%-*s  %12s\n", width - 14, "parameters", number);
    if (nn_trainable_size(model) != nn_size(model)) {
        grouped(nn_trainable_size(model), number);
        fprintf(to, "%-*s  %12s\n", width - 14, "of them trained", number);
    }
    return ferror(to) ? AD_BAD_ARGUMENT : AD_OK;
}
