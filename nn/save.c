/* save.c - models to files and back
 *
 * The parameters are a safetensors file with PyTorch's names and layout, so that either side reads
 * what the other wrote; the description lies beside it. Both are written in full before the first
 * is renamed, and a file that does not fit its model changes nothing in it. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "describe.h"
#include "error.h"
#include "file.h"
#include "model.h"
#include "safetensors.h"
#include "words.h"

enum { LONGEST_DESCRIPTION = 1 << 26, NAMES_SHOWN = 3 };

/* path.json; NULL when out of memory */
static char *beside(const char *path)
{
    char *name = malloc(strlen(path) + sizeof ".json");
    return name ? strcat(strcpy(name, path), ".json") : NULL;
}

/* ---- saving ------------------------------------------------------------------------------ */

static ad_status put_parameters(const nn_model *model, FILE *to, const char *path, nn_error *error)
{
    /* what transformers and others ask of a file before they read it */
    static const char *const metadata[] = {"format", "pt", NULL};
    nn_named_tensor *list = calloc((size_t)model->n_variables + 1, sizeof *list);
    if (!list)
        return nn_no_memory(error);
    for (int i = 0; i < model->n_variables; i++) {
        const nn_variable *v = model->order[i];
        list[i] = (nn_named_tensor){.name = v->name,
                                    .tensor = ad_param_value(v->param),
                                    .transposed = v->transposed_in_files};
    }
    ad_status status = nn_tensor_file_put(to, path, model->n_variables, list, metadata, error);
    free(list);
    return status;
}

static ad_status flush(nn_file *file, nn_error *error)
{
    errno = 0;
    if (!ferror(file->to) && fflush(file->to) == 0)
        return AD_OK;
    return nn_fail(error, AD_BAD_ARGUMENT, "%s: cannot write it%s%s: the old file is kept",
                   file->path, errno ? ": " : "", errno ? strerror(errno) : "");
}

static ad_status write_both(const nn_model *model, nn_file *parameters, nn_file *description,
                            nn_error *error)
{
    ad_status status = put_parameters(model, parameters->to, parameters->path, error);
    if (!status)
        status = nn_describe(model, description->to, description->path, error);
    if (!status)
        status = flush(parameters, error);
    return status ? status : flush(description, error);
}

static ad_status save_both(const nn_model *model, const char *path, const char *path_beside,
                           nn_error *error)
{
    nn_file parameters, description;
    ad_status status = nn_file_begin(&parameters, path, error);
    if (status)
        return status;
    status = nn_file_begin(&description, path_beside, error);
    if (status) {
        nn_file_done(&parameters, false, error);
        return status;
    }
    status = write_both(model, &parameters, &description, error);
    ad_status done = nn_file_done(&parameters, !status, error);
    status = status ? status : done;
    done = nn_file_done(&description, !status, error);
    return status ? status : done;
}

ad_status nn_save(const nn_model *model, const char *path, nn_error *error)
{
    nn_error own;
    if (nn_earlier(error))
        return nn_earlier(error);
    error = nn_error_or(error, &own);
    if (!model || !path)
        return nn_fail(error, AD_NULL, "nn_save: no %s", model ? "path" : "model");
    if (nn_model_ready(model, error))
        return error->status;
    char *path_beside = beside(path);
    ad_status status =
        path_beside ? save_both(model, path, path_beside, error) : nn_no_memory(error);
    free(path_beside);
    return status;
}

/* ---- does a file fit a model? -------------------------------------------------------------- */

typedef struct list { /* of names, the first few of them as text */
    int n;
    char text[280];
} list;

static void add(list *l, const char *name, const char *more)
{
    const size_t used = strlen(l->text), room = sizeof l->text - used;
    int n = 0;
    if (l->n < NAMES_SHOWN)
        n = snprintf(l->text + used, room, "%s'%.48s'%s", l->n ? ", " : "", name, more);
    else if (l->n == NAMES_SHOWN)
        n = snprintf(l->text + used, room, ", ...");
    if (n < 0 || (size_t)n >= room)
        l->text[used] = 0; /* no half names */
    l->n++;
}

static nn_shape_text shape_text(const ad_tensor *t, bool transposed)
{
    int64_t shape[AD_MAX_RANK];
    const int rank = ad_tensor_rank(t);
    for (int i = 0; i < rank; i++)
        shape[i] = ad_tensor_shape(t)[transposed ? rank - 1 - i : i];
    return nn_shape_text_of(rank, shape);
}

static bool fits(const nn_variable *v, const ad_tensor *t)
{
    const ad_tensor *own = ad_param_value(v->param);
    const int rank = ad_tensor_rank(own);
    if (ad_tensor_rank(t) != rank || ad_tensor_dtype(t) == AD_I32)
        return false;
    for (int i = 0; i < rank; i++)
        if (ad_tensor_shape(t)[v->transposed_in_files ? rank - 1 - i : i] !=
            ad_tensor_shape(own)[i])
            return false;
    return true;
}

static void add_misfit(list *l, const nn_variable *v, const ad_tensor *t)
{
    char more[240];
    snprintf(more, sizeof more, " is %s%s, want %s", shape_text(t, false).text,
             ad_tensor_dtype(t) == AD_I32 ? " of integers" : "",
             shape_text(ad_param_value(v->param), v->transposed_in_files).text);
    add(l, v->name, more);
}

/* PyTorch's batch norm counts its batches; nothing here depends on that. A checkpoint has the state
 * of its fit. */
static bool is_ignored(const char *name)
{
    static const char of_fit[] = "fit.";
    static const char counter[] = "num_batches_tracked";
    const char *dot = strrchr(name, '.');
    return !strcmp(dot ? dot + 1 : name, counter) || !strncmp(name, of_fit, sizeof of_fit - 1);
}

static ad_status check_file(const nn_model *model, const char *path, const nn_tensor_file *file,
                            nn_error *error)
{
    list missing = {0}, other = {0}, more = {0};
    for (int i = 0; i < model->n_variables; i++) {
        const nn_variable *v = model->order[i];
        const ad_tensor *t = nn_tensor_file_find(file, v->name);
        if (!t)
            add(&missing, v->name, "");
        else if (!fits(v, t))
            add_misfit(&other, v, t);
    }
    for (int i = 0; i < file->n; i++) {
        const nn_variable *v = NULL;
        const char *name = ad_param_name(file->tensors[i]);
        HASH_FIND_STR(model->table, name, v);
        if (!v && !is_ignored(name))
            add(&more, name, "");
    }
    if (!missing.n && !other.n && !more.n)
        return AD_OK;
    return nn_fail(
        error, other.n && !missing.n && !more.n ? AD_BAD_SHAPE : AD_BAD_ARGUMENT,
        "%s: does not fit the model, nothing is loaded: %d missing%s%s, %d too many%s%s, "
        "%d of another shape%s%s",
        path, missing.n, missing.n ? ": " : "", missing.text, more.n, more.n ? ": " : "", more.text,
        other.n, other.n ? ": " : "", other.text);
}

/* ---- loading ----------------------------------------------------------------------------- */

static void views_free(ad_tensor **views, int n)
{
    for (int i = 0; views && i < n; i++)
        ad_tensor_free(views[i]);
    free(views);
}

/* The file's tensors in the model's order and layout; NULL when out of memory. */
static ad_tensor **views_of(const nn_model *model, const nn_tensor_file *file)
{
    ad_tensor **views = calloc((size_t)model->n_variables + 1, sizeof *views);
    for (int i = 0; views && i < model->n_variables; i++) {
        ad_tensor *t = nn_tensor_file_find(file, model->order[i]->name);
        views[i] = model->order[i]->transposed_in_files ? ad_tensor_permuted(t, (const int[]){1, 0})
                                                        : ad_tensor_retain(t);
        if (!views[i]) {
            views_free(views, i);
            return NULL;
        }
    }
    return views;
}

/* By way of doubles, which hold every float. All memory is there before the first is changed. */
static ad_status take_values(nn_model *model, const nn_tensor_file *file, nn_error *error)
{
    int64_t largest = 1;
    for (int i = 0; i < model->n_variables; i++) {
        int64_t size = ad_tensor_size(ad_param_value(model->order[i]->param));
        largest = size > largest ? size : largest;
    }
    ad_tensor **views = views_of(model, file);
    double *values = (uint64_t)largest <= SIZE_MAX / sizeof *values
                         ? malloc((size_t)largest * sizeof *values)
                         : NULL;
    ad_status status = views && values ? AD_OK : nn_no_memory(error);
    for (int i = 0; !status && i < model->n_variables; i++) {
        ad_tensor_read(views[i], values);
        ad_tensor_write(ad_param_value(model->order[i]->param), values);
    }
    free(values);
    views_free(views, model->n_variables);
    return status;
}

static ad_status take_file(nn_model *model, const char *path, const nn_tensor_file *file,
                           nn_error *error)
{
    ad_status status = check_file(model, path, file, error);
    return status ? status : take_values(model, file, error);
}

ad_status nn_load_parameters(nn_model *model, const char *path, nn_error *error)
{
    nn_tensor_file file;
    nn_error own;
    if (nn_earlier(error))
        return nn_earlier(error);
    error = nn_error_or(error, &own);
    if (!model || !path)
        return nn_fail(error, AD_NULL, "nn_load_parameters: no %s", model ? "path" : "model");
    if (nn_model_ready(model, error))
        return error->status;
    ad_status status = nn_tensor_file_read(path, NULL, &file, error);
    if (status)
        return status;
    status = take_file(model, path, &file, error);
    nn_tensor_file_free(&file);
    return status;
}

/* The description of a model whose parameters are in `file`. */
static nn_model *read_description(const char *path_beside, const nn_tensor_file *file,
                                  const ad_context *context, nn_error *error)
{
    char *text = NULL;
    size_t size = 0;
    int64_t elements = 0;
    nn_model *model = NULL;
    for (int i = 0; i < file->n; i++)
        elements += ad_tensor_size(ad_param_value(file->tensors[i]));
    if (!nn_read_file(path_beside, LONGEST_DESCRIPTION, &text, &size, error))
        model = nn_described(path_beside, text, size, elements, context, error);
    free(text);
    return model;
}

static nn_model *load_both(const char *path, const char *path_beside, const ad_context *context,
                           nn_error *error)
{
    nn_tensor_file file;
    if (nn_tensor_file_read(path, NULL, &file, error))
        return NULL;
    nn_model *model = read_description(path_beside, &file, context, error);
    if (model && take_file(model, path, &file, error)) {
        nn_model_free(model);
        model = NULL;
    }
    nn_tensor_file_free(&file);
    return model;
}

nn_model *nn_load(const char *path, const ad_context *context, nn_error *error)
{
    if (nn_earlier(error))
        return NULL;
    if (!path) {
        nn_fail(error, AD_NULL, "nn_load: no path");
        return NULL;
    }
    char *path_beside = beside(path);
    if (!path_beside) {
        nn_no_memory(error);
        return NULL;
    }
    nn_model *model = load_both(path, path_beside, context, error);
    free(path_beside);
    return model;
}
