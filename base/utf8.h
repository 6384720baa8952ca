// SPDX-License-Identifier: MIT
/* utf8.h - is it text? (RFC 3629: no surrogates, no overlong forms, up to U+10FFFF) */
#ifndef BASE_UTF8_H
#define BASE_UTF8_H

#include "base/bytes.h"

bool utf8_valid(struct bytes b);

#endif
