// SPDX-License-Identifier: MIT
#include "base/err.h"

const char *err_text(enum err e)
{
    switch (e) {
#define X(name, text) \
    case name:        \
        return text;
        ERR_TABLE(X)
#undef X
    }
    return "unknown error";
}
