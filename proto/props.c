// SPDX-License-Identifier: MIT
#include "proto/props.h"

#include "base/check.h"
#include "base/reader.h"

/* One pair for each wire type of PROPS_FIELDS. */
#define GET_s(r) reader_bytes8(r)
#define GET_o(r) reader_u8(r)
#define GET_T(r) reader_u64(r)
#define GET_F(r) reader_bytes32(r)

#define PUT_s put_shortstr
#define PUT_o buf_u8
#define PUT_T buf_u64
#define PUT_F put_longstr

static const unsigned known_flags =
#define X(bit, name, type) PROPS_##name |
    PROPS_FIELDS(X)
#undef X
        0;

static void put_shortstr(struct buf *out, struct bytes v)
{
    CHECK(v.n <= UINT8_MAX);
    buf_u8(out, (uint8_t)v.n);
    buf_bytes(out, v);
}

static void put_longstr(struct buf *out, struct bytes v)
{
    CHECK(v.n <= UINT32_MAX);
    buf_u32(out, (uint32_t)v.n);
    buf_bytes(out, v);
}

bool props_decode(struct bytes in, struct props *out)
{
    struct reader r = reader_over(in);
    struct props p = { .flags = reader_u16(&r) };

    /* Bit 0 would announce a second word of flags, and no such word is defined. */
    if (r.failed || p.flags & ~known_flags)
        return false;
#define X(bit, name, type)      \
    if (p.flags & PROPS_##name) \
        p.name = GET_##type(&r);
    PROPS_FIELDS(X)
#undef X
    if (r.failed || r.left > 0)
        return false;
    *out = p;
    return true;
}

void props_encode(struct buf *out, const struct props *p)
{
    CHECK(!(p->flags & ~known_flags));
    buf_u16(out, p->flags);
#define X(bit, name, type)       \
    if (p->flags & PROPS_##name) \
        PUT_##type(out, p->name);
    PROPS_FIELDS(X)
#undef X
}
