/* trace_quiz.c - asks for the numbers of a trace, and says what went wrong with a wrong one
 *
 * Answers are numbers or expressions in the names of the trace. Each question has two tries. */
#define _POSIX_C_SOURCE 200809L /* fileno */
#include <math.h>
#include <string.h>
#include <unistd.h>

#include "complain.h"
#include "quiz_cause.h"
#include "teach.h"

typedef struct quiz {
    const trace *t;
    const trace_style *style;
    const steps *all;
    FILE *from, *to;
    int number, questions, asked, right, at_once;
    bool left;
} quiz;

enum { USUAL_DIGITS = 3 };

/* ---- questions ---- */

/* Given numbers are no questions, and one contribution is the adjoint already. */
static int questions_of(const quiz *q, const step *s, question out[2])
{
    const trace_node *n = &q->t->nodes[s->node];
    const int digits = q->style->digits_given ? q->style->digits : USUAL_DIGITS;
    question one = {.t = q->t, .all = q->all, .about = s, .digits = digits, .right = s->number};
    if (s->sweep != SWEEP_REVERSE && n->is_input)
        return 0;
    int count = 0;
    if (s->sweep != SWEEP_REVERSE || s->from >= 0)
        out[count++] = one;
    if (s->sweep == SWEEP_REVERSE && s->of > 1 && s->nth == s->of) {
        one.sum = true;
        one.right = n->adjoint[0];
        out[count++] = one;
    }
    return count;
}

static void append_given(const quiz *q, const trace_node *n, int wrt, char out[STEP_TEXT])
{
    char number[32];
    for (int k = 0; k < n->n_parents; k++) {
        const int p = n->parents[k];
        const size_t used = strlen(out);
        const bool again = p < 0 || (k > 0 && n->parents[0] == p) || (k > 1 && n->parents[1] == p);
        if (again)
            continue;
        const trace_node *parent = &q->t->nodes[p];
        trace_number(number, wrt < 0 ? parent->value[0] : parent->tangents[wrt], q->style->digits);
        snprintf(out + used, STEP_TEXT - used, wrt < 0 ? ", %s = %s" : ", d(%s) = %s",
                 parent->label, number);
    }
}

static void question_text(const quiz *q, const question *a, char out[STEP_TEXT])
{
    const step *s = a->about;
    const trace_node *n = &q->t->nodes[s->node];
    char number[32];
    if (s->sweep != SWEEP_REVERSE) {
        snprintf(out, STEP_TEXT, "%s = %.1000s", n->name, n->formula);
        append_given(q, n, -1, out);
    }
    if (s->sweep == SWEEP_TANGENTS) {
        append_given(q, n, s->wrt, out);
        strncat(out, ". Its tangent?", STEP_TEXT - strlen(out) - 1);
    } else if (s->sweep == SWEEP_VALUES) {
        strncat(out, ". Its value?", STEP_TEXT - strlen(out) - 1);
    } else if (a->sum) {
        snprintf(out, STEP_TEXT, "All contributions to %s are known now. Its adjoint?", n->label);
    } else {
        const trace_node *from = &q->t->nodes[s->from];
        snprintf(out, STEP_TEXT, "%s = %.1000s has the adjoint %s", from->name, from->formula,
                 trace_number(number, from->adjoint[0], q->style->digits));
        append_given(q, from, -1, out);
        const size_t used = strlen(out);
        snprintf(out + used, STEP_TEXT - used, ". What does it contribute to the adjoint of %s?",
                 n->label);
    }
}

static void answer_text(const quiz *q, const question *a, char out[STEP_TEXT])
{
    char number[32];
    const trace_node *n = &q->t->nodes[a->about->node];
    if (!a->sum) {
        step_reason(q->t, a->about, q->style->digits, out);
        return;
    }
    snprintf(out, STEP_TEXT, "the adjoint of %s is the sum of its %d contributions: ", n->label,
             a->about->of);
    int said = 0;
    for (int i = 0; i < q->all->n; i++) {
        const step *s = &q->all->all[i];
        const size_t used = strlen(out);
        if (s->sweep != SWEEP_REVERSE || s->node != a->about->node)
            continue;
        trace_number(number, s->number, q->style->digits);
        snprintf(out + used, STEP_TEXT - used,
                 !said            ? "%s"
                 : *number == '-' ? " + (%s)"
                                  : " + %s",
                 number);
        said++;
    }
    const size_t used = strlen(out);
    snprintf(out + used, STEP_TEXT - used, " = %s",
             trace_number(number, a->right, q->style->digits));
}

/* ---- answers ---- */

/* false and what is wrong with it. */
static bool evaluate(const quiz *q, const char *line, double *answer, char wrong[TRACE_WRONG])
{
    ad_parse_error error;
    ad_tape *tape = ad_tape_new(NULL);
    ad_env *env = ad_env_new(tape);
    ad_expression *e = ad_parse(line, &error);
    bool good = env != NULL;
    for (int i = 0; good && i < q->t->n; i++)
        good = !ad_env_set(env, q->t->nodes[i].name, ad_constant(q->t->nodes[i].value[0]));
    for (int i = 0; good && i < q->t->n; i++) /* an input may be called v1, too */
        good = !ad_env_set(env, q->t->nodes[i].label, ad_constant(q->t->nodes[i].value[0]));
    if (!e)
        good = complain_at(wrong, "", line, &error);
    else if (!good)
        complain(wrong, "out of memory");
    else {
        const ad_var y = ad_record_expression(env, e, NULL);
        *answer = ad_value(y);
        good = ad_tape_status(tape) ? complain(wrong, "%s", ad_tape_error(tape))
               : ad_is_tensor(y)    ? complain(wrong, "that is a tensor; wanted is a number")
               : isfinite(*answer)  ? true
                                    : complain(wrong, "that is no finite number");
    }
    ad_expression_free(e);
    ad_env_free(env);
    ad_tape_free(tape);
    return good;
}

static bool is_word(const quiz *q, const char *line, const char *word)
{
    for (int i = 0; i < q->t->n; i++)
        if (strcmp(q->t->nodes[i].label, line) == 0)
            return false;
    return strcmp(line, word) == 0;
}

typedef enum reply { REPLY_NUMBER, REPLY_SKIP, REPLY_LEAVE } reply;

/* Asks until there is a number, or there will be none. */
static reply read_answer(quiz *q, double *answer)
{
    char line[TEACH_LINE], wrong[TRACE_WRONG];
    for (;;) {
        fputs("> ", q->to);
        fflush(q->to);
        if (!teach_line(q->from, line))
            return fputc('\n', q->to), REPLY_LEAVE;
        if (!isatty(fileno(q->from))) /* nobody has seen it being typed */
            fprintf(q->to, "%s\n", line);
        if (is_word(q, line, "q") || is_word(q, line, "quit"))
            return REPLY_LEAVE;
        if (is_word(q, line, "skip"))
            return REPLY_SKIP;
        if (!*line || is_word(q, line, "?") || is_word(q, line, "help"))
            fputs("a number or an expression, such as -0.416 or cos(2); skip: the answer; q: "
                  "quit\n",
                  q->to);
        else if (evaluate(q, line, answer, wrong))
            return REPLY_NUMBER;
        else
            fprintf(q->to, "%s\n", wrong);
    }
}

static void put_verdict(const quiz *q, bool right, const char *text)
{
    const char *on = !q->style->color ? "" : right ? "\033[32m" : "\033[31m";
    fprintf(q->to, "%s%s%s", on, right ? "Right" : "No", q->style->color ? "\033[0m" : "");
    if (!right)
        fputs(*text ? ": " : ".", q->to);
    put_wrapped(q->to, text, 78, 4);
}

static void put_answer(const quiz *q, const question *a)
{
    char text[STEP_TEXT];
    answer_text(q, a, text);
    fputs("    ", q->to);
    put_wrapped(q->to, text, 78, 4);
}

static void ask(quiz *q, const question *a)
{
    enum { TRIES = 2 };
    char text[STEP_TEXT], tail[STEP_TEXT];
    double answer = 0;
    question_text(q, a, text);
    fprintf(q->to, "\n%2d/%d ", q->number, q->questions);
    put_wrapped(q->to, text, 78, 6);
    for (int try = 1; try <= TRIES; try++) {
        const reply r = read_answer(q, &answer);
        q->left = r == REPLY_LEAVE;
        if (q->left)
            return;
        q->asked += try == 1;
        if (r == REPLY_SKIP)
            break;
        if (quiz_agrees(answer, a->right, a->digits)) {
            q->right++;
            q->at_once += try == 1;
            snprintf(tail, sizeof tail, ", %s", trace_number(text, a->right, q->style->digits));
            put_verdict(q, true, tail);
            return;
        }
        quiz_cause(a, answer, text);
        put_verdict(q, false, text);
    }
    put_answer(q, a);
}

/* ---- the quiz ---- */

static void put_head(const quiz *q)
{
    char number[32];
    fprintf(q->to, "%s", q->t->text);
    for (int i = 0, said = 0; i < q->t->n; i++)
        if (q->t->nodes[i].is_input)
            fprintf(q->to, "%s %s = %s", said++ ? "," : " at", q->t->nodes[i].label,
                    trace_number(number, q->t->nodes[i].value[0], q->style->digits));
    fprintf(q->to,
            "\n%d questions; answers are numbers or expressions, %d significant digits will do.\n"
            "skip: the answer; q: quit.\n",
            q->questions, q->style->digits_given ? q->style->digits : USUAL_DIGITS);
}

static void ask_all(quiz *q)
{
    question some[2];
    step_sweep before = SWEEP_VALUES;
    for (int i = 0; i < q->all->n && !q->left; i++) {
        const step *s = &q->all->all[i];
        const int count = questions_of(q, s, some);
        if (s->sweep == SWEEP_REVERSE && before != SWEEP_REVERSE)
            fprintf(q->to, "\nNow back from the result: the adjoint of %s is 1, the seed.\n",
                    q->t->nodes[q->t->result].name);
        before = s->sweep;
        for (int k = 0; k < count && !q->left; k++) {
            q->number++;
            ask(q, &some[k]);
        }
    }
}

bool trace_quiz(const trace *t, const trace_style *style, FILE *to)
{
    const trace_mode mode = style->mode == TRACE_FORWARD ? TRACE_FORWARD : TRACE_REVERSE;
    question some[2];
    steps *all = steps_new(t, mode);
    if (!all)
        return false;
    quiz q = {.t = t, .style = style, .all = all, .from = stdin, .to = to};
    for (int i = 0; i < all->n; i++)
        q.questions += questions_of(&q, &all->all[i], some);
    put_head(&q);
    ask_all(&q);
    fprintf(to, "\nScore: %d of %d right, %d at the first try.\n", q.right, q.asked, q.at_once);
    steps_free(all);
    return true;
}
