/* trace_step.c - walks through the sweeps of a trace, one number at a time, forward and back
 *
 * On a terminal the table fills as keys are pressed; anywhere else each line read is a step, so
 * that a walk can be piped. While the terminal is raw, signals are kept: they are let through once
 * it is as it was. */
#define _DEFAULT_SOURCE /* struct winsize */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/select.h>
#include <termios.h>
#include <unistd.h>

#include "command.h"
#include "steps.h"
#include "teach.h"

typedef struct walk {
    const trace *t;
    const trace_style *style;
    steps *s;
    int at;     /* the step shown */
    bool ended; /* forward from the last one */
} walk;

/* ---- going ---- */

static void go(walk *w, int to)
{
    w->ended = to >= w->s->n;
    w->at = to < 0 ? 0 : w->ended ? w->s->n - 1 : to;
}

static bool go_to_sweep(walk *w, step_sweep sweep)
{
    for (int i = 0; i < w->s->n; i++)
        if (w->s->all[i].sweep == sweep)
            return go(w, i), true;
    return false;
}

typedef enum key {
    FORWARD,
    BACK,
    FIRST,
    LAST,
    TO_VALUES,
    TO_TANGENTS,
    TO_REVERSE,
    QUIT,
    STOP,
    DRAW,
    OTHER
} key;

static key key_of_letter(int letter)
{
    static const struct {
        char letter;
        key key;
    } keys[] = {{' ', FORWARD}, {'\r', FORWARD},  {'\n', FORWARD},    {'n', FORWARD},
                {'b', BACK},    {127, BACK},      {8, BACK},          {'g', FIRST},
                {'G', LAST},    {'f', TO_VALUES}, {'t', TO_TANGENTS}, {'r', TO_REVERSE},
                {'q', QUIT},    {3, QUIT},        {4, QUIT},          {26, STOP},
                {12, DRAW}};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (keys[i].letter == letter)
            return keys[i].key;
    return OTHER;
}

static void press(walk *w, key k)
{
    switch (k) {
    case FORWARD:
        go(w, w->at + 1);
        break;
    case BACK:
        go(w, w->ended ? w->at : w->at - 1);
        break;
    case FIRST:
        go(w, 0);
        break;
    case LAST:
        go(w, w->s->n - 1);
        break;
    case TO_VALUES:
        go_to_sweep(w, SWEEP_VALUES);
        break;
    case TO_TANGENTS:
        go_to_sweep(w, SWEEP_TANGENTS);
        break;
    case TO_REVERSE:
        go_to_sweep(w, SWEEP_REVERSE);
        break;
    default:
        break;
    }
}

/* ---- line by line ---- */

enum { CELL = 256 };

static void put_step(const walk *w, FILE *to)
{
    char title[STEP_TEXT], reason[STEP_TEXT];
    const step *s = &w->s->all[w->at];
    step_title(w->t, s, title);
    step_reason(w->t, s, w->style->digits, reason);
    fprintf(to, "[%d/%d] %s\n  ", w->at + 1, w->s->n, title);
    put_wrapped(to, reason, 78, 2);
}

static void put_end(const walk *w, FILE *to)
{
    char cell[CELL];
    const trace_node *y = &w->t->nodes[w->t->result];
    trace_cell(y, y->value, 4, w->style->digits, cell, sizeof cell);
    fprintf(to, "the end: value %s", cell);
    for (int k = 0; k < w->t->n_wrt; k++) {
        const trace_node *x = &w->t->nodes[w->t->wrt[k]];
        trace_cell(x, x->adjoint, 4, w->style->digits, cell, sizeof cell);
        fprintf(to, ", d/d%s = %s", x->label, cell);
    }
    fputc('\n', to);
}

/* A number is a step; words do as their first letters. */
static bool obey_line(walk *w, const char *line, FILE *to)
{
    static const char help[] =
        "Enter: forward, b: back, g and G: first and last, f, t and r: values, tangents and\n"
        "reverse sweep, a number: that step, q: quit\n";
    char *end;
    const long number = strtol(line, &end, 10);
    const key k = *line ? key_of_letter(*line) : FORWARD;
    if (end != line && number >= 1 && number <= w->s->n) {
        go(w, (int)number - 1);
        return put_step(w, to), true;
    }
    if (k == QUIT)
        return false;
    if (k == OTHER || k == DRAW || k == STOP)
        return fputs(help, to), true;
    press(w, k);
    if (!w->ended)
        return put_step(w, to), true;
    return put_end(w, to), false;
}

static void walk_lines(walk *w, FILE *from, FILE *to)
{
    char line[TEACH_LINE];
    const bool asks = isatty(fileno(from)) && isatty(fileno(to));
    put_step(w, to);
    do {
        if (asks)
            fputs("(Enter, b, q) ", to);
        fflush(to);
    } while (teach_line(from, line) && obey_line(w, line, to));
}

/* ---- the screen ---- */

enum { ABOVE = 4, BELOW = 9, SPACE = 2 };

typedef struct screen {
    const walk *w;
    FILE *to;
    int rows, columns;
    int width[3]; /* of node, expression, value */
} screen;

static bool known(const walk *w, int node)
{
    return w->s->all[w->at].sweep != SWEEP_VALUES || node <= w->s->all[w->at].node;
}

/* The last step up to this one that gives the node a number in the present sweep; NULL: none. */
static const step *latest(const walk *w, int node)
{
    const step *now = &w->s->all[w->at];
    for (int i = w->at; i >= 0; i--) {
        const step *s = &w->s->all[i];
        if (s->sweep != now->sweep || s->wrt != now->wrt)
            return NULL;
        if (s->node == node)
            return s;
    }
    return NULL;
}

static void cell_text(const screen *c, int node, int column, char out[CELL])
{
    const trace_node *n = &c->w->t->nodes[node];
    const int digits = c->w->style->digits;
    const step *now = &c->w->s->all[c->w->at], *last = latest(c->w, node);
    *out = 0;
    if (column == 0)
        snprintf(out, CELL, "%s", n->name);
    else if (column == 1)
        snprintf(out, CELL, *n->defined_as ? "%.60s = %.180s" : "%.0s%.180s", n->defined_as,
                 n->formula);
    else if (column == 2 && known(c->w, node))
        trace_cell(n, n->value, 4, digits, out, CELL);
    else if (column == 3 && now->sweep == SWEEP_TANGENTS && n->is_input)
        strcpy(out, node == c->w->t->wrt[now->wrt] ? "1" : "0");
    else if (column == 3 && now->sweep == SWEEP_TANGENTS && last)
        trace_number(out, last->number, digits);
    else if (column == 3 && now->sweep == SWEEP_REVERSE && last && last->nth == last->of)
        trace_cell(n, n->adjoint, 4, digits, out, CELL);
    else if (column == 3 && now->sweep == SWEEP_REVERSE && last) {
        char number[32];
        snprintf(out, CELL, "%s + ...", n->rank ? "" : trace_number(number, last->total, digits));
    }
}

static void head_text(const screen *c, int column, char out[CELL])
{
    static const char *const heads[] = {"node", "expression", "value"};
    const step *s = &c->w->s->all[c->w->at];
    if (column < 3)
        strcpy(out, heads[column]);
    else if (s->sweep == SWEEP_TANGENTS)
        snprintf(out, CELL, "d/d%s", c->w->t->nodes[c->w->t->wrt[s->wrt]].label);
    else
        strcpy(out, s->sweep == SWEEP_REVERSE ? "adjoint" : "");
}

/* Values get the room that they will need, so that nothing moves. */
static void measure(screen *c)
{
    char text[CELL];
    for (int j = 0; j < 3; j++) {
        head_text(c, j, text);
        c->width[j] = teach_width(text);
        for (int i = 0; i < c->w->t->n; i++) {
            if (j == 2)
                trace_cell(&c->w->t->nodes[i], c->w->t->nodes[i].value, 4, c->w->style->digits,
                           text, CELL);
            else
                cell_text(c, i, j, text);
            c->width[j] = teach_width(text) > c->width[j] ? teach_width(text) : c->width[j];
        }
    }
    const int room = c->columns - c->width[0] - c->width[2] - 24; /* what the expression may take */
    if (c->width[1] > room)
        c->width[1] = room > 10 ? room : 10;
}

/* '>' gets a number, '.' is what it is made from. */
static char mark_of(const walk *w, int node)
{
    const step *s = &w->s->all[w->at];
    const trace_node *n = &w->t->nodes[s->node];
    if (node == s->node)
        return '>';
    if (s->sweep == SWEEP_REVERSE)
        return node == s->from ? '.' : ' ';
    for (int k = 0; k < n->n_parents; k++)
        if (n->parents[k] == node)
            return '.';
    return ' ';
}

static void put_line(const screen *c, int node)
{
    char text[CELL];
    const char mark = node < 0 ? ' ' : mark_of(c->w, node);
    const char *color = !c->w->style->color ? ""
                        : mark == '>'       ? "\033[1;32m"
                        : mark == '.'       ? "\033[36m"
                                            : "";
    fprintf(c->to, "%s%c ", color, mark);
    int room = c->columns - 3;
    for (int j = 0; j < 4 && room > 0; j++) {
        if (node < 0)
            head_text(c, j, text);
        else
            cell_text(c, node, j, text);
        const int width = j < 3 ? c->width[j] : room;
        teach_put(c->to, text, width < room ? width : room, j < 3);
        room -= width + SPACE;
        if (j < 3)
            fprintf(c->to, "%*s", SPACE, "");
    }
    fputs(*color ? "\033[0m\n" : "\n", c->to);
}

static void put_rule(const screen *c)
{
    for (int i = 0; i < c->columns - 1; i++)
        fputs(c->w->style->ascii ? "-" : "\xe2\x94\x80", c->to);
    fputc('\n', c->to);
}

static void draw(const walk *w, FILE *to)
{
    struct winsize size;
    char title[STEP_TEXT], reason[STEP_TEXT];
    const step *s = &w->s->all[w->at];
    screen c = {.w = w, .to = to, .rows = 24, .columns = 80};
    if (!ioctl(fileno(to), TIOCGWINSZ, &size) && size.ws_row && size.ws_col)
        c.rows = size.ws_row, c.columns = size.ws_col < 20 ? 20 : size.ws_col;
    measure(&c);
    const int room = c.rows > ABOVE + BELOW + 3 ? c.rows - ABOVE - BELOW : 3;
    int first = w->t->n > room ? s->node - room / 2 : 0;
    first = first > w->t->n - room ? w->t->n - room : first;
    first = first < 0 ? 0 : first;
    step_title(w->t, s, title);
    step_reason(w->t, s, w->style->digits, reason);
    fputs("\033[H\033[2J", to);
    teach_put(to, w->t->text, c.columns - 1, false);
    fprintf(to, "\nstep %d of %d: %.*s\n", w->at + 1, w->s->n, c.columns - 24, title);
    put_line(&c, -1);
    put_rule(&c);
    for (int i = first; i < w->t->n && i < first + room; i++)
        put_line(&c, i);
    put_rule(&c);
    put_wrapped(to, reason, c.columns - 1, 0);
    if (w->ended)
        put_end(w, to);
    fputs("\nspace/right forward  left back  g/G first/last  f/t/r values/tangents/reverse\n"
          "q quit        > gets the number   . it is made from",
          to);
    fflush(to);
}

/* ---- keys ---- */

/* The library's threads take signals, too, so that blocking them here would not do; and handlers
 * have no other way to say what arrived. */
static volatile sig_atomic_t arrived;

static void arrive(int number) { arrived = number; }

static const int kept_signals[] = {SIGINT,  SIGTERM, SIGHUP,  SIGQUIT,
                                   SIGTSTP, SIGALRM, SIGUSR1, SIGUSR2};
enum { KEPT = sizeof kept_signals / sizeof *kept_signals };

typedef struct terminal {
    struct termios before;
    struct sigaction actions[KEPT];
    FILE *to;
} terminal;

static void keep_signals(terminal *c)
{
    struct sigaction action = {.sa_handler = arrive};
    sigemptyset(&action.sa_mask);
    arrived = 0;
    for (int i = 0; i < KEPT; i++)
        if (!sigaction(kept_signals[i], NULL, &c->actions[i]) &&
            c->actions[i].sa_handler != SIG_IGN)
            sigaction(kept_signals[i], &action, NULL);
}

static void release_signals(const terminal *c)
{
    for (int i = 0; i < KEPT; i++)
        sigaction(kept_signals[i], &c->actions[i], NULL);
}

static bool enter(terminal *c)
{
    if (tcgetattr(STDIN_FILENO, &c->before))
        return false;
    struct termios raw = c->before;
    raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO | ISIG | IEXTEN);
    raw.c_iflag &= ~(tcflag_t)(IXON | ICRNL);
    raw.c_cc[VMIN] = 1;
    raw.c_cc[VTIME] = 0;
    keep_signals(c);
    if (tcsetattr(STDIN_FILENO, TCSADRAIN, &raw)) {
        release_signals(c);
        return false;
    }
    fputs("\033[?1049h\033[?25l", c->to);
    return true;
}

static void leave(const terminal *c)
{
    fputs("\033[?25h\033[?1049l", c->to);
    fflush(c->to);
    tcsetattr(STDIN_FILENO, TCSADRAIN, &c->before);
    release_signals(c);
}

/* A signal does now what it does: ends the program, or stops it for a while. */
static bool let_through(terminal *c, int number)
{
    leave(c);
    raise(number);
    return enter(c);
}

/* A byte; -1: none in that time, -2: none ever. */
static int read_byte(int milliseconds)
{
    unsigned char byte;
    struct timeval time = {milliseconds / 1000, milliseconds % 1000 * 1000};
    fd_set set;
    FD_ZERO(&set);
    FD_SET(STDIN_FILENO, &set);
    const int ready = select(STDIN_FILENO + 1, &set, NULL, NULL, &time);
    if (ready <= 0)
        return -1;
    return read(STDIN_FILENO, &byte, 1) == 1 ? byte : -2;
}

/* "ESC [ C" and its like. */
static key read_escape(void)
{
    int c = read_byte(50);
    if (c != '[' && c != 'O')
        return OTHER;
    const int first = c = read_byte(50);
    while ((c >= '0' && c <= '9') || c == ';')
        c = read_byte(50);
    switch (c) {
    case 'C':
    case 'B':
        return FORWARD;
    case 'D':
    case 'A':
        return BACK;
    case 'H':
        return FIRST;
    case 'F':
        return LAST;
    case '~':
        return first == '1' || first == '7' ? FIRST : first == '4' || first == '8' ? LAST : OTHER;
    default:
        return OTHER;
    }
}

static key read_key(void)
{
    int byte;
    while ((byte = read_byte(200)) == -1)
        if (arrived)
            return DRAW;
    return byte == -2 ? QUIT : byte == 27 ? read_escape() : key_of_letter(byte);
}

static bool walk_screen(walk *w, FILE *to)
{
    terminal c = {.to = to};
    key k = DRAW;
    if (!enter(&c))
        return false;
    while (k != QUIT) {
        draw(w, to);
        k = read_key();
        const int number = k == STOP ? SIGTSTP : (int)arrived;
        if (number && !let_through(&c, number)) /* the terminal has gone */
            return true;
        press(w, k);
    }
    leave(&c);
    return true;
}

bool trace_step(const trace *t, const trace_style *style, FILE *to)
{
    const char *kind = getenv("TERM");
    walk w = {.t = t, .style = style, .s = steps_new(t, style->mode)};
    if (!w.s)
        return false;
    const bool on_screen =
        isatty(STDIN_FILENO) && isatty(fileno(to)) && kind && *kind && strcmp(kind, "dumb") != 0;
    if (!on_screen || !walk_screen(&w, to))
        walk_lines(&w, stdin, to);
    steps_free(w.s);
    return true;
}
