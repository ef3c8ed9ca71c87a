#include <stdio.h>
#include <tapegrad/ad.h>

int main(void)
{
    ad_tape *t = ad_tape_new(NULL);
    ad_var x1 = ad_input(t, 2), x2 = ad_input(t, 5);
    ad_var y = ad_add(ad_mul(x1, x2), ad_sin(x1));
    ad_status status = ad_backward(y);
    printf("y = %f, gradient (%f, %f)\n", ad_value(y), ad_grad(x1), ad_grad(x2));
    ad_tape_free(t);
    return status != AD_OK;
}
