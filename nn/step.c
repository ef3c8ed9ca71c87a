/* step.c - training steps as programs: forward, loss, backward, optimizer, assignments
 *
 * Everything that changes from step to step is an input: the batch, the learning rate, and what
 * gathered gradients are divided by. So a step is recorded once for each batch size and then
 * replayed.
 *
 * With accumulation the batches only add up their gradients, each times what its mean was divided
 * by; another program divides the sum by the sum of those and steps. So the gathered gradient is
 * that of one large batch. */
#include "step.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"

/* ---- what is trained, and how ------------------------------------------------------------ */

static bool below(const char *name, const char *scope)
{
    size_t n = scope ? strlen(scope) : 0;
    return n == 0 || (!strncmp(name, scope, n) && (name[n] == 0 || name[n] == '.'));
}

bool nn_trainer_has(const nn_model *model, const char *name)
{
    for (int i = 0; i < model->n_variables; i++)
        if (!model->order[i]->is_state && below(model->order[i]->name, name))
            return true;
    return false;
}

static const nn_group *group_of(const nn_fit_config *config, const char *name)
{
    for (int i = 0; i < config->n_groups; i++)
        if (below(name, config->groups[i].name))
            return &config->groups[i];
    return NULL;
}

static ad_param *zeros_like(const ad_param *param, const char *prefix)
{
    const ad_tensor *like = ad_param_value(param);
    char name[2 * NN_NAME_SIZE];
    snprintf(name, sizeof name, "%s.%s", prefix, ad_param_name(param));
    ad_tensor *value =
        ad_tensor_new(NULL, ad_tensor_dtype(like), ad_tensor_rank(like), ad_tensor_shape(like));
    return value ? ad_param_new(name, value, false) : NULL;
}

static bool fill_trained(nn_trainer *t, nn_trained *p, ad_param *param)
{
    const nn_fit_config *c = t->config;
    const nn_group *group = group_of(c, ad_param_name(param));
    *p = (nn_trained){.param = param, .rate = group && group->rate != 0 ? group->rate : 1};
    p->penalised = (ad_tensor_rank(ad_param_value(param)) > 1 || c->penalise_biases) &&
                   !(group && group->no_decay);
    if (c->average > 0) {
        p->average = zeros_like(param, "average");
        if (!p->average || ad_tensor_copy(ad_param_value(p->average), ad_param_value(param)))
            return false;
    }
    if (c->accumulate > 1 && !(p->gathered = zeros_like(param, "gathered")))
        return false;
    return true;
}

/* Do weights decay, and so penalised parameters need an optimizer of their own? */
static bool decays(const nn_trainer *t)
{
    const nn_optimizer *o = &t->config->optimizer;
    return o->coupled_decay != 0 || o->decoupled_decay != 0;
}

static bool in_group(const nn_trainer *t, int i, bool decaying)
{
    return (decays(t) && t->trained[i].penalised) == decaying;
}

/* The moments of those parameters that decay, or of the others. */
static nn_moments *moments_of(const nn_trainer *t, bool decaying, nn_error *error)
{
    nn_optimizer o = t->config->optimizer;
    ad_param **params = malloc(((size_t)t->n + 1) * sizeof(ad_param *));
    int n = 0;
    if (!params) {
        nn_no_memory(error);
        return NULL;
    }
    for (int i = 0; i < t->n; i++)
        if (in_group(t, i, decaying))
            params[n++] = t->trained[i].param;
    if (!decaying)
        o.coupled_decay = o.decoupled_decay = 0;
    nn_moments *moments =
        n > 0 ? nn_moments_new(&o, n, params, t->model->config.context, error) : NULL;
    free(params);
    return moments;
}

ad_status nn_trainer_new(nn_trainer *t, nn_model *model, const nn_fit_config *config, int64_t rows,
                         nn_error *error)
{
    *t = (nn_trainer){.model = model, .config = config, .penalty_scale = 1};
    if (config->penalty_by_rows && rows > 0)
        t->penalty_scale = 1 / (double)rows;
    t->trained = calloc((size_t)model->n_variables + 1, sizeof *t->trained);
    bool ok = t->trained != NULL;
    for (int i = 0; ok && i < model->n_variables; i++) {
        ad_param *param = model->order[i]->param;
        if (ad_param_trainable(param))
            ok = fill_trained(t, &t->trained[t->n++], param);
    }
    if (!ok)
        nn_no_memory(error);
    else if (t->n == 0)
        nn_fail(error, AD_BAD_ARGUMENT,
                "fit: the model has no parameters to train (are they all frozen?)");
    else if (config->optimizer.rule != NN_LBFGS) {
        t->moments_decaying = moments_of(t, true, error);
        t->moments = moments_of(t, false, error);
    }
    if (nn_earlier(error))
        nn_trainer_free(t);
    return nn_earlier(error);
}

void nn_trainer_free(nn_trainer *t)
{
    nn_runners_free(&t->steps);
    nn_runner_free(&t->apply);
    nn_moments_free(t->moments);
    nn_moments_free(t->moments_decaying);
    for (int i = 0; i < t->n; i++) {
        ad_param_free(t->trained[i].average);
        ad_param_free(t->trained[i].gathered);
    }
    free(t->trained);
    *t = (nn_trainer){0};
}

/* ---- what is recorded -------------------------------------------------------------------- */

typedef struct handles { /* of one recording */
    ad_var *w, *g, *rates, *updated;
    ad_var *memory;
} handles;

static bool handles_new(handles *h, const nn_trainer *t, nn_recording *r)
{
    h->memory = calloc((size_t)t->n * 4, sizeof(ad_var));
    if (!h->memory) {
        ad_fail(r->tape, AD_NO_MEMORY, "fit: out of memory for a step");
        return false;
    }
    h->w = h->memory;
    h->g = h->w + t->n;
    h->rates = h->g + t->n;
    h->updated = h->rates + t->n;
    for (int i = 0; i < t->n; i++)
        h->w[i] = ad_use(r->tape, t->trained[i].param);
    return true;
}

/* l1 sum |w| + l2/2 sum w^2, over the penalised parameters; null where there is no penalty */
static ad_var record_penalty(const nn_trainer *t, ad_tape *tape, const ad_var *w)
{
    const nn_fit_config *c = t->config;
    ad_var sum = {0};
    if (c->l1 == 0 && c->l2 == 0)
        return sum;
    ad_scope_push(tape, "penalty");
    sum = ad_constant(0);
    for (int i = 0; i < t->n; i++) {
        if (!t->trained[i].penalised)
            continue;
        if (c->l1 != 0)
            sum = ad_add(sum, ad_mul(c->l1 * t->penalty_scale, ad_sum(ad_abs(w[i]))));
        if (c->l2 != 0)
            sum = ad_add(sum, ad_mul(.5 * c->l2 * t->penalty_scale, ad_sum(ad_square(w[i]))));
    }
    ad_scope_pop(tape);
    return sum;
}

static void record_clipping(const nn_trainer *t, ad_var *g)
{
    const nn_fit_config *c = t->config;
    if (c->clip_value > 0)
        for (int i = 0; i < t->n; i++)
            g[i] = ad_clamp(g[i], -c->clip_value, c->clip_value);
    if (c->clip_norm > 0) {
        ad_var sum = ad_square(ad_norm(g[0]));
        for (int i = 1; i < t->n; i++)
            sum = ad_add(sum, ad_square(ad_norm(g[i])));
        ad_var factor = ad_min(1, ad_div(c->clip_norm, ad_add(ad_sqrt(sum), 1e-6)));
        for (int i = 0; i < t->n; i++)
            g[i] = ad_mul(g[i], factor);
    }
}

/* The parameters that decay, or the others: each group has moments of its own. */
static void record_group(const nn_trainer *t, nn_moments *moments, bool decaying, ad_tape *tape,
                         handles *h)
{
    handles part;
    int n = 0;
    if (!moments)
        return;
    part.memory = calloc((size_t)t->n * 4, sizeof(ad_var));
    if (!part.memory) {
        ad_fail(tape, AD_NO_MEMORY, "fit: out of memory for a step");
        return;
    }
    part.w = part.memory;
    part.g = part.w + t->n;
    part.rates = part.g + t->n;
    part.updated = part.rates + t->n;
    for (int i = 0; i < t->n; i++)
        if (in_group(t, i, decaying)) {
            part.w[n] = h->w[i];
            part.g[n] = h->g[i];
            part.rates[n++] = h->rates[i];
        }
    nn_record_step(moments, tape, part.w, part.g, part.rates, part.updated);
    for (int i = 0, k = 0; i < t->n; i++)
        if (in_group(t, i, decaying))
            h->updated[i] = part.updated[k++];
    free(part.memory);
}

static void record_update(const nn_trainer *t, nn_recording *r, handles *h)
{
    const double decay = t->config->average;
    record_clipping(t, h->g);
    for (int i = 0; i < t->n; i++)
        h->rates[i] = t->trained[i].rate == 1 ? r->rate : ad_mul(t->trained[i].rate, r->rate);
    ad_scope_push(r->tape, "optimizer");
    record_group(t, t->moments_decaying, true, r->tape, h);
    record_group(t, t->moments, false, r->tape, h);
    for (int i = 0; i < t->n; i++)
        if (t->trained[i].average) {
            ad_var average = ad_use(r->tape, t->trained[i].average);
            ad_assign(average, ad_add(ad_mul(decay, average), ad_mul(1 - decay, h->updated[i])));
        }
    ad_scope_pop(r->tape);
}

/* Loss with penalties and prediction, the first outputs; gives the loss without the penalty. */
static ad_var record_loss(const nn_trainer *t, nn_recording *r, const ad_var *w, ad_var *penalty)
{
    ad_var p = nn_record(t->model, r->tape, true, r->inputs);
    ad_scope_push(r->tape, "loss");
    ad_var loss =
        nn_record_loss(t->config->loss, &t->config->loss_options, p, r->target, r->weights);
    ad_scope_pop(r->tape);
    *penalty = record_penalty(t, r->tape, w);
    r->outputs[NN_OUT_LOSS] = penalty->tape ? ad_add(loss, *penalty) : loss;
    r->outputs[NN_OUT_PREDICTION] = p;
    r->n_outputs = 2;
    return loss;
}

/* The loss, penalties included, and its gradient; false when out of memory. */
static bool record_gradient(const nn_trainer *t, nn_recording *r, handles *h)
{
    ad_var penalty;
    if (!handles_new(h, t, r))
        return false;
    record_loss(t, r, h->w, &penalty);
    ad_gradients(r->outputs[NN_OUT_LOSS], t->n, h->w, h->g);
    return true;
}

static void recipe_step(nn_recording *r, void *user)
{
    const nn_trainer *t = user;
    handles h;
    if (!record_gradient(t, r, &h))
        return;
    record_update(t, r, &h);
    free(h.memory);
}

/* gathered += total * gradient, where total is what the loss was divided by */
static void recipe_gather(nn_recording *r, void *user)
{
    const nn_trainer *t = user;
    handles h;
    ad_var penalty;
    if (!handles_new(&h, t, r))
        return;
    ad_var loss = record_loss(t, r, h.w, &penalty);
    ad_gradients(loss, t->n, h.w, h.g);
    for (int i = 0; i < t->n; i++) {
        ad_var gathered = ad_use(r->tape, t->trained[i].gathered);
        ad_assign(gathered, ad_add(gathered, ad_mul(r->total, h.g[i])));
    }
    free(h.memory);
}

/* The step on gathered / total, and the penalty's gradient; then gathered = 0. */
static void recipe_apply(nn_recording *r, void *user)
{
    const nn_trainer *t = user;
    handles h;
    if (!handles_new(&h, t, r))
        return;
    ad_var penalty = record_penalty(t, r->tape, h.w);
    if (penalty.tape)
        ad_gradients(penalty, t->n, h.w, h.g);
    for (int i = 0; i < t->n; i++) {
        ad_var gathered = ad_use(r->tape, t->trained[i].gathered);
        ad_var mean = ad_div(gathered, r->total);
        h.g[i] = penalty.tape ? ad_add(mean, h.g[i]) : mean;
        ad_assign(gathered, ad_mul(0, gathered));
    }
    record_update(t, r, &h);
    free(h.memory);
}

/* Loss and prediction, then the gradients as outputs. */
static void recipe_gradient(nn_recording *r, void *user)
{
    const nn_trainer *t = user;
    handles h;
    if (!record_gradient(t, r, &h))
        return;
    for (int i = 0; i < t->n; i++)
        r->outputs[r->n_outputs++] = h.g[i];
    free(h.memory);
}

/* ---- running ----------------------------------------------------------------------------- */

static const nn_batch nothing; /* the optimizer's own program has no batch */

static ad_status prepare_apply(nn_trainer *t, nn_error *error)
{
    if (t->config->accumulate <= 1 || t->apply.program)
        return AD_OK;
    return nn_runner_new(&t->apply, t->model, &nothing, 0, true, 1, recipe_apply, t, error);
}

static nn_runner *runner_for(nn_trainer *t, const nn_batch *batch, nn_error *error)
{
    enum { OUTPUTS = 2 };
    if (prepare_apply(t, error))
        return NULL;
    nn_runner *runner = nn_runners_find(&t->steps, batch->rows);
    if (runner && runner->program)
        return runner;
    if (!runner)
        runner = nn_runners_room(&t->steps);
    nn_recipe recipe = t->config->accumulate > 1 ? recipe_gather : recipe_step;
    if (nn_runner_new(runner, t->model, batch, batch->rows, true, OUTPUTS, recipe, t, error)) {
        nn_runner_free(runner);
        return NULL;
    }
    return runner;
}

ad_status nn_trainer_prepare(nn_trainer *t, const nn_batch *batch, nn_error *error)
{
    return runner_for(t, batch, error) ? AD_OK : nn_earlier(error);
}

ad_status nn_trainer_flush(nn_trainer *t, double rate, int64_t step, nn_error *error)
{
    if (t->gathered_batches == 0)
        return AD_OK;
    if (prepare_apply(t, error))
        return nn_earlier(error);
    double total = t->gathered_total;
    t->gathered_total = 0;
    t->gathered_batches = 0;
    if (total == 0)
        return AD_OK;
    return nn_runner_run(&t->apply, &nothing, rate, total, (uint64_t)step, error);
}

static ad_status run_batch(nn_runner *runner, const nn_batch *batch, double rate, int64_t step,
                           double *loss, double divisor, double *prediction, nn_error *error)
{
    if (nn_runner_run(runner, batch, rate, divisor, (uint64_t)step, error))
        return nn_earlier(error);
    nn_runner_read(runner, NN_OUT_LOSS, loss);
    if (prediction)
        nn_runner_read(runner, NN_OUT_PREDICTION, prediction);
    return AD_OK;
}

/* A batch of weights that are all 0 teaches nothing, and its mean would be 0/0: it makes no step,
 * and has no predictions. */
static void pass_over(const nn_trainer *t, const nn_batch *batch, double *loss, double *prediction)
{
    const int64_t n = prediction ? batch->rows * nn_shape_size(&t->model->output) : 0;
    for (int64_t i = 0; i < n; i++)
        prediction[i] = NAN;
    *loss = 0;
}

ad_status nn_trainer_batch(nn_trainer *t, const nn_batch *batch, double rate, int64_t step,
                           double *loss, double *divisor, double *prediction, nn_error *error)
{
    const bool sums = t->config->loss_options.reduction == NN_SUM;
    *divisor = nn_batch_divisor(t->config->loss, &t->config->loss_options, batch);
    if (*divisor == 0) {
        pass_over(t, batch, loss, prediction);
    } else {
        nn_runner *runner = runner_for(t, batch, error);
        if (!runner || run_batch(runner, batch, rate, step, loss, *divisor, prediction, error))
            return nn_earlier(error);
    }
    if (t->config->accumulate <= 1)
        return AD_OK;
    t->gathered_total = sums ? 1 : t->gathered_total + *divisor;
    t->gathered_batches++;
    return t->gathered_batches < t->config->accumulate ? AD_OK
                                                       : nn_trainer_flush(t, rate, step, error);
}

void nn_trainer_forget(nn_trainer *t)
{
    nn_runners_free(&t->steps);
    nn_runner_free(&t->apply);
}

/* ---- for L-BFGS -------------------------------------------------------------------------- */

int64_t nn_trainer_size(const nn_trainer *t)
{
    int64_t n = 0;
    for (int i = 0; i < t->n; i++)
        n += ad_tensor_size(ad_param_value(t->trained[i].param));
    return n;
}

ad_status nn_trainer_objective(nn_trainer *t, nn_runner *runner, const nn_batch *batch,
                               double *loss, double *gradient, nn_error *error)
{
    if (!runner->program && nn_runner_new(runner, t->model, batch, batch->rows, true, 2 + t->n,
                                          recipe_gradient, t, error))
        return nn_earlier(error);
    if (nn_runner_run(runner, batch, 0, 1, 0, error))
        return nn_earlier(error);
    nn_runner_read(runner, NN_OUT_LOSS, loss);
    for (int i = 0; gradient && i < t->n; i++) {
        nn_runner_read(runner, 2 + i, gradient);
        gradient += ad_tensor_size(ad_param_value(t->trained[i].param));
    }
    return AD_OK;
}

/* ---- states ------------------------------------------------------------------------------ */

ad_status nn_trainer_swap_averages(nn_trainer *t, nn_error *error)
{
    for (int i = 0; i < t->n; i++) {
        if (!t->trained[i].average)
            continue;
        ad_tensor *value = ad_param_value(t->trained[i].param),
                  *average = ad_param_value(t->trained[i].average);
        char *a = ad_tensor_data(value), *b = ad_tensor_data(average), swap[256];
        size_t left = (size_t)ad_tensor_size(value) * ad_dtype_size(ad_tensor_dtype(value));
        for (size_t n; left > 0; left -= n, a += n, b += n) {
            n = left < sizeof swap ? left : sizeof swap;
            memcpy(swap, a, n);
            memcpy(a, b, n);
            memcpy(b, swap, n);
        }
    }
    return nn_earlier(error);
}

static int count_of(const nn_moments *moments) { return moments ? nn_moments_count(moments) : 0; }

int nn_trainer_state_count(const nn_trainer *t)
{
    int own = (t->config->average > 0) + (t->config->accumulate > 1);
    return count_of(t->moments_decaying) + count_of(t->moments) + own * t->n;
}

ad_param *nn_trainer_state_at(const nn_trainer *t, int i)
{
    int n = count_of(t->moments_decaying);
    if (i < n)
        return nn_moments_at(t->moments_decaying, i);
    i -= n;
    n = count_of(t->moments);
    if (i < n)
        return nn_moments_at(t->moments, i);
    i -= n;
    if (t->config->average > 0 && i < t->n)
        return t->trained[i].average;
    return t->trained[i % t->n].gathered;
}
