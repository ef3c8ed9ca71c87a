/* optimizer_paths.c - ways down one valley: the optimizers of lectures 000, 002 and 004
 *
 *     optimizer_paths [FILE.svg]     optimizer_paths.svg where not said
 *
 * The valley is f = ½ u² + 25/2 v², 25 times as steep across (v) as along (u). Its lines of equal
 * height are ellipses, and for descent with and without momentum the best rates are known by
 * formula. Every other rule gets the rate that brings it down, to stay, in the fewest steps, of
 * three per decade. Then the valley is turned: to some rules that makes no difference; to those
 * that scale each coordinate by its own gradients it does. */
#include "lesson.h"

#include <stdlib.h>

static const double steep = 25, pi = 3.14159265358979323846;
static const double start[2] = {-4, 1}; /* along, across: f = 20.5 */
static const double turn = 30;          /* degrees */

enum { STEPS = 500, ALONG_AXES = 0, TURNED = 1, VALLEYS = 2 };

typedef struct valley {
    double cosine, sine; /* of the angle by which it is turned */
} valley;

static ad_var height(ad_var x, ad_var y, const valley *v)
{
    ad_var along = ad_add(ad_mul(v->cosine, x), ad_mul(v->sine, y));
    ad_var across = ad_sub(ad_mul(v->cosine, y), ad_mul(v->sine, x));
    return ad_add(ad_mul(.5, ad_square(along)), ad_mul(.5 * steep, ad_square(across)));
}

static void place(const valley *v, double along, double across, double xy[2])
{
    xy[0] = v->cosine * along - v->sine * across;
    xy[1] = v->sine * along + v->cosine * across;
}

typedef struct walk {
    int n; /* steps */
    double x[STEPS + 1], y[STEPS + 1], f[STEPS + 1];
} walk;

/* ---- rules ---------------------------------------------------------------------------------- */

enum { SGD, MOMENTUM, NESTEROV, ADAGRAD, RMSPROP, ADADELTA, ADAM, ADAMAX, NADAM, RULES };
static const char *const names[RULES] = {"SGD",      "momentum", "Nesterov", "Adagrad", "RMSprop",
                                         "Adadelta", "Adam",     "AdaMax",   "NAdam"};

/* By formula for curvatures 1 and `steep`: Polyak 1964; Lessard, Recht and Packard 2016. */
static double best_momentum(int rule)
{
    double root = rule == MOMENTUM ? sqrt(steep) : sqrt(3 * steep + 1);
    double m = rule == MOMENTUM ? (root - 1) / (root + 1) : (root - 2) / (root + 2);
    return rule == MOMENTUM ? m * m : m;
}

static double rate_by_formula(int rule)
{
    switch (rule) {
    case SGD:
        return 2 / (1 + steep);
    case MOMENTUM:
        return 4 / ((1 + sqrt(steep)) * (1 + sqrt(steep)));
    case NESTEROV:
        return 4 / (3 * steep + 1);
    default:
        return 0; /* none: has to be tried */
    }
}

static nn_optimizer optimizer(int rule, double rate)
{
    nn_optimizer o;
    switch (rule) {
    case SGD:
        return nn_sgd(rate);
    case MOMENTUM:
        return nn_momentum(rate, best_momentum(rule));
    case NESTEROV:
        return nn_nesterov(rate, best_momentum(rule));
    case ADAGRAD:
        return nn_adagrad(rate);
    case RMSPROP:
        o = nn_rmsprop(rate);
        o.alpha = .9; /* the memory of .99 is too long for a walk of some 100 steps */
        return o;
    case ADADELTA:
        return nn_adadelta(rate);
    case ADAM:
        return nn_adam(rate);
    case ADAMAX:
        return nn_adamax(rate);
    default:
        return nn_nadam(rate);
    }
}

/* f and one step of the optimizer as a program: a run gives x, y and f before its step. */
static ad_program *record(lesson *l, const valley *v, nn_moments *moments, ad_param *const *p)
{
    ad_tape *t = ad_tape_new(NULL);
    ad_var w[2] = {ad_use(t, p[0]), ad_use(t, p[1])}, g[2], rate = ad_input(t, 0);
    const ad_var rates[2] = {rate, rate};
    ad_var f = height(w[0], w[1], v);
    ad_gradients(f, 2, w, g);
    nn_record_step(moments, t, w, g, rates, NULL);
    const ad_var out[3] = {w[0], w[1], f};
    ad_program *program = ad_program_capture(t, 1, &rate, 3, out, AD_VALUES);
    lesson_tape_free(l, t);
    return program;
}

static void run_rule(lesson *l, ad_workspace *space, double rate, int steps, walk *w)
{
    for (w->n = 0;; w->n++) {
        double out[3] = {NAN, NAN, NAN};
        if (!lesson_ok(l, ad_run(space, &rate, out), ad_workspace_error(space)))
            return;
        w->x[w->n] = out[0];
        w->y[w->n] = out[1];
        w->f[w->n] = out[2];
        if (w->n == steps || !(out[2] < 1e9)) /* far away */
            return;
    }
}

static void descend(lesson *l, nn_optimizer o, const valley *v, int steps, walk *w)
{
    nn_error error = {0};
    double xy[2];
    ad_param *p[2];
    place(v, start[0], start[1], xy);
    for (int i = 0; i < 2; i++) {
        ad_tensor *value = ad_tensor_from(NULL, AD_F64, 0, NULL, &xy[i]);
        p[i] = ad_param_new(i ? "y" : "x", value, true); /* takes the tensor over */
    }
    nn_moments *moments = nn_moments_new(&o, 2, p, NULL, &error);
    ad_program *program = lesson_ok(l, error.status, error.text) ? record(l, v, moments, p) : NULL;
    ad_workspace *space = ad_workspace_new(program);
    *w = (walk){0};
    run_rule(l, space, o.rate, steps, w);
    ad_workspace_free(space);
    ad_program_free(program);
    nn_moments_free(moments);
    ad_param_free(p[0]);
    ad_param_free(p[1]);
}

/* The step from which on f is below; -1: none. */
static int steps_to(const walk *w, double below)
{
    int i = w->n;
    while (i >= 0 && w->f[i] < below)
        i--;
    return i == w->n ? -1 : i + 1;
}

/* The largest rate that is tried: the first step of most is about the rate, and should not be
 * longer than the way. Adadelta's is √(ε / (1 - α)) of it. */
static double largest_rate(int rule) { return rule == ADADELTA ? 500 : 2; }

/* Is one walk better: sooner below 1e-6; where neither gets there, below 1e-3; else lower? */
static bool better(const walk *a, const walk *b)
{
    for (double below = 1e-6; below < 1e-2; below *= 1e3) {
        const int m = steps_to(a, below), n = steps_to(b, below);
        if (m >= 0 || n >= 0)
            return m >= 0 && (n < 0 || m < n);
    }
    return a->f[a->n] < b->f[b->n];
}

/* The best rate by formula, or of 1, 2 and 5 times each power of ten; and its walk. */
static double best_rate(lesson *l, int rule, const valley *v, walk *best)
{
    static walk tried;
    static const double digits[3] = {1, 2, 5};
    double found = rate_by_formula(rule), power = .001;
    descend(l, optimizer(rule, found > 0 ? found : power), v, STEPS, best);
    if (found > 0)
        return found;
    found = power;
    for (int i = 1; power * digits[i % 3] < 1.1 * largest_rate(rule); i++) {
        const double rate = power * digits[i % 3];
        descend(l, optimizer(rule, rate), v, STEPS, &tried);
        if (better(&tried, best)) {
            *best = tried;
            found = rate;
        }
        if (i % 3 == 2)
            power *= 10;
    }
    return found;
}

/* ---- L-BFGS --------------------------------------------------------------------------------- */

static ad_var height_at(const ad_var *x, void *user) { return height(x[0], x[1], user); }

typedef struct quest {
    const valley *v;
    walk *walk;
    int evaluations;
} quest;

static double with_gradient(const double *x, double *gradient, void *user)
{
    quest *q = user;
    double value = NAN;
    ad_value_and_gradient(height_at, (void *)(uintptr_t)q->v, 2, x, &value, gradient);
    q->evaluations++;
    return value;
}

static void note(walk *w, const double *x, double f)
{
    w->x[w->n] = x[0];
    w->y[w->n] = x[1];
    w->f[w->n] = f;
}

static bool follow(void *user, const double *x, const nn_lbfgs_result *so_far)
{
    quest *q = user;
    q->walk->n++;
    note(q->walk, x, so_far->value);
    return q->walk->n < STEPS;
}

/* Gives the number of gradients that it took. */
static int descend_lbfgs(lesson *l, const valley *v, walk *w)
{
    quest q = {.v = v, .walk = w};
    double xy[2], g[2];
    nn_error error = {0};
    nn_lbfgs_result result;
    place(v, start[0], start[1], xy);
    w->n = 0;
    note(w, xy, with_gradient(xy, g, &q));
    q.evaluations = 0;
    nn_lbfgs_config config = {.report = follow};
    nn_lbfgs_minimise(with_gradient, &q, 2, xy, &config, &result, &error);
    lesson_ok(l, error.status, error.text);
    return q.evaluations;
}

/* ---- tables --------------------------------------------------------------------------------- */

typedef struct contest {
    valley valley;
    double rate[RULES];
    walk walk[RULES + 1]; /* the last: L-BFGS */
    int evaluations;
} contest;

static void show_steps(const walk *w, double below)
{
    const int n = steps_to(w, below);
    if (n < 0)
        printf("%10s", "not");
    else
        printf("%10d", n);
}

static void show_row(const char *name, const char *rate, const walk *w)
{
    printf("  %-10s %8s", name, rate);
    show_steps(w, 1e-3);
    show_steps(w, 1e-6);
    printf("   (%8.1e, %8.1e)\n", w->x[w->n], w->y[w->n]);
}

static void show_contest(lesson *l, contest *c, const char *title)
{
    lesson_part(title);
    puts("  rule           rate  f < 1e-3  f < 1e-6   the last point");
    for (int i = 0; i < RULES; i++) {
        char rate[32];
        c->rate[i] = best_rate(l, i, &c->valley, &c->walk[i]);
        snprintf(rate, sizeof rate, "%.3g", c->rate[i]);
        show_row(names[i], rate, &c->walk[i]);
    }
    c->evaluations = descend_lbfgs(l, &c->valley, &c->walk[RULES]);
    show_row("L-BFGS", "", &c->walk[RULES]);
    printf("\n  Steps from (-4, 1)%s, f = 20.5, until f stays below; %d in all.\n"
           "  L-BFGS: iterations, with %d gradients in all. RMSprop and Adadelta at a constant\n"
           "  rate do not settle, but circle the minimum: they need a rate that falls.\n",
           c->valley.sine != 0 ? ", which is turned, too" : "", STEPS, c->evaluations);
}

static int needs(const contest *c, int rule) { return steps_to(&c->walk[rule], 1e-6); }

/* How far a walk in the turned valley gets from the walk in the other, turned. */
static double strays(const valley *v, const walk *axes, const walk *turned)
{
    double farthest = 0;
    for (int i = 0; i <= 20 && i <= axes->n && i <= turned->n; i++) {
        double xy[2];
        place(v, axes->x[i], axes->y[i], xy);
        farthest = fmax(farthest, hypot(xy[0] - turned->x[i], xy[1] - turned->y[i]));
    }
    return farthest;
}

static void show_turns(lesson *l, const contest *c)
{
    static walk turned;
    const valley *v = &c[TURNED].valley;
    lesson_part("Is the turned valley the same to them?");
    puts("  If so, its path is the other one, turned. At the same rate, 20 steps: is it\n"
         "  ever off by more than a millionth?\n");
    lesson_table();
    for (int i = 0; i < RULES; i++) {
        descend(l, optimizer(i, c->rate[i]), v, 20, &turned);
        lesson_claim(l, names[i], NULL, strays(v, &c->walk[i], &turned) > 1e-6, i >= ADAGRAD);
    }
    lesson_claim(l, "L-BFGS", NULL, strays(v, &c->walk[RULES], &c[TURNED].walk[RULES]) > 1e-6,
                 false);
    puts("\n  SGD, momentum and L-BFGS know no axes. Adagrad and all after it divide each\n"
         "  coordinate by the size of its own gradients. That makes a valley along the axes\n"
         "  round, but not one that is turned. What they are good at does not show in two\n"
         "  dimensions: gradients of very different sizes from layer to layer, and rates that\n"
         "  need not be known well. And L-BFGS learns all the curvature that there is here in a\n"
         "  few iterations, as it cannot in a million dimensions, or with noise.\n\n"
         "  (AdamW is Adam with a decay of the weights, which here would pull to (0, 0), where\n"
         "  the minimum happens to be.)");
}

static void show_claims(lesson *l, const contest *axes)
{
    static walk fast;
    lesson_part("Momentum, and curvature");
    puts("  Plain descent is slow along the valley because it must not be fast across: above\n"
         "  η = 2/25 it climbs the walls. At its best rate, 2/(1 + 25), both coordinates shrink\n"
         "  by 12/13 a step. Momentum cancels what goes back and forth across, and adds up what\n"
         "  stays the same along: 4/6 a step, in the long run.\n");
    lesson_table();
    lesson_number(l, "SGD at its best rate: steps to 1e-6", NULL, needs(axes, SGD), 106);
    descend(l, nn_sgd(.081), &axes->valley, 200, &fast);
    lesson_claim(l, "SGD at .081: does f fall?", NULL, fast.f[fast.n] < fast.f[0], false);
    lesson_claim(l, "momentum: under half of SGD's steps?", NULL,
                 needs(axes, MOMENTUM) >= 0 && 2 * needs(axes, MOMENTUM) < needs(axes, SGD), true);
    lesson_claim(l, "Nesterov: under half, too?", NULL,
                 needs(axes, NESTEROV) >= 0 && 2 * needs(axes, NESTEROV) < needs(axes, SGD), true);
    lesson_claim(l, "RMSprop: does it settle below 1e-6?", NULL, needs(axes, RMSPROP) >= 0, false);
    lesson_claim(l, "L-BFGS: at most 12 iterations?", NULL,
                 needs(axes, RULES) >= 0 && needs(axes, RULES) <= 12, true);
}

/* ---- the first step of Adam ----------------------------------------------------------------- */

/* RMSprop with momentum, as the slide has it: both means begin at 0, and nothing is corrected. */
static double uncorrected_step(lesson *l, double gradient)
{
    ad_tape *t = ad_tape_new(NULL);
    ad_var g = ad_input(t, gradient);
    ad_var m = ad_mul(1 - .9, g), v = ad_mul(1 - .999, ad_square(g));
    double step = ad_value(ad_div(m, ad_sqrt(v)));
    lesson_tape_free(l, t);
    return step;
}

static void show_first_step(lesson *l, const valley *v)
{
    static walk w;
    const double rate = .01;
    lesson_part("Adam's first step");
    puts("  Lecture 000: 'Adam (RMSprop + momentum)'. It leaves out the correction of the means,\n"
         "  which begin at 0: m / (1 - .9^t) and v / (1 - .999^t). With it the first step is\n"
         "  g / |g|, one rate in every coordinate, for any gradient. Without, it is\n"
         "  .1 / √.001 rates.\n");
    lesson_table();
    descend(l, nn_adam(rate), v, 1, &w);
    lesson_formula(l, "g = -4: the step, in rates", uncorrected_step(l, 4),
                   (w.x[1] - w.x[0]) / rate, 4 / (4 + 1e-8)); /* ε is 1e-8 */
    lesson_formula(l, "g = 25: the step, in rates", uncorrected_step(l, -25),
                   (w.y[1] - w.y[0]) / rate, -25 / (25 + 1e-8));
    descend(l, nn_sgd(rate), v, 1, &w);
    lesson_number(l, "plain descent, g = -4", NULL, (w.x[1] - w.x[0]) / rate, 4);
    lesson_number(l, "plain descent, g = 25", NULL, (w.y[1] - w.y[0]) / rate, -25);
}

/* ---- the picture ---------------------------------------------------------------------------- */

enum { CONTOURS = 5, AROUND = 1500, CONTOUR_POINTS = CONTOURS * AROUND };

/* Ellipses, in dashes of equal length. */
static void contours(const valley *v, double *x, double *y)
{
    static const double heights[CONTOURS] = {.5, 2, 5, 11, 20.5};
    double length = 0, last[2] = {0, 0};
    for (int i = 0; i < CONTOUR_POINTS; i++) {
        const double angle = 2 * pi * (i % AROUND) / (AROUND - 1);
        const double size = sqrt(2 * heights[i / AROUND]);
        double xy[2];
        place(v, size * cos(angle), size / sqrt(steep) * sin(angle), xy);
        length = i % AROUND ? length + hypot(xy[0] - last[0], xy[1] - last[1]) : 0;
        const bool gap = fmod(length, .1) > .06 || i % AROUND == 0;
        x[i] = gap ? NAN : xy[0];
        y[i] = gap ? NAN : xy[1];
        last[0] = xy[0];
        last[1] = xy[1];
    }
}

static nn_series path_of(const contest *c, int rule)
{
    const walk *w = &c->walk[rule];
    return (nn_series){
        .name = rule < RULES ? names[rule] : "L-BFGS", .n = w->n + 1, .x = w->x, .y = w->y};
}

static void draw(lesson *l, const contest *c, const char *path)
{
    static const int drawn[] = {SGD, MOMENTUM, RMSPROP, ADAGRAD, ADAM, RULES};
    static const int fall[] = {SGD, MOMENTUM, ADAM, RULES};
    static double x[CONTOUR_POINTS], y[CONTOUR_POINTS], step[STEPS + 1];
    nn_series series[7], falls[4];
    for (int i = 0; i <= STEPS; i++)
        step[i] = i;
    for (int i = 0; i < 4; i++) {
        falls[i] = path_of(c, fall[i]);
        falls[i].y = c->walk[fall[i]].f;
        falls[i].x = step;
    }
    lesson_part("Pictures");
    nn_chart chart = {.title = "The height after each step",
                      .x_label = "step",
                      .y_label = "f",
                      .n_series = 4,
                      .series = falls,
                      .log_y = true,
                      .x_high = 110};
    chart.y_low = 1e-6, chart.y_high = 100;
    lesson_chart(l, &chart, NULL, stdout);
    for (int i = 0; i < 6; i++)
        series[i] = path_of(c, drawn[i]);
    contours(&c->valley, x, y);
    /* the seventh is dark grey */
    series[6] = (nn_series){.name = "equal height", .n = CONTOUR_POINTS, .x = x, .y = y};
    chart = (nn_chart){.title = "Ways down a valley, each at its best rate",
                       .x_label = "x",
                       .y_label = "y",
                       .n_series = 7,
                       .series = series,
                       .x_low = -5,
                       .x_high = 1,
                       .y_low = -3.5,
                       .y_high = .8};
    lesson_chart(l, &chart, path, NULL);
}

int main(int argc, char **argv)
{
    static contest contests[VALLEYS];
    contests[ALONG_AXES].valley = (valley){1, 0};
    contests[TURNED].valley = (valley){cos(turn * pi / 180), sin(turn * pi / 180)};
    lesson l;
    lesson_begin(&l, "optimizer_paths", "Ways down a valley");
    show_first_step(&l, &contests[ALONG_AXES].valley);
    show_contest(&l, &contests[ALONG_AXES], "A valley along the axes, f = ½ x² + 25/2 y²");
    show_contest(&l, &contests[TURNED], "The same valley, turned by 30°");
    show_claims(&l, &contests[ALONG_AXES]);
    show_turns(&l, contests);
    draw(&l, &contests[TURNED], argc > 1 ? argv[1] : "optimizer_paths.svg");
    return lesson_end(&l);
}
