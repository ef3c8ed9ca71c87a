/* curve_svg.h - learning curves as a picture */
#ifndef CURVE_SVG_H
#define CURVE_SVG_H
#include "digits.h"

/* Writes training loss and test accuracy, epoch by epoch, one line a run; false if the file cannot
 * be written. */
bool curve_write(const char *path, int runs, const history *h, double median);

#endif
