// SPDX-License-Identifier: MIT
/* everybody.h - a user who may do everything, for sessions whose permissions are not the point. */
#ifndef TESTS_LIB_EVERYBODY_H
#define TESTS_LIB_EVERYBODY_H

#include "base/check.h"
#include "broker/core/core.h"

static inline void everything_for(struct core *c, const char *user, const char *vhost)
{
    struct core_user u = { .name = bytes_str(user) };

    core_user_put(c, &u);
    CHECK(core_permission_put(c, &(struct def_permission){ core_vhost_find(c, bytes_str(vhost)),
                                                           u.name, BYTES(".*"), BYTES(".*"),
                                                           BYTES(".*") }) == OK);
}

#endif
