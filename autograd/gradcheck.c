/* gradcheck.c - is a gradient right? Reverse mode against duals within rounding, then both against
 * differences
 *
 * Three opinions that share no formula: the reverse sweep reads ops.def, the forward sweep reads
 * dual.h, and differences read nothing. Reverse and duals must agree to a bound that is computed,
 * not guessed: a further reverse sweep sums the magnitudes of all contributions to an element, and
 * rounding can move it by that sum, times the unit roundoff, times the length of the longest path.
 * Differences see what a common mistake would hide. */
#define AD_PLAIN
#include "gradcheck.h"
#include "algebra.h"
#include "random.h"
#include "tensor.h"
#include <float.h>
#include <stdlib.h>
#include <string.h>

void check_say(check *c, const char *format, ...)
{
    size_t room = sizeof c->report->text - c->used;
    va_list args;
    va_start(args, format);
    /* NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized): va_start is the line before */
    int n = vsnprintf(c->report->text + c->used, room, format, args);
    va_end(args);
    c->used += n < 0 ? 0 : (size_t)n < room ? (size_t)n : room - 1;
}

static ad_status fail(check *c, ad_status s)
{
    c->report->status = s;
    if (!c->used)
        check_say(c, "gradient check: %s: %s\n", ad_status_name(s), ad_tape_error(c->t));
    return s;
}

bool check_agree(double got, double want, double allowed)
{
    return got == want || (isnan(got) && isnan(want)) ||
           (isfinite(got) && isfinite(want) && fabs(got - want) <= allowed);
}

/* ---- recording ---- */

ad_status check_record_at(check *c, bool moved)
{
    ad_reset(c->t);
    for (int i = 0; i < c->n; i++) {
        const array *v = moved ? &c->in[i].moved : &c->in[i].value;
        c->x[i] = v->rank ? ad_input_array(c->t, v->dtype, v->rank, v->shape, v->data)
                          : ad_input(c->t, array_get(v, 0));
    }
    c->y = c->f(c->x, c->user);
    if (ad_tape_status(c->t) || tape_catch_up(c->t))
        return ad_tape_status(c->t);
    return !c->y.tape ? AD_NULL : c->y.tape != c->t && !is_constant(c->y) ? AD_FOREIGN : AD_OK;
}

/* the longest chain of operations, weighted by how many roundings each may add */
double check_path_length(check *c)
{
    const frame *f = &c->t->frame;
    double *length = arena_zeros(&c->memory, ((size_t)f->n + 1) * sizeof *length), longest = 0;
    if (!length)
        return -1;
    for (uint32_t i = 0; i < f->n; i++) {
        double before = 0;
        for (int k = 0;; k++) {
            int64_t p = ad_node_parent(c->t, i, k);
            if (p < 0)
                break;
            before = fmax(before, length[p]);
        }
        const block *b = block_at(f->nodes, i);
        int64_t size = 1;
        for (uint32_t k = 0; b && k < b->n_args; k++)
            size = block_arg(f, b, (int)k).size > size ? block_arg(f, b, (int)k).size : size;
        if (b && b->out.dtype == AD_F32)
            c->unit = FLT_EPSILON / 2;
        length[i] = before + (b && b->op->is_leaf ? 0 : 8 + 2 * log2((double)size));
        longest = fmax(longest, length[i]);
    }
    return longest;
}

static ad_status take_numbers(check *c, double **p, int64_t n)
{
    return (*p = arena_zeros(&c->memory, (size_t)n * sizeof **p + 8)) ? AD_OK : AD_NO_MEMORY;
}

void check_random(const check *c, uint64_t key, double *to, int64_t n)
{
    array a = array_of(to, AD_F64, 1, &n);
    random_normal(random_stream_of(c->options->seed, key, 0), &a);
}

static ad_status prepare(check *c)
{
    ad_status s = check_record_at(c, false);
    if (s)
        return s;
    c->unit = DBL_EPSILON / 2;
    c->t->frame.n = c->t->head.n;
    c->bound = 1 + check_path_length(c);
    if (c->bound < 1)
        return AD_NO_MEMORY;
    c->bound *= c->options->slack > 0 ? c->options->slack : 1;
    c->y_size = ad_size(c->y);
    if ((s = take_numbers(c, &c->seed, c->y_size)) ||
        (s = take_numbers(c, &c->y_values, c->y_size)))
        return s;
    for (int64_t j = 0; j < c->y_size; j++)
        c->seed[j] = 1;
    if (c->options->random_seeds)
        check_random(c, 0, c->seed, c->y_size);
    for (int i = 0; i < c->n; i++) {
        input *in = &c->in[i];
        in->moved = array_of(NULL, in->value.rank ? in->value.dtype : AD_F64, in->value.rank,
                             in->value.shape); /* a scalar is a double */
        in->moved.data = arena_take(&c->memory, array_bytes(&in->moved) + 8);
        if (!in->moved.data || take_numbers(c, &in->reverse, in->value.size) ||
            take_numbers(c, &in->magnitude, in->value.size) ||
            take_numbers(c, &in->dual, in->value.size))
            return AD_NO_MEMORY;
        array_copy(&in->moved, &in->value);
    }
    return AD_OK;
}

/* ---- reverse, magnitudes, duals ---- */

/* leaves sums of |contributions| where gradients are read */
ad_status check_magnitudes(check *c, ad_var y, const double *seed)
{
    frame *f = &c->t->frame;
    uint32_t i = y.u.node.id & ~AD_TENSOR_BIT_;
    f->n = c->t->head.n;
    if (!tape_adjoints(c->t))
        return c->t->status;
    frame_clear_adjoints(f);
    frame_begin_pass(f, false);
    f->magnitude = true;
    ad_status s = frame_seed(f, i, seed, 1);
    if (!s)
        s = sweep_backward(f, i, true);
    f->magnitude = false;
    c->t->kept = true;
    c->t->swept_top = c->t->head.swept = f->n;
    return s;
}

static ad_status reverse_sweeps(check *c)
{
    if (is_constant(c->y))
        return AD_OK; /* all zero */
    const double *seeds[1] = {c->seed};
    ad_status s = ad_vjp(1, &c->y, seeds);
    for (int i = 0; !s && i < c->n; i++)
        s = ad_grad_read(c->x[i], c->in[i].reverse);
    double *magnitudes = arena_take(&c->memory, (size_t)c->y_size * sizeof *magnitudes + 8);
    if (!magnitudes)
        return AD_NO_MEMORY;
    for (int64_t j = 0; j < c->y_size; j++)
        magnitudes[j] = fabs(c->seed[j]);
    if (!s)
        s = check_magnitudes(c, c->y, magnitudes);
    for (int i = 0; !s && i < c->n; i++)
        s = ad_grad_read(c->x[i], c->in[i].magnitude);
    return s;
}

/* Every element of every input is a direction; eight in a sweep. */
static ad_status dual_sweeps(check *c, int which)
{
    enum { WIDTH = 8 };
    const input *in = &c->in[which];
    arena_mark mark = arena_here(&c->memory);
    double *seeds = arena_take(&c->memory, (size_t)in->value.size * WIDTH * sizeof *seeds + 8);
    double *out = arena_take(&c->memory, (size_t)c->y_size * WIDTH * sizeof *out + 8);
    ad_status s = seeds && out ? AD_OK : AD_NO_MEMORY;
    for (int64_t e = 0; !s && e < in->value.size; e += WIDTH) {
        int count = in->value.size - e < WIDTH ? (int)(in->value.size - e) : WIDTH;
        memset(seeds, 0, (size_t)in->value.size * WIDTH * sizeof *seeds);
        for (int w = 0; w < count; w++)
            seeds[w * in->value.size + e + w] = 1;
        const double *const tangents[1] = {seeds};
        double *const results[1] = {out};
        s = ad_jvp(1, &c->x[which], tangents, 1, &c->y, results, count);
        for (int w = 0; !s && w < count; w++)
            for (int64_t j = 0; j < c->y_size; j++)
                if (c->seed[j] != 0 && out[w * c->y_size + j] != 0)
                    in->dual[e + w] += c->seed[j] * out[w * c->y_size + j];
    }
    arena_rewind(&c->memory, mark);
    return s;
}

void check_blame(check *c, int i, int64_t e, double got, double want,
                 bool (*find)(ad_tape *, ad_check_report *))
{
    ad_check_report *r = c->report;
    r->status = AD_MISMATCH;
    r->input = i;
    r->element = e;
    r->node = -1;
    r->got = got;
    r->want = want;
    check_say(c, "gradient check: FAILED at element %lld of input %d\n", (long long)e, i);
    if (!find || !find(c->t, r))
        return;
    check_say(c, "first wrong operation: %s, argument %d (node %lld%s%s%s%s)\n  at (%.9g",
              r->operation, r->argument, (long long)r->node, *r->scope ? ", " : "", r->scope,
              *r->site ? ", " : "", r->site, r->at[0]);
    for (int k = 1; k < 3 && ad_node_parent(c->t, r->node, k) >= 0; k++)
        check_say(c, ", %.9g", r->at[k]);
    check_say(c, "): got %.9g, want %.9g\n", r->got, r->want);
}

static ad_status compare_duals(check *c)
{
    ad_check_report *r = c->report;
    for (int i = 0; i < c->n; i++)
        for (int64_t e = 0; e < c->in[i].value.size; e++) {
            const input *in = &c->in[i];
            double got = in->reverse[e], want = in->dual[e], scale = c->unit * in->magnitude[e];
            r->elements++;
            if (got != want && scale > 0)
                r->worst_ulps = fmax(r->worst_ulps, fabs(got - want) / scale);
            if (check_agree(got, want, c->bound * scale + DBL_MIN))
                continue;
            if (!isfinite(want) && r->kinks)
                continue; /* an infinite partial at a kink */
            check_blame(c, i, e, got, want, blame_operation);
            check_say(c,
                      "reverse mode gives %.17g, duals %.17g: %.3g units of rounding apart, %.3g "
                      "allowed\n",
                      got, want, scale > 0 ? fabs(got - want) / scale : (double)INFINITY, c->bound);
            return AD_MISMATCH;
        }
    return AD_OK;
}

/* ---- the whole ---- */

static ad_status run_check(check *c)
{
    ad_status s = prepare(c);
    char kinks[600];
    if (s)
        return fail(c, s);
    c->reach = (c->unit > 1e-10 ? 4e-2 : 1e-3) * 2;
    c->report->kinks = list_kinks(c->t, c->reach, kinks, sizeof kinks);
    s = reverse_sweeps(c);
    for (int i = 0; !s && i < c->n; i++)
        s = dual_sweeps(c, i);
    if (s)
        return fail(c, s);
    s = compare_duals(c);
    if (!s && !c->options->no_differences)
        s = check_differences(c);
    if (!s && c->options->second_order)
        s = check_second_order(c);
    if (s && s != AD_MISMATCH)
        return fail(c, s);
    if (!s)
        check_say(
            c,
            "gradient check: passed\n%lld elements: reverse against duals within %.2g units of "
            "rounding (%.3g allowed)%s\n",
            (long long)c->report->elements, c->report->worst_ulps, c->bound,
            c->options->second_order ? ", second order too" : "");
    if (!s && !c->options->no_differences)
        check_say(c, "against central differences: worst relative disagreement %.1e\n",
                  c->report->worst_difference);
    if (*kinks)
        check_say(c, "%s", kinks);
    if (c->report->kinks > 4)
        check_say(c, "... %d operations at or near kinks in all\n", c->report->kinks);
    c->report->passed = !s;
    return c->report->status = s;
}

static ad_status check_hand(check *c, const double *gradient)
{
    for (int i = 0; i < c->n; i++) {
        double want = c->in[i].reverse[0], got = gradient[i],
               error = c->unit * c->in[i].magnitude[0];
        if (check_agree(got, want, 1e-9 * fabs(want) + 64 * c->bound * error + DBL_MIN))
            continue;
        c->used = 0;
        c->report->passed = false;
        check_blame(c, i, 0, got, want, NULL);
        check_say(c, "the gradient given has %.17g, reverse mode and duals %.17g%s\n", got, want,
                  fabs(got + want) <= 1e-9 * fabs(want) ? ": its sign is wrong" : "");
        return AD_MISMATCH;
    }
    return AD_OK;
}

static ad_status check_all(check *c, const double *hand)
{
    static const ad_check_options defaults = {0};
    ad_check_report unread;
    const ad_context *context = context_or_default(NULL);
    if (!c->report)
        /* cppcheck-suppress autoVariables ; c does not outlive this call's caller, which reads
         * nothing of it */
        c->report = &unread;
    *c->report = (ad_check_report){.node = -1};
    if (!c->options)
        c->options = &defaults;
    c->memory.context = context;
    c->t = ad_tape_new(NULL);
    c->x = arena_zeros(&c->memory, (size_t)c->n * sizeof *c->x + 8);
    ad_status s = c->x ? run_check(c) : fail(c, AD_NO_MEMORY);
    if (!s && hand)
        s = c->report->status = check_hand(c, hand);
    ad_tape_free(c->t);
    arena_free(&c->memory);
    return s;
}

static ad_status refuse(ad_check_report *r, ad_status s, const char *why)
{
    if (r) {
        *r = (ad_check_report){.status = s, .node = -1};
        snprintf(r->text, sizeof r->text, "gradient check: %s: %s\n", ad_status_name(s), why);
    }
    return s;
}

static ad_status check_scalars(ad_function f, void *user, int n, const double *x,
                               const double *hand, const ad_check_options *options,
                               ad_check_report *report)
{
    if (!f || n < 0 || (n && !x))
        return refuse(report, AD_NULL, "null function or point");
    size_t bytes = (size_t)n * sizeof(input);
    input *in = memory_take(context_or_default(NULL), bytes);
    if (!in)
        return refuse(report, AD_NO_MEMORY, "out of memory");
    for (int i = 0; i < n; i++)
        in[i].value = array_scalar((double *)(uintptr_t)&x[i]);
    check c = {.f = f, .user = user, .n = n, .in = in, .options = options, .report = report};
    ad_status s = check_all(&c, hand);
    memory_give(context_or_default(NULL), in, bytes);
    return s;
}

ad_status ad_gradcheck(ad_function f, void *user, int n, const double *x,
                       const ad_check_options *options, ad_check_report *report)
{
    return check_scalars(f, user, n, x, NULL, options, report);
}

ad_status ad_gradcheck_against(ad_function f, void *user, int n, const double *x,
                               const double *gradient, const ad_check_options *options,
                               ad_check_report *report)
{
    if (!gradient)
        return refuse(report, AD_NULL, "null gradient");
    return check_scalars(f, user, n, x, gradient, options, report);
}

ad_status ad_gradcheck_tensors(ad_function f, void *user, int n, ad_tensor *const *x,
                               const ad_check_options *options, ad_check_report *report)
{
    if (!f || n < 0 || (n && !x))
        return refuse(report, AD_NULL, "null function or point");
    size_t bytes = (size_t)n * sizeof(input);
    input *in = memory_take(context_or_default(NULL), bytes);
    ad_status s = in ? AD_OK : refuse(report, AD_NO_MEMORY, "out of memory");
    for (int i = 0; !s && i < n; i++) {
        if (!x[i] || ad_tensor_dtype(x[i]) == AD_I32)
            s = refuse(report, x[i] ? AD_BAD_DTYPE : AD_NULL, "an input is null, or of integers");
        else
            in[i].value = tensor_array(x[i]);
    }
    if (!s) {
        check c = {.f = f, .user = user, .n = n, .in = in, .options = options, .report = report};
        s = check_all(&c, NULL);
    }
    memory_give(context_or_default(NULL), in, bytes);
    return s;
}
