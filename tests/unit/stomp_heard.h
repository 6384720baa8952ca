// SPDX-License-Identifier: MIT
/* stomp_heard.h - assertions about the text that wire_hear gives. */
#ifndef TESTS_STOMP_HEARD_H
#define TESTS_STOMP_HEARD_H

#include <check.h>
#include <string.h>

static inline void has(const char *heard, const char *part)
{
    ck_assert_msg(strstr(heard, part) != NULL, "no \"%s\" in \"%s\"", part, heard);
}

static inline void has_not(const char *heard, const char *part)
{
    ck_assert_msg(strstr(heard, part) == NULL, "\"%s\" in \"%s\"", part, heard);
}

static inline void starts(const char *heard, const char *part)
{
    ck_assert_msg(strncmp(heard, part, strlen(part)) == 0, "\"%s\" does not begin \"%s\"", heard,
                  part);
}

static inline unsigned count(const char *heard, const char *part)
{
    unsigned n = 0;

    for (const char *at = heard; (at = strstr(at, part)); at += strlen(part))
        n++;
    return n;
}

#endif
