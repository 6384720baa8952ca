// SPDX-License-Identifier: MIT
#include "client/cmd/lines.h"

#include <errno.h>
#include <unistd.h>

enum { READ_BYTES = 256 << 10 };

enum lines_status lines_next(struct lines *l, struct bytes *line)
{
    const uint8_t *lf = l->b.n > l->scanned ? memchr(l->b.p + l->scanned, '\n', l->b.n - l->scanned)
                                            : NULL;

    if (lf) {
        *line = bytes_of(l->b.p + l->at, (size_t)(lf - l->b.p) - l->at);
        l->at = l->scanned = (size_t)(lf - l->b.p) + 1;
        return LINES_OK;
    }
    l->scanned = l->b.n;
    if (l->b.n - l->at > LINE_BYTES_MAX)
        return LINES_TOO_LONG;
    if (!l->ended)
        return LINES_MORE;
    if (l->at == l->b.n)
        return LINES_END;
    *line = bytes_from(buf_view(&l->b), l->at);
    l->at = l->b.n;
    return LINES_OK;
}

bool lines_fill(struct lines *l)
{
    ssize_t n;

    buf_drop(&l->b, l->at);
    l->scanned -= l->at;
    l->at = 0;
    n = read(l->fd, buf_reserve(&l->b, READ_BYTES), READ_BYTES);
    if (n < 0)
        return errno == EAGAIN || errno == EINTR;
    l->b.n += (size_t)n;
    l->ended = n == 0;
    return true;
}

void lines_fini(struct lines *l)
{
    buf_fini(&l->b);
}
