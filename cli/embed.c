/* embed.c - files as C: each becomes an array of its lines, named after the file
 *
 * Runs while the command is built, so that the command carries its page's styles and scripts. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

/* "cli/page.css" is page_css. */
static void put_name(const char *path)
{
    const char *name = path;
    for (const char *c = path; *c; c++)
        if (*c == '/' || *c == '\\')
            name = c + 1;
    for (; *name; name++)
        putchar(isalnum((unsigned char)*name) ? *name : '_');
}

static void put_byte(int c)
{
    if (c == '"' || c == '\\' || c == '?') /* no trigraphs */
        printf("\\%c", c);
    else if (c < ' ' || c > '~')
        printf("\\%03o", (unsigned)c);
    else
        putchar(c);
}

static int embed(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (!file)
        return fprintf(stderr, "embed: cannot open %s\n", path), 1;
    printf("static const char *const ");
    put_name(path);
    printf("[] = {\n");
    int c, begun = 0;
    while ((c = getc(file)) != EOF) {
        if (c == '\r')
            continue;
        fputs(begun ? "" : "    \"", stdout);
        put_byte(c);
        begun = c != '\n';
        fputs(begun ? "" : "\",\n", stdout);
    }
    puts(begun ? "\",\n    0};" : "    0};");
    return fclose(file);
}

int main(int argc, char **argv)
{
    puts("/* made by embed.c */");
    for (int i = 1; i < argc; i++)
        if (embed(argv[i]))
            return 1;
    return fflush(stdout) ? 1 : 0;
}
