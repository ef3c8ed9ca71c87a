/* scalar.c - the names by which the scalar cases are asked for */
#include "scalar.h"

const char *const case_names[CASE_COUNT] = {
    [CASE_SMALL] = "small",           [CASE_MLP] = "mlp",
    [CASE_CHAIN] = "chain",           [CASE_ROTATION] = "rotation",
    [CASE_ROSENBROCK] = "rosenbrock", [CASE_PRODUCT] = "product",
};
