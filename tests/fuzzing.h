/* fuzzing.h - what a fuzzer needs to run without a fuzzing engine: files that are named are tried
 *
 * A file that an engine found to fail is so tried again under a debugger. */
#ifndef FUZZING_H
#define FUZZING_H
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* of the arguments of main: 0, or 1 where one cannot be read */
static inline int run_files(int n, char **names)
{
    static uint8_t data[1 << 20];
    int failed = 0;
    for (int i = 1; i < n; i++) {
        FILE *file = fopen(names[i], "rb");
        if (!file) {
            perror(names[i]);
            failed = 1;
            continue;
        }
        const size_t size = fread(data, 1, sizeof data, file);
        fclose(file);
        failed |= LLVMFuzzerTestOneInput(data, size);
    }
    return failed;
}

#endif
