/* runner.c - one program over a model for one batch size, and its workspace
 *
 * A program is specialised on shapes, so that the last, smaller batch of an epoch has another one
 * over the same parameters. What is recorded is the recipe's business; feeding and running it is
 * done here. */
#include "runner.h"

#include <stdlib.h>
#include <string.h>

#include "error.h"

static bool view(ad_tensor *buffer, int64_t rows, ad_tensor **part)
{
    return !buffer || (*part = nn_first_rows(buffer, rows));
}

static bool make_views(nn_views *views, const nn_batch *batch, int64_t rows)
{
    bool ok = true;
    for (int k = 0; ok && k < batch->n_inputs; k++)
        ok = view(batch->inputs[k], rows, &views->inputs[k]);
    return ok && view(batch->target, rows, &views->target) &&
           view(batch->weights, rows, &views->weights);
}

static void free_views(nn_views *views)
{
    for (int k = 0; k < NN_MAX_INPUTS; k++)
        ad_tensor_free(views->inputs[k]);
    ad_tensor_free(views->target);
    ad_tensor_free(views->weights);
}

static ad_var leaf(ad_tape *tape, ad_tensor *part)
{
    return part ? ad_bind(tape, part) : (ad_var){0};
}

static int slots_of(nn_runner *runner, const nn_recording *r, bool scalars, ad_var *slots)
{
    int n = 0;
    for (; n < runner->n_inputs; n++)
        slots[n] = r->inputs[n];
    runner->target = runner->weights = runner->rate = runner->total = -1;
    if (r->target.tape)
        slots[runner->target = n++] = r->target;
    if (r->weights.tape)
        slots[runner->weights = n++] = r->weights;
    if (scalars) {
        slots[runner->rate = n++] = r->rate;
        slots[runner->total = n++] = r->total;
    }
    return n;
}

ad_status nn_runner_new(nn_runner *runner, const nn_model *model, const nn_batch *batch,
                        int64_t rows, bool scalars, int max_outputs, nn_recipe recipe, void *user,
                        nn_error *error)
{
    ad_var slots[NN_MAX_INPUTS + 4], *outputs = calloc((size_t)max_outputs, sizeof *outputs);
    *runner = (nn_runner){.rows = rows, .n_inputs = batch->n_inputs};
    if (!outputs)
        return nn_no_memory(error);
    ad_tape *tape = ad_tape_new(model->config.context);
    nn_recording r = {.tape = tape, .batch = batch, .outputs = outputs};
    ad_seed(tape, model->config.seed);
    ad_defer(tape); /* only the program is run */
    const nn_views *own = &runner->views[batch->number];
    if (!make_views(&runner->views[batch->number], batch, rows) ||
        (batch->twin && !make_views(&runner->views[batch->twin->number], batch->twin, rows)))
        ad_fail(tape, AD_NO_MEMORY, "out of memory for a batch");
    for (int k = 0; k < batch->n_inputs; k++)
        r.inputs[k] = leaf(tape, own->inputs[k]);
    r.target = leaf(tape, own->target);
    r.weights = leaf(tape, own->weights);
    if (scalars) {
        r.rate = ad_input(tape, 0);
        r.total = ad_input(tape, 1);
    }
    int n = slots_of(runner, &r, scalars, slots);
    recipe(&r, user);
    runner->program = ad_program_capture(tape, n, slots, r.n_outputs, outputs, AD_VALUES);
    if (!runner->program)
        nn_fail(error, ad_tape_status(tape) ? ad_tape_status(tape) : AD_NO_MEMORY, "%s",
                ad_tape_error(tape));
    else
        runner->workspace = ad_workspace_new(runner->program);
    ad_tape_free(tape);
    free(outputs);
    return nn_earlier(error);
}

void nn_runner_free(nn_runner *runner)
{
    ad_workspace_free(runner->workspace);
    ad_program_free(runner->program);
    free_views(&runner->views[0]);
    free_views(&runner->views[1]);
    *runner = (nn_runner){0};
}

ad_status nn_runner_run(nn_runner *runner, const nn_batch *batch, double rate, double total,
                        uint64_t step, nn_error *error)
{
    ad_workspace *w = runner->workspace;
    const nn_views *views = &runner->views[batch->number];
    ad_status status = AD_OK;
    for (int k = 0; !status && k < runner->n_inputs; k++)
        status = ad_workspace_bind_input(w, k, views->inputs[k]);
    if (!status && runner->target >= 0)
        status = ad_workspace_bind_input(w, runner->target, views->target);
    if (!status && runner->weights >= 0)
        status = ad_workspace_bind_input(w, runner->weights, views->weights);
    if (!status && runner->rate >= 0)
        status = ad_workspace_set_scalar(w, runner->rate, rate);
    if (!status && runner->total >= 0)
        status = ad_workspace_set_scalar(w, runner->total, total);
    ad_workspace_set_step(w, step);
    if (!status)
        status = ad_run(w, NULL, NULL);
    return status ? nn_fail(error, status, "%s", ad_workspace_error(w)) : AD_OK;
}

ad_status nn_runner_read(const nn_runner *runner, int output, double *out)
{
    return ad_workspace_read(runner->workspace, output, out);
}

nn_runner *nn_runners_find(nn_runners *runners, int64_t rows)
{
    for (int i = 0; i < runners->n; i++)
        if (runners->slots[i].rows == rows)
            return &runners->slots[i];
    return NULL;
}

nn_runner *nn_runners_room(nn_runners *runners)
{
    if (runners->n < NN_RUNNERS)
        return &runners->slots[runners->n++];
    nn_runner *runner = &runners->slots[runners->oldest];
    runners->oldest = (runners->oldest + 1) % NN_RUNNERS;
    nn_runner_free(runner);
    return runner;
}

void nn_runners_free(nn_runners *runners)
{
    for (int i = 0; i < runners->n; i++)
        nn_runner_free(&runners->slots[i]);
    *runners = (nn_runners){0};
}
