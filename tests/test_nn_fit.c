/* test_nn_fit.c */
#include "expect.h"
#include "nn.h"

int main(void)
{
    return 0;
}
