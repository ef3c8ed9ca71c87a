/* optimizer.c - the rules that turn gradients into steps, recorded on a tape
 *
 * A rule is expression code: it reads a parameter, its gradient and its moments, and gives their
 * new values, which ad_assign puts in place after all reads. Captured with the model and its loss,
 * a whole training step is one ad_run. The formulas are PyTorch's, or Keras' where `keras` is set:
 *
 *     SGD       b = mu b + (1 - tau) g, the first b = g; w -= eta b; Nesterov: w -= eta (g + mu b)
 *               Keras: b = mu b - eta g; w += b, or w += mu b - eta g
 *     Adagrad   s += g^2; w -= eta g / (sqrt s + eps)
 *     RMSprop   v = alpha v + (1 - alpha) g^2; w -= eta g / (sqrt v + eps); centred: v less the
 *               square of the mean gradient; momentum over the quotients
 *     Adadelta  v as RMSprop; d = g sqrt(u + eps) / sqrt(v + eps); u = alpha u + (1 - alpha) d^2;
 *               w -= eta d
 *     Adam      m, v: decayed means of g and g^2; w -= eta m/c1 / (sqrt(v/c2) + eps), where
 *               c1 = 1 - beta1^t and c2 = 1 - beta2^t; AMSGrad: the largest v so far
 *     AdaMax    u = max(beta2 u, |g| + eps); w -= eta / c1 m / u; Keras: eps added to u below
 *     NAdam     mu_t = beta1 (1 - .96^(t psi) / 2); Adam with mu_t+1 m / (1 - prod mu mu_t+1) +
 *               (1 - mu_t) g / (1 - prod mu) in place of m / c1
 *
 * Keras has sqrt(v + eps) for sqrt v + eps in Adagrad and RMSprop, adds eps to Adam's uncorrected
 * sqrt v, and has eta inside the momentum, where it stays when eta changes.
 *
 * What a rule costs is the number of its passes over the parameter's elements. So everything that
 * is the same for all elements is folded into scalars first: Adam divides by sqrt v + eps sqrt c2
 * and multiplies by eta sqrt(c2) / c1, which saves two passes, and makes Keras' rule the same
 * formula with eps alone. */
#include "nn.h"

#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "number.h"

enum { MOST = 3 }; /* moments of a parameter */

/* ---- presets ------------------------------------------------------------------------------------
 */

static double or_else(double rate, double otherwise) { return rate == 0 ? otherwise : rate; }

nn_optimizer nn_sgd(double rate)
{
    return (nn_optimizer){.rule = NN_SGD, .rate = or_else(rate, .01)};
}

nn_optimizer nn_momentum(double rate, double momentum)
{
    return (nn_optimizer){.rule = NN_SGD, .rate = or_else(rate, .01), .momentum = momentum};
}

nn_optimizer nn_nesterov(double rate, double momentum)
{
    return (nn_optimizer){
        .rule = NN_SGD, .rate = or_else(rate, .01), .momentum = momentum, .nesterov = true};
}

nn_optimizer nn_adagrad(double rate)
{
    return (nn_optimizer){.rule = NN_ADAGRAD, .rate = or_else(rate, .01), .epsilon = 1e-10};
}

nn_optimizer nn_rmsprop(double rate)
{
    return (nn_optimizer){
        .rule = NN_RMSPROP, .rate = or_else(rate, .01), .alpha = .99, .epsilon = 1e-8};
}

nn_optimizer nn_adadelta(double rate)
{
    return (nn_optimizer){
        .rule = NN_ADADELTA, .rate = or_else(rate, 1), .alpha = .9, .epsilon = 1e-6};
}

static nn_optimizer like_adam(nn_rule rule, double rate)
{
    return (nn_optimizer){.rule = rule, .rate = rate, .beta1 = .9, .beta2 = .999, .epsilon = 1e-8};
}

nn_optimizer nn_adam(double rate) { return like_adam(NN_ADAM, or_else(rate, .001)); }

nn_optimizer nn_adamw(double rate)
{
    nn_optimizer adam = nn_adam(rate);
    adam.decoupled_decay = .01;
    return adam;
}

nn_optimizer nn_adamax(double rate) { return like_adam(NN_ADAMAX, or_else(rate, .002)); }

nn_optimizer nn_nadam(double rate)
{
    nn_optimizer nadam = like_adam(NN_NADAM, or_else(rate, .002));
    nadam.momentum_decay = .004;
    return nadam;
}

nn_optimizer nn_lbfgs(void) { return (nn_optimizer){.rule = NN_LBFGS, .rate = 1, .history = 10}; }

nn_optimizer nn_keras(nn_rule rule)
{
    nn_optimizer o = {.rule = rule, .keras = true, .rate = .001, .epsilon = 1e-7};
    switch (rule) {
    case NN_SGD:
        o.rate = .01;
        o.epsilon = 0;
        break;
    case NN_ADAGRAD:
        o.initial = .1;
        break;
    case NN_RMSPROP:
        o.alpha = .9;
        break;
    case NN_ADADELTA:
        o.alpha = .95;
        break;
    case NN_NADAM:
        o.momentum_decay = 1;
        /* fall through */
    case NN_ADAM:
    case NN_ADAMAX:
        o.beta1 = .9;
        o.beta2 = .999;
        break;
    case NN_LBFGS: /* Keras has none */
        return nn_lbfgs();
    }
    return o;
}

/* ---- one step of one parameter ------------------------------------------------------------------
 */

/* Scalars that depend on the number of the step only: the same for all parameters. */
struct scalars {
    ad_var first;          /* SGD: weight of the gradient in the momentum: 1, then 1 - dampening */
    ad_var correction;     /* c1 */
    ad_var root;           /* sqrt c2 */
    ad_var mean, gradient; /* NAdam: weights of m and g */
};

struct update {
    const nn_optimizer *o;
    const struct scalars *scalars;
    ad_var w, g, rate;
    ad_var old[MOST], new[MOST]; /* moments, as in the table of rules; null where not needed */
};

/* beta old + (1 - beta) new: three passes. With fma it would be two, but where that is a call for
 * each element, as in portable builds, a step took two to nine times as long. */
static ad_var decayed(double beta, ad_var old, ad_var new)
{
    return ad_add(ad_mul(beta, old), ad_mul(1 - beta, new));
}

static ad_var less(ad_var w, ad_var factor, ad_var direction)
{
    return ad_sub(w, ad_mul(factor, direction));
}

/* Moments: momentum_buffer. 2 passes, with momentum 4, with Nesterov's 6. */
static ad_var torch_sgd(struct update *u)
{
    const double mu = u->o->momentum;
    if (mu == 0)
        return less(u->w, u->rate, u->g);
    ad_var g = u->o->dampening == 0 ? u->g : ad_mul(u->scalars->first, u->g);
    ad_var b = u->new[0] = ad_add(ad_mul(mu, u->old[0]), g);
    return less(u->w, u->rate, u->o->nesterov ? ad_add(u->g, ad_mul(mu, b)) : b);
}

static ad_var keras_sgd(struct update *u)
{
    const double mu = u->o->momentum;
    ad_var step = ad_mul(u->rate, u->g);
    if (mu == 0)
        return ad_sub(u->w, step);
    ad_var v = u->new[0] = ad_sub(ad_mul(mu, u->old[0]), step);
    return ad_add(u->w, u->o->nesterov ? ad_sub(ad_mul(mu, v), step) : v);
}

static ad_var sgd(struct update *u) { return u->o->keras ? keras_sgd(u) : torch_sgd(u); }

static ad_var root_of(const nn_optimizer *o, ad_var v)
{
    return o->keras ? ad_sqrt(ad_add(v, o->epsilon)) : ad_add(ad_sqrt(v), o->epsilon);
}

/* Moments: sum. 7 passes. */
static ad_var adagrad(struct update *u)
{
    ad_var s = u->new[0] = ad_add(u->old[0], ad_square(u->g));
    return less(u->w, u->rate, ad_div(u->g, root_of(u->o, s)));
}

/* Moments: square_avg, momentum_buffer, grad_avg. 9 passes, with momentum 11, centred 6 more. */
static ad_var rmsprop(struct update *u)
{
    const nn_optimizer *o = u->o;
    ad_var v = u->new[0] = decayed(o->alpha, u->old[0], ad_square(u->g));
    if (o->centred) {
        ad_var mean = u->new[2] = decayed(o->alpha, u->old[2], u->g);
        /* by rounding, a variance of gradients that are all alike may come out below 0 */
        v = ad_max(ad_sub(v, ad_square(mean)), 0);
    }
    ad_var q = ad_div(u->g, root_of(o, v));
    if (o->momentum == 0)
        return less(u->w, u->rate, q);
    ad_var pushed = ad_mul(o->momentum, u->old[1]);
    if (o->keras)
        return ad_sub(u->w, u->new[1] = ad_add(pushed, ad_mul(u->rate, q)));
    return less(u->w, u->rate, u->new[1] = ad_add(pushed, q));
}

/* Moments: square_avg, acc_delta. 15 passes. */
static ad_var adadelta(struct update *u)
{
    const nn_optimizer *o = u->o;
    ad_var v = u->new[0] = decayed(o->alpha, u->old[0], ad_square(u->g));
    ad_var ratio = ad_div(ad_add(u->old[1], o->epsilon), ad_add(v, o->epsilon));
    ad_var d = ad_mul(u->g, ad_sqrt(ratio));
    u->new[1] = decayed(o->alpha, u->old[1], ad_square(d));
    return less(u->w, u->rate, d);
}

/* sqrt v + eps, both times sqrt c2: the factor goes into the rate */
static ad_var corrected_root(const struct update *u, ad_var v)
{
    const double epsilon = u->o->epsilon;
    return u->o->keras && u->o->rule == NN_ADAM
               ? ad_add(ad_sqrt(v), epsilon)
               : ad_add(ad_sqrt(v), ad_mul(epsilon, u->scalars->root));
}

/* Moments: exp_avg, exp_avg_sq, max_exp_avg_sq. 12 passes, with AMSGrad 13. */
static ad_var adam(struct update *u)
{
    const nn_optimizer *o = u->o;
    ad_var m = u->new[0] = decayed(o->beta1, u->old[0], u->g);
    ad_var v = u->new[1] = decayed(o->beta2, u->old[1], ad_square(u->g));
    if (o->amsgrad)
        v = u->new[2] = ad_max(u->old[2], v);
    ad_var rate = ad_div(ad_mul(u->rate, u->scalars->root), u->scalars->correction);
    return less(u->w, rate, ad_div(m, corrected_root(u, v)));
}

/* Moments: exp_avg, exp_inf. 10 passes. */
static ad_var adamax(struct update *u)
{
    const nn_optimizer *o = u->o;
    ad_var m = u->new[0] = decayed(o->beta1, u->old[0], u->g);
    ad_var size = ad_abs(u->g), below;
    if (o->keras) {
        u->new[1] = ad_max(ad_mul(o->beta2, u->old[1]), size);
        below = ad_add(u->new[1], o->epsilon);
    } else {
        below = u->new[1] = ad_max(ad_mul(o->beta2, u->old[1]), ad_add(size, o->epsilon));
    }
    return less(u->w, ad_div(u->rate, u->scalars->correction), ad_div(m, below));
}

/* Moments: exp_avg, exp_avg_sq. 14 passes. */
static ad_var nadam(struct update *u)
{
    const nn_optimizer *o = u->o;
    ad_var m = u->new[0] = decayed(o->beta1, u->old[0], u->g);
    ad_var v = u->new[1] = decayed(o->beta2, u->old[1], ad_square(u->g));
    ad_var rate = ad_mul(u->rate, u->scalars->root);
    ad_var move = ad_add(ad_mul(ad_mul(rate, u->scalars->mean), m),
                         ad_mul(ad_mul(rate, u->scalars->gradient), u->g));
    return ad_sub(u->w, ad_div(move, corrected_root(u, v)));
}

/* ---- the table of rules -------------------------------------------------------------------------
 */

enum field { /* numbers that not every rule has */
             MOMENTUM = 1,
             DAMPENING = 2,
             NESTEROV = 4,
             ALPHA = 8,
             CENTRED = 16,
             BETAS = 32,
             AMSGRAD = 64,
             MOMENTUM_DECAY = 128,
             EPSILON = 256,
             INITIAL = 512,
};

/* Moments are called as in PyTorch's state dict; one with a field is there where that is not 0. */
static const struct rule {
    const char *name;
    unsigned fields;
    struct {
        const char *name;
        enum field where;
    } moments[MOST];
    ad_var (*step)(struct update *u);
} rules[] = {
    [NN_SGD] = {"SGD", MOMENTUM | DAMPENING | NESTEROV, {{"momentum_buffer", MOMENTUM}}, sgd},
    [NN_ADAGRAD] = {"Adagrad", EPSILON | INITIAL, {{"sum", 0}}, adagrad},
    [NN_RMSPROP] = {"RMSprop",
                    MOMENTUM | ALPHA | CENTRED | EPSILON,
                    {{"square_avg", 0}, {"momentum_buffer", MOMENTUM}, {"grad_avg", CENTRED}},
                    rmsprop},
    [NN_ADADELTA] = {"Adadelta", ALPHA | EPSILON, {{"square_avg", 0}, {"acc_delta", 0}}, adadelta},
    [NN_ADAM] = {"Adam",
                 BETAS | AMSGRAD | EPSILON,
                 {{"exp_avg", 0}, {"exp_avg_sq", 0}, {"max_exp_avg_sq", AMSGRAD}},
                 adam},
    [NN_ADAMAX] = {"AdaMax", BETAS | EPSILON, {{"exp_avg", 0}, {"exp_inf", 0}}, adamax},
    [NN_NADAM] = {"NAdam",
                  BETAS | MOMENTUM_DECAY | EPSILON,
                  {{"exp_avg", 0}, {"exp_avg_sq", 0}},
                  nadam},
};

static bool has_moment(const nn_optimizer *o, int k)
{
    const struct rule *rule = &rules[o->rule];
    if (!rule->moments[k].name)
        return false;
    switch (rule->moments[k].where) {
    case MOMENTUM:
        return o->momentum != 0;
    case CENTRED:
        return o->centred;
    case AMSGRAD:
        return o->amsgrad;
    default:
        return true;
    }
}

/* ---- numbers that cannot be used ----------------------------------------------------------------
 */

enum range { FINITE, NOT_NEGATIVE, SHARE };

static const char *outside(double x, enum range range)
{
    if (!isfinite(x))
        return "a finite number";
    if (range != FINITE && x < 0)
        return "0 or more";
    if (range == SHARE && x >= 1)
        return "at least 0 and less than 1";
    return NULL;
}

/* A number that its rule does not have must be 0: else it would be ignored without a word. */
static ad_status check_number(const nn_optimizer *o, const char *name, double x, enum range range,
                              unsigned field, nn_error *error)
{
    const struct rule *rule = &rules[o->rule];
    const char *wanted = outside(x, range);
    bool foreign = field && !(rule->fields & field) && x != 0;
    if (!wanted && !foreign)
        return AD_OK;
    nn_numbers numbers;
    bool c = nn_c_numbers(&numbers); /* where it fails, a comma in the text is no matter */
    if (foreign)
        nn_fail(error, AD_BAD_ARGUMENT, "optimizer: %s is %.9g, but %s has none: leave it 0", name,
                x, rule->name);
    else
        nn_fail(error, AD_BAD_ARGUMENT, "optimizer %s: %s is %.9g, it must be %s", rule->name, name,
                x, wanted);
    if (c)
        nn_own_numbers(&numbers);
    return AD_BAD_ARGUMENT;
}

static ad_status check_flag(const nn_optimizer *o, const char *name, bool set, unsigned field,
                            nn_error *error)
{
    if (!set || (rules[o->rule].fields & field))
        return AD_OK;
    return nn_fail(error, AD_BAD_ARGUMENT, "optimizer: %s is set, but %s has no such thing", name,
                   rules[o->rule].name);
}

static ad_status check_nesterov(const nn_optimizer *o, nn_error *error)
{
    if (o->nesterov && o->momentum == 0)
        return nn_fail(error, AD_BAD_ARGUMENT,
                       "optimizer SGD: nesterov is set, but momentum is 0: give it, as .9");
    if (o->nesterov && o->dampening != 0)
        return nn_fail(error, AD_BAD_ARGUMENT,
                       "optimizer SGD: nesterov is set, then dampening must be 0");
    if (o->keras && o->dampening != 0)
        return nn_fail(error, AD_BAD_ARGUMENT,
                       "optimizer SGD: dampening is set, but Keras' rule has none: leave it 0");
    return AD_OK;
}

static ad_status check_rule(const nn_optimizer *o, nn_error *error)
{
    if (o->rule == NN_LBFGS)
        return nn_fail(error, AD_BAD_ARGUMENT,
                       "optimizer: L-BFGS makes no recorded steps: call nn_lbfgs_minimise");
    if ((int)o->rule < NN_SGD || o->rule > NN_NADAM)
        return nn_fail(error, AD_BAD_ARGUMENT,
                       "optimizer: there is no rule %d: begin with a preset, as nn_adam(0)",
                       (int)o->rule);
    return AD_OK;
}

static ad_status check_optimizer(const nn_optimizer *o, nn_error *error)
{
    if (check_rule(o, error))
        return AD_BAD_ARGUMENT;
    const struct {
        const char *name;
        double value;
        enum range range;
        unsigned field;
    } numbers[] = {
        {"rate", o->rate, NOT_NEGATIVE, 0},
        {"momentum", o->momentum, NOT_NEGATIVE, MOMENTUM},
        {"dampening", o->dampening, FINITE, DAMPENING},
        {"alpha", o->alpha, SHARE, ALPHA},
        {"beta1", o->beta1, SHARE, BETAS},
        {"beta2", o->beta2, SHARE, BETAS},
        {"momentum_decay", o->momentum_decay, NOT_NEGATIVE, MOMENTUM_DECAY},
        {"epsilon", o->epsilon, NOT_NEGATIVE, EPSILON},
        {"initial", o->initial, NOT_NEGATIVE, INITIAL},
        {"coupled_decay", o->coupled_decay, NOT_NEGATIVE, 0},
        {"decoupled_decay", o->decoupled_decay, NOT_NEGATIVE, 0},
    };
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (check_number(o, numbers[i].name, numbers[i].value, numbers[i].range, numbers[i].field,
                         error))
            return AD_BAD_ARGUMENT;
    if (check_flag(o, "nesterov", o->nesterov, NESTEROV, error) ||
        check_flag(o, "centred", o->centred, CENTRED, error) ||
        check_flag(o, "amsgrad", o->amsgrad, AMSGRAD, error))
        return AD_BAD_ARGUMENT;
    return check_nesterov(o, error);
}

/* ---- moments ------------------------------------------------------------------------------------
 */

/* States: step, NAdam's mu_product, then the moments of parameter after parameter. */
struct nn_moments {
    nn_optimizer optimizer;
    int n_params, shared, each; /* shared states; moments of a parameter */
    int count;                  /* states made so far */
    ad_param **states;
};

/* Adds a state called `name`, with a dot and the parameter's name where there is one. */
static bool add_state(nn_moments *moments, const char *name, const char *of, ad_tensor *value,
                      double initial)
{
    size_t size = strlen(name) + (of ? strlen(of) + 1 : 0) + 1;
    char *full = malloc(size);
    if (!value || !full) {
        ad_tensor_free(value);
        free(full);
        return false;
    }
    snprintf(full, size, "%s%s%s", name, of ? "." : "", of ? of : "");
    if (initial != 0)
        ad_tensor_fill(value, initial);
    ad_param *state = ad_param_new(full, value, false);
    free(full);
    if (state)
        moments->states[moments->count++] = state;
    return state != NULL;
}

static bool add_shared(nn_moments *moments, const ad_context *context)
{
    return add_state(moments, "step", NULL, ad_tensor_new(context, AD_F64, 0, NULL), 0) &&
           (moments->shared == 1 ||
            add_state(moments, "mu_product", NULL, ad_tensor_new(context, AD_F64, 0, NULL), 1));
}

static bool add_moments(nn_moments *moments, const ad_param *param, const ad_context *context)
{
    const nn_optimizer *o = &moments->optimizer;
    const ad_tensor *like = ad_param_value(param);
    const char *of = ad_param_name(param);
    for (int k = 0; k < MOST; k++)
        if (has_moment(o, k) &&
            !add_state(moments, rules[o->rule].moments[k].name, of ? of : "",
                       ad_tensor_new(context, ad_tensor_dtype(like), ad_tensor_rank(like),
                                     ad_tensor_shape(like)),
                       o->initial))
            return false;
    return true;
}

static ad_status check_params(int n, ad_param *const *params, nn_error *error)
{
    if (n < 0 || n > (INT_MAX - 2) / MOST)
        return nn_fail(error, AD_BAD_ARGUMENT, "nn_moments_new: %d parameters", n);
    if (n && !params)
        return nn_fail(error, AD_NULL, "nn_moments_new: no parameters");
    for (int i = 0; i < n; i++) {
        if (!params[i])
            return nn_fail(error, AD_NULL, "nn_moments_new: parameter %d of %d is NULL", i, n);
        if (ad_tensor_dtype(ad_param_value(params[i])) == AD_I32)
            return nn_fail(error, AD_BAD_DTYPE,
                           "nn_moments_new: parameter %d, %s, is int32: it cannot be trained", i,
                           ad_param_name(params[i]));
    }
    return AD_OK;
}

static bool fill_moments(nn_moments *moments, ad_param *const *params, const ad_context *context)
{
    const nn_optimizer *o = &moments->optimizer;
    moments->shared = o->rule == NN_NADAM ? 2 : 1;
    for (int k = 0; k < MOST; k++)
        moments->each += has_moment(o, k);
    size_t n = (size_t)moments->shared + (size_t)moments->n_params * (size_t)moments->each;
    moments->states = calloc(n, sizeof *moments->states);
    bool ok = moments->states && add_shared(moments, context);
    for (int i = 0; ok && i < moments->n_params; i++)
        ok = add_moments(moments, params[i], context);
    return ok;
}

nn_moments *nn_moments_new(const nn_optimizer *optimizer, int n, ad_param *const *params,
                           const ad_context *context, nn_error *error)
{
    if (nn_earlier(error))
        return NULL;
    if (!optimizer) {
        nn_fail(error, AD_NULL, "nn_moments_new: no optimizer");
        return NULL;
    }
    if (check_optimizer(optimizer, error) || check_params(n, params, error))
        return NULL;
    nn_moments *moments = calloc(1, sizeof *moments);
    if (moments) {
        moments->optimizer = *optimizer;
        moments->n_params = n;
    }
    if (!moments || !fill_moments(moments, params, context)) {
        nn_moments_free(moments);
        nn_no_memory(error);
        return NULL;
    }
    return moments;
}

void nn_moments_free(nn_moments *moments)
{
    if (!moments)
        return;
    for (int i = 0; i < moments->count; i++)
        ad_param_free(moments->states[i]);
    free(moments->states);
    free(moments);
}

int nn_moments_count(const nn_moments *moments) { return moments ? moments->count : 0; }

ad_param *nn_moments_at(const nn_moments *moments, int i)
{
    return moments && i >= 0 && i < moments->count ? moments->states[i] : NULL;
}

/* ---- recording ----------------------------------------------------------------------------------
 */

/* NAdam's weights of m and g; assigns the product of all mu so far. psi may be any number, so that
 * .96^(t psi) is a power at every step. */
static void record_nadam(const nn_moments *moments, ad_tape *tape, ad_var t,
                         struct scalars *scalars)
{
    const double beta1 = moments->optimizer.beta1, psi = moments->optimizer.momentum_decay;
    ad_var now = ad_mul(beta1, ad_sub(1, ad_mul(.5, ad_pow(.96, ad_mul(t, psi)))));
    ad_var following = ad_sub(1, ad_mul(.5, ad_pow(.96, ad_mul(ad_add(t, 1), psi))));
    following = ad_mul(beta1, following);
    ad_var state = ad_use(tape, moments->states[1]);
    ad_var product = ad_mul(ad_sum(state), now);
    scalars->mean = ad_div(following, ad_sub(1, ad_mul(product, following)));
    scalars->gradient = ad_div(ad_sub(1, now), ad_sub(1, product));
    ad_assign(state, product);
}

/* Counts the step, and records what its number decides. */
static struct scalars record_scalars(const nn_moments *moments, ad_tape *tape)
{
    const nn_optimizer *o = &moments->optimizer;
    struct scalars scalars = {0};
    ad_var step = ad_use(tape, moments->states[0]);
    ad_var t = ad_add(ad_sum(step), 1); /* the sum of one element is a scalar */
    ad_assign(step, t);
    if (o->dampening != 0)
        scalars.first = ad_where(ad_equal(t, 1), 1, 1 - o->dampening);
    if (rules[o->rule].fields & BETAS) {
        scalars.correction = ad_sub(1, ad_pow(o->beta1, t));
        scalars.root = ad_sqrt(ad_sub(1, ad_pow(o->beta2, t)));
    }
    if (o->rule == NN_NADAM)
        record_nadam(moments, tape, t, &scalars);
    return scalars;
}

static void record_update(const nn_moments *moments, ad_tape *tape, int i, struct update *u)
{
    const nn_optimizer *o = &moments->optimizer;
    ad_param **mine = moments->states + moments->shared + (int64_t)i * moments->each;
    const ad_var w = u->w;
    u->o = o;
    for (int k = 0, at = 0; k < MOST; k++)
        if (has_moment(o, k))
            u->old[k] = ad_use(tape, mine[at++]);
    if (o->coupled_decay != 0)
        u->g = ad_add(u->g, ad_mul(o->coupled_decay, w));
    if (o->decoupled_decay != 0) /* one pass: the factor is a scalar */
        u->w = ad_mul(ad_sub(1, ad_mul(u->rate, o->decoupled_decay)), w);
    u->w = rules[o->rule].step(u);
    ad_assign(w, u->w);
    for (int k = 0; k < MOST; k++)
        if (has_moment(o, k))
            ad_assign(u->old[k], u->new[k]);
}

ad_status nn_record_step(nn_moments *moments, ad_tape *tape, const ad_var *w,
                         const ad_var *gradients, const ad_var *rates, ad_var *updated)
{
    if (!tape)
        return AD_NULL;
    if (!moments || (moments->n_params && (!w || !gradients || !rates))) {
        ad_fail(tape, AD_NULL, "nn_record_step: moments, w, gradients or rates are NULL");
        return ad_tape_status(tape);
    }
    if (ad_tape_status(tape))
        return ad_tape_status(tape);
    ad_scope_push(tape, "optimizer");
    struct scalars scalars = record_scalars(moments, tape);
    for (int i = 0; i < moments->n_params && !ad_tape_status(tape); i++) {
        struct update u = {.scalars = &scalars, .w = w[i], .g = gradients[i], .rate = rates[i]};
        if (ad_is_tensor(rates[i]))
            ad_fail(tape, AD_BAD_SHAPE,
                    "nn_record_step: a learning rate is a tensor, it must be a scalar");
        record_update(moments, tape, i, &u);
        if (updated)
            updated[i] = u.w;
    }
    ad_scope_pop(tape);
    return ad_tape_status(tape);
}
