/* inspect.c - looking into a model: its gradients checked, its activations and gradients measured
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "batch.h"
#include "error.h"
#include "evaluate.h"

/* ---- one batch of all rows --------------------------------------------------------------- */

static ad_status whole_batch(nn_batch *batch, const nn_model *model, const nn_data *data,
                             nn_error *error)
{
    nn_feed feed;
    if (nn_data_fits(data, model, true, error))
        return nn_earlier(error);
    if (data->is_stream || data->rows < 1)
        return nn_fail(error, AD_BAD_ARGUMENT,
                       "a batch in memory is needed, of 1 row or more; not a stream");
    if (nn_batch_new(batch, model, data, data->rows, true, error))
        return nn_earlier(error);
    nn_feed_begin(&feed, data, NULL, 0, 0, error);
    if (nn_feed_next(&feed, batch, error))
        nn_batch_free(batch);
    return nn_earlier(error);
}

/* ---- gradient check ---------------------------------------------------------------------- */

typedef struct checked {
    const nn_model *model;
    const nn_batch *batch;
    nn_loss loss;
    const nn_loss_options *options;
    int n;
    int *which; /* variables that are checked, by number */
} checked;

/* The loss as a function of the trained parameters. */
static ad_var loss_of_parameters(const ad_var *w, void *user)
{
    const checked *c = user;
    ad_tape *tape = w[0].tape;
    ad_var *substitutes = calloc((size_t)c->model->n_variables + 1, sizeof *substitutes);
    if (!substitutes)
        return ad_fail(tape, AD_NO_MEMORY, "nn_gradcheck: out of memory");
    for (int i = 0; i < c->n; i++)
        substitutes[c->which[i]] = w[i];
    ad_var inputs[NN_MAX_INPUTS], target = ad_constant_tensor(tape, c->batch->target),
                                  weights = {0};
    for (int k = 0; k < c->batch->n_inputs; k++)
        inputs[k] = ad_constant_tensor(tape, c->batch->inputs[k]);
    if (c->batch->weights)
        weights = ad_constant_tensor(tape, c->batch->weights);
    nn_pass pass = {.model = c->model, .tape = tape, .training = true, .substitutes = substitutes};
    ad_seed(tape, c->model->config.seed);
    ad_var y = nn_pass_run(&pass, inputs);
    ad_scope_push(tape, "loss");
    ad_var loss = nn_record_loss(c->loss, c->options, y, target, weights);
    ad_scope_pop(tape);
    free(substitutes);
    return loss;
}

static ad_status check(checked *c, ad_check_report *report, nn_error *error)
{
    ad_tensor **values = calloc((size_t)c->model->n_variables + 1, sizeof *values);
    c->which = calloc((size_t)c->model->n_variables + 1, sizeof *c->which);
    if (!values || !c->which)
        nn_no_memory(error);
    for (int i = 0; !nn_earlier(error) && i < c->model->n_variables; i++) {
        ad_param *param = c->model->order[i]->param;
        if (!ad_param_trainable(param))
            continue;
        // NOLINTNEXTLINE(clang-analyzer-core.NullDereference): an earlier error ends the loop
        values[c->n] = ad_param_value(param);
        // NOLINTNEXTLINE(clang-analyzer-core.NullDereference): as above
        c->which[c->n++] = i;
    }
    if (!nn_earlier(error) && c->n == 0)
        nn_fail(error, AD_BAD_ARGUMENT, "nn_gradcheck: the model has no parameters to train");
    if (!nn_earlier(error)) {
        ad_status status = ad_gradcheck_tensors(loss_of_parameters, c, c->n, values, NULL, report);
        if (status)
            nn_fail(error, status, "gradient check: %.900s", report->text);
    }
    free(values);
    free(c->which);
    return nn_earlier(error);
}

ad_status nn_gradcheck(const nn_model *model, const nn_data *batch, nn_loss loss,
                       const nn_loss_options *options, ad_check_report *report, nn_error *error)
{
    nn_error own;
    ad_check_report unread = {0};
    nn_batch all;
    error = nn_error_or(error, &own);
    report = report ? report : &unread;
    *report = (ad_check_report){0};
    if (nn_earlier(error) || whole_batch(&all, model, batch, error))
        return report->status = nn_earlier(error);
    checked c = {.model = model, .batch = &all, .loss = loss, .options = options};
    check(&c, report, error);
    nn_batch_free(&all);
    return nn_earlier(error);
}

/* ---- magnitudes -------------------------------------------------------------------------- */

typedef struct sum { /* of squares, overflow left to the double's range */
    double squares, zeros;
    int64_t n;
} sum;

static void add_values(sum *s, const double *x, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        s->squares += x[i] * x[i];
        s->zeros += x[i] == 0;
    }
    s->n += n;
}

static double root_mean_square(const sum *s) { return s->n ? sqrt(s->squares / (double)s->n) : 0; }

/* adjoint: of the variable, else its value */
static ad_status add_variable(sum *s, ad_var v, bool adjoint)
{
    const int64_t n = ad_size(v);
    double *x = n > 0 ? malloc((size_t)n * sizeof *x) : NULL;
    if (n > 0 && !x)
        return AD_NO_MEMORY;
    ad_status status = n > 0 ? (adjoint ? ad_grad_read(v, x) : ad_read(v, x)) : AD_OK;
    if (!status)
        add_values(s, x, n);
    free(x);
    return status;
}

static bool belongs_to(const char *param, const char *layer)
{
    size_t n = strlen(layer);
    return !strncmp(param, layer, n) && param[n] == '.';
}

/* Values and gradients of the parameters of a layer, the leaves of the same tape. */
static ad_status measure_parameters(const nn_model *model, ad_tape *tape, const char *layer,
                                    nn_magnitude *m)
{
    sum values = {0}, gradients = {0};
    ad_status status = AD_OK;
    for (int i = 0; !status && i < model->n_variables; i++) {
        const nn_variable *v = model->order[i];
        if (v->is_state || !belongs_to(v->name, layer))
            continue;
        ad_var w = ad_use(tape, v->param);
        status = add_variable(&values, w, false);
        if (!status && ad_param_trainable(v->param))
            status = add_variable(&gradients, w, true);
    }
    m->weight = root_mean_square(&values);
    m->gradient = root_mean_square(&gradients);
    return status;
}

static ad_status measure(const nn_model *model, ad_tape *tape, const nn_output *output,
                         nn_magnitude *m)
{
    sum values = {0}, adjoints = {0};
    *m = (nn_magnitude){0};
    snprintf(m->layer, sizeof m->layer, "%.63s", output->name);
    ad_status status = add_variable(&values, output->value, false);
    if (!status)
        status = add_variable(&adjoints, output->value, true);
    m->activation = root_mean_square(&values);
    m->zeros = values.n ? values.zeros / (double)values.n : 0;
    m->adjoint = root_mean_square(&adjoints);
    return status ? status : measure_parameters(model, tape, output->name, m);
}

/* Records a training pass that keeps its layers' outputs, and sweeps it. */
static ad_status run_pass(nn_pass *pass, const nn_batch *batch, nn_loss loss,
                          const nn_loss_options *options)
{
    ad_var inputs[NN_MAX_INPUTS], weights = {0};
    ad_seed(pass->tape, pass->model->config.seed);
    for (int k = 0; k < batch->n_inputs; k++)
        inputs[k] = ad_constant_tensor(pass->tape, batch->inputs[k]);
    ad_var target = ad_constant_tensor(pass->tape, batch->target);
    if (batch->weights)
        weights = ad_constant_tensor(pass->tape, batch->weights);
    ad_var y = nn_pass_run(pass, inputs);
    for (int i = 0; i < pass->n_outputs && i < pass->max_outputs; i++)
        ad_retain(pass->outputs[i].value);
    return ad_backward(nn_record_loss(loss, options, y, target, weights));
}

ad_status nn_magnitudes(const nn_model *model, const nn_data *batch, nn_loss loss,
                        const nn_loss_options *options, int n, nn_magnitude *out, int *count,
                        nn_error *error)
{
    nn_error own;
    nn_batch all = {0};
    error = nn_error_or(error, &own);
    if (nn_earlier(error) || whole_batch(&all, model, batch, error))
        return nn_earlier(error);
    nn_output *outputs = calloc((size_t)(n > 0 ? n : 0) + 1, sizeof *outputs);
    ad_tape *tape = ad_tape_new(model->config.context);
    nn_pass pass = {
        .model = model, .tape = tape, .training = true, .outputs = outputs, .max_outputs = n};
    if (!outputs)
        nn_no_memory(error);
    else if (run_pass(&pass, &all, loss, options))
        nn_fail(error, ad_tape_status(tape), "%s", ad_tape_error(tape));
    for (int i = 0; !nn_earlier(error) && out && i < pass.n_outputs && i < n; i++)
        if (measure(model, tape, &outputs[i], &out[i]))
            nn_fail(error, AD_NO_MEMORY, "magnitudes: layer %.63s could not be read",
                    outputs[i].name);
    if (count)
        *count = pass.n_outputs;
    ad_tape_free(tape);
    free(outputs);
    nn_batch_free(&all);
    return nn_earlier(error);
}

ad_status nn_magnitudes_print(int n, const nn_magnitude *magnitudes, FILE *to)
{
    if (!to || (n > 0 && !magnitudes))
        return AD_NULL;
    fprintf(to, "%-20s %11s %11s %7s %11s %11s\n", "layer", "activation", "adjoint", "zeros",
            "weights", "gradient");
    for (int i = 0; i < n; i++) {
        const nn_magnitude *m = &magnitudes[i];
        fprintf(to, "%-20s %11.3g %11.3g %6.1f%%", m->layer, m->activation, m->adjoint,
                100 * m->zeros);
        if (m->weight != 0 || m->gradient != 0)
            fprintf(to, " %11.3g %11.3g", m->weight, m->gradient);
        fputc('\n', to);
    }
    return ferror(to) ? AD_BAD_ARGUMENT : AD_OK;
}
