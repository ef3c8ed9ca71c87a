/* first.c - a whole program that takes one gradient: bench_start measures how long it takes to get
 * there */
#include <stdio.h>

#include <tapegrad/ad.h>

int main(void)
{
    ad_tape *t = ad_tape_new(NULL);
    ad_var x1 = ad_input(t, 2), x2 = ad_input(t, 5);
    ad_status status = ad_backward(ad_add(ad_mul(x1, x2), ad_sin(x1)));
    printf("%.17g %.17g\n", ad_grad(x1), ad_grad(x2));
    fflush(stdout);
    ad_tape_free(t);
    return status != AD_OK;
}
