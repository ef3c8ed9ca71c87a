/* sampler.c - see sampler.h */
#include "sampler.h"

bool sampler_new(sampler *s, const ad_expression *e, const char *at, char wrong[TRACE_WRONG])
{
    *s = (sampler){.expression = e, .tape = ad_tape_new(NULL)};
    return point_read(&s->at, at, wrong);
}

void sampler_free(sampler *s)
{
    point_free(&s->at);
    ad_tape_free(s->tape);
}

/* The result is a number that some input moves; one that does not is a constant, with slope 0. */
static bool derive(sampler *s, ad_env *env, int n, const char *const *names, double *value,
                   double *gradient, char wrong[TRACE_WRONG])
{
    const ad_var y = ad_record_expression(env, s->expression, NULL);
    if (ad_tape_status(s->tape))
        return complain(wrong, "%s", ad_tape_error(s->tape));
    if (ad_size(y) != 1)
        return complain(wrong, "the expression is a tensor: end in a number, as in sum(...)");
    *value = ad_value(y);
    const bool moves = ad_var_node(y) >= 0;
    if (moves && ad_backward(y))
        return complain(wrong, "%s", ad_tape_error(s->tape));
    for (int k = 0; k < n; k++) {
        const ad_var x = ad_env_get(env, names[k]);
        gradient[k] = moves && x.tape && ad_var_node(x) >= 0 ? ad_grad(x) : 0;
    }
    return true;
}

bool sampler_read(sampler *s, int n, const char *const *names, const double *x, double *value,
                  double *gradient, char wrong[TRACE_WRONG])
{
    ad_reset(s->tape);
    ad_env *env = ad_env_new(s->tape);
    bool good = env != NULL;
    for (int k = 0; good && k < n; k++)
        good = !ad_env_set(s->at.values, names[k], ad_constant(x[k]));
    good = good ? point_inputs(&s->at, s->expression, s->tape, env, wrong) &&
                      derive(s, env, n, names, value, gradient, wrong)
                : complain(wrong, "out of memory");
    ad_env_free(env);
    return good;
}
