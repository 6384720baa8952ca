// SPDX-License-Identifier: MIT
/* err.h - the one result code for things that can go wrong in the world.
 *
 * A peer's fault is a protocol reply, our own fault is a CHECK(); what is left
 * (disk, descriptors, limits, look-ups by name) is an enum err. */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#define ERR_TABLE(X)                              \
    X(OK, "ok")                                   \
    X(ERR_NOT_FOUND, "not found")                 \
    X(ERR_EXISTS, "exists with other properties") \
    X(ERR_LOCKED, "in use by another connection") \
    X(ERR_REFUSED, "refused")                     \
    X(ERR_INVALID, "invalid")                     \
    X(ERR_LIMIT, "limit reached")                 \
    X(ERR_IN_USE, "in use")                       \
    X(ERR_NOT_EMPTY, "not empty")                 \
    X(ERR_IO, "input/output error")               \
    X(ERR_CORRUPT, "damaged data")                \
    X(ERR_VERSION, "written by a newer version")

enum err {
#define X(name, text) name,
    ERR_TABLE(X)
#undef X
};

/* Never NULL; static. */
const char *err_text(enum err e);

#define MUST_USE __attribute__((warn_unused_result))

#endif
