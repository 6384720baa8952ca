// SPDX-License-Identifier: MIT
/* main.c - runs every suite of tests/unit: test_NAME.c exports NAME_suite().
 *
 * Arguments name the suites to run; none means all.  CK_FORK=no keeps the tests
 * in this process, as sanitizers want it. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Made by the Makefile from the file names: SUITE(buf) SUITE(map) ... */
#define SUITE(name) Suite *name##_suite(void);
#include "suites.inc"
#undef SUITE

static const struct suite {
    const char *name;
    Suite *(*make)(void);
} suites[] = {
#define SUITE(name) { #name, name##_suite },
#include "suites.inc"
#undef SUITE
};

static const struct suite *suite_find(const char *name)
{
    for (size_t i = 0; i < sizeof suites / sizeof *suites; i++)
        if (strcmp(suites[i].name, name) == 0)
            return &suites[i];
    return NULL;
}

static void add_all(SRunner *runner)
{
    for (size_t i = 0; i < sizeof suites / sizeof *suites; i++)
        srunner_add_suite(runner, suites[i].make());
}

int main(int argc, char **argv)
{
    SRunner *runner = srunner_create(NULL);

    (void)setenv("CK_DEFAULT_TIMEOUT", "60", 0); /* a busy machine is no failure */
    for (int i = 1; i < argc; i++) {
        const struct suite *s = suite_find(argv[i]);

        if (!s) {
            (void)fprintf(stderr, "unit: no suite named %s\n", argv[i]);
            srunner_free(runner);
            return EXIT_FAILURE;
        }
        srunner_add_suite(runner, s->make());
    }
    if (argc == 1)
        add_all(runner);
    srunner_run_all(runner, CK_ENV);

    int failed = srunner_ntests_failed(runner);

    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
