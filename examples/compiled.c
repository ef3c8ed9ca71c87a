/* compiled.c - a network of 64-64-64-1 neurons, written number by number, and what compiling makes
 * of it: products of matrices, then machine code */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <tapegrad/ad.h>

enum { WIDTH = 64, INPUTS = WIDTH + 2 * (WIDTH * WIDTH + WIDTH) + WIDTH + 1 };

/* z = b + w a, for one neuron */
static ad_var neuron(const ad_var *w, const ad_var *a, ad_var b)
{
    ad_var z = b;
    for (int i = 0; i < WIDTH; i++)
        z = ad_add(z, ad_mul(w[i], a[i]));
    return z;
}

static ad_var network(const ad_var *x)
{
    const ad_var *a = x, *w = x + WIDTH;
    ad_var hidden[2][WIDTH];
    for (int layer = 0; layer < 2; layer++) {
        const ad_var *b = w + WIDTH * WIDTH;
        for (int j = 0; j < WIDTH; j++)
            hidden[layer][j] = ad_tanh(neuron(w + j * WIDTH, a, b[j]));
        a = hidden[layer];
        w = b + WIDTH;
    }
    return neuron(w, a, w[WIDTH]);
}

static double microseconds(ad_workspace *w, const double *x, double *out)
{
    enum { TIMES = 1000 };
    struct timespec begin, end;
    timespec_get(&begin, TIME_UTC);
    for (int i = 0; i < TIMES; i++)
        ad_run(w, x, out);
    timespec_get(&end, TIME_UTC);
    return ((double)(end.tv_sec - begin.tv_sec) * 1e6 +
            (double)(end.tv_nsec - begin.tv_nsec) * 1e-3) /
           TIMES;
}

int main(void)
{
    static double at[INPUTS], out[INPUTS + 1];
    static ad_var x[INPUTS];
    ad_tape *t = ad_tape_new(NULL);
    for (int i = 0; i < INPUTS; i++) {
        at[i] = .2 * sin(1 + 1.7 * i);
        x[i] = ad_input(t, at[i]);
    }
    ad_var y = network(x);
    ad_program *captured = ad_program_capture(t, INPUTS, x, 1, &y, AD_GRADIENT);
    ad_program *compiled =
        ad_compile(t, INPUTS, x, 1, &y, &(ad_compile_config){.want = AD_GRADIENT});
    ad_workspace *slow = ad_workspace_new(captured), *fast = ad_workspace_new(compiled);
    if (!captured || !compiled) {
        fprintf(stderr, "%s\n", ad_tape_error(t));
        return 1;
    }
    ad_program_stats s = ad_program_stats_of(compiled);
    printf("%lld operations recorded, %lld with their derivatives, %lld lines compiled\n",
           (long long)s.recorded, (long long)s.instructions, (long long)s.lines);
    printf("gradient, replayed:  %8.1f us\n", microseconds(slow, at, out));
    printf("gradient, compiled:  %8.1f us\n", microseconds(fast, at, out));
    if (ad_program_native(compiled, NULL) == AD_OK)
        printf("as machine code:     %8.1f us\n", microseconds(fast, at, out));
    else
        printf("no machine code: %s\n", ad_program_note(compiled));
    ad_workspace_free(slow);
    ad_workspace_free(fast);
    ad_program_free(captured);
    ad_program_free(compiled);
    ad_tape_free(t);
    return 0;
}
