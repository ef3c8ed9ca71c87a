/* guards.c - branches: what a recorded program does when C's own `if` would go the other way
 *
 * A tape holds the operations of the branch that was taken. ad_lt and its like leave a guard beside
 * them: a replay that would take the other branch says AD_RETAPE instead of giving a wrong number,
 * and the caller records again. Where both sides are cheap, ad_where records both, and nothing
 * needs recording again. */
#include <stdio.h>

#include <tapegrad/ad.h>

/* air resistance: in proportion to the speed when slow, to its square when fast */
static ad_var drag(ad_var speed)
{
    if (ad_lt(speed, 1))
        return speed;
    return ad_square(speed);
}

static ad_var drag_both(ad_var speed)
{
    return ad_where(ad_less(speed, 1), speed, ad_square(speed));
}

static void show(const char *how, double speed, ad_var y, ad_var x)
{
    printf("  speed %.1f: drag %.2f, derivative %.2f (%s)\n", speed, ad_value(y), ad_grad(x), how);
}

static ad_status replay_guarded(ad_tape *t)
{
    const double speeds[] = {0.5, 0.8, 1.5, 2.5};
    ad_var x = ad_input(t, 0.2), y = drag(x);
    ad_status s = AD_OK;
    for (int i = 0; i < 4 && !s; i++) {
        const char *how = "replayed";
        ad_set(x, speeds[i]);
        s = ad_replay(t);
        if (s == AD_RETAPE) {
            printf("  %s\n", ad_tape_error(t));
            how = "recorded again";
            ad_reset(t); /* clears the error, too */
            x = ad_input(t, speeds[i]);
            y = drag(x);
            s = ad_tape_status(t);
        }
        if (!s)
            s = ad_backward(y);
        if (!s)
            show(how, speeds[i], y, x);
    }
    return s;
}

static ad_status replay_both(ad_tape *t)
{
    ad_var x = ad_input(t, 0.2), y = drag_both(x);
    ad_status s = ad_set(x, 1.5);
    if (!s)
        s = ad_replay(t);
    if (!s)
        s = ad_backward(y);
    if (!s)
        show("replayed", 1.5, y, x);
    return s;
}

int main(void)
{
    ad_tape *t = ad_tape_new(NULL);
    puts("With a guard:");
    ad_status s = replay_guarded(t);
    ad_reset(t);
    if (!s) {
        puts("With ad_where:");
        s = replay_both(t);
    }
    if (s)
        fprintf(stderr, "guards: %s: %s\n", ad_status_name(s), ad_tape_error(t));
    ad_tape_free(t);
    return s != AD_OK;
}
