/* tangent1.c - scalar operations over duals with one direction */
#define AD_PLAIN
#define AD_DUAL_WIDTH 1
#define TANGENT_NAME  tangent_scalar_1
#include "tangent_scalar.h"
