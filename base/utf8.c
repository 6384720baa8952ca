// SPDX-License-Identifier: MIT
#include "base/utf8.h"

/* How many bytes follow the lead byte, and the smallest code point that needs
 * so many; -1 for a byte that cannot lead. */
static int trail_count(uint8_t lead, uint32_t *value, uint32_t *least)
{
    if (lead < 0xc2 || lead > 0xf4)
        return -1;
    if (lead < 0xe0) {
        *value = lead & 0x1f;
        *least = 0x80;
        return 1;
    }
    if (lead < 0xf0) {
        *value = lead & 0x0f;
        *least = 0x800;
        return 2;
    }
    *value = lead & 0x07;
    *least = 0x10000;
    return 3;
}

bool utf8_valid(struct bytes b)
{
    size_t i = 0;

    while (i < b.n) {
        uint32_t value, least;
        uint8_t lead = b.p[i++];

        if (lead < 0x80)
            continue;
        int more = trail_count(lead, &value, &least);
        if (more < 0)
            return false;
        for (; more > 0; more--, i++) {
            if (i == b.n || (b.p[i] & 0xc0) != 0x80)
                return false;
            value = value << 6 | (b.p[i] & 0x3f);
        }
        if (value < least || value > 0x10ffff || (value >= 0xd800 && value <= 0xdfff))
            return false;
    }
    return true;
}
