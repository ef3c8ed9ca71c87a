/* point.c - the values of inputs, as --at gives them: "x1=2,x2=5", "W=[1,2;3,4]"
 *
 * To the language that is a row of definitions, so that values may be expressions, too. */
#include "point.h"

#include <stdlib.h>
#include <string.h>

static bool no_memory(char wrong[TRACE_WRONG]) { return complain(wrong, "out of memory"); }

/* Commas outside of brackets separate definitions: they become semicolons. */
static char *definitions_of(const char *at)
{
    char *text = malloc(strlen(at) + 1);
    int open = 0;
    if (text)
        strcpy(text, at);
    for (char *c = text; c && *c; c++) {
        open += *c == '(' || *c == '[';
        open -= *c == ')' || *c == ']';
        if (*c == ',' && open == 0)
            *c = ';';
    }
    return text;
}

bool point_read(point *p, const char *at, char wrong[TRACE_WRONG])
{
    ad_parse_error error;
    p->tape = ad_tape_new(NULL);
    p->values = ad_env_new(p->tape);
    if (!p->values)
        return no_memory(wrong);
    if (!at || !*at)
        return true;
    char *text = definitions_of(at);
    if (!text)
        return no_memory(wrong);
    ad_expression *e = ad_parse(text, &error);
    free(text);
    if (!e)
        return complain_at(wrong, "--at", at, &error);
    ad_record_expression(p->values, e, NULL);
    ad_expression_free(e);
    return ad_tape_status(p->tape) ? complain(wrong, "--at %s: %s", at, ad_tape_error(p->tape))
                                   : true;
}

void point_free(point *p)
{
    ad_env_free(p->values);
    ad_tape_free(p->tape);
    *p = (point){0};
}

static ad_var input_like(ad_tape *tape, ad_var value)
{
    if (!ad_is_tensor(value))
        return ad_input(tape, ad_value(value));
    double *elements = malloc((size_t)ad_size(value) * sizeof *elements + 1);
    ad_var input = {0};
    if (elements && !ad_read(value, elements))
        input = ad_input_array(tape, AD_F64, ad_rank(value), ad_shape(value), elements);
    free(elements);
    return input;
}

bool point_inputs(const point *p, const ad_expression *e, ad_tape *tape, ad_env *env,
                  char wrong[TRACE_WRONG])
{
    for (int i = 0; i < ad_expression_name_count(e); i++) {
        const char *name = ad_expression_name(e, i);
        const ad_var value = ad_env_get(p->values, name);
        if (!value.tape)
            return complain(wrong, "'%s' has no value: give it one, as in --at %s=2", name, name);
        const ad_var input = input_like(tape, value);
        if (!input.tape || ad_env_set(env, name, input))
            return no_memory(wrong);
    }
    return true;
}
