/* tangent8.c - scalar operations over duals with eight directions */
#define AD_PLAIN
#define AD_DUAL_WIDTH 8
#define TANGENT_NAME  tangent_scalar_8
#include "tangent_scalar.h"
