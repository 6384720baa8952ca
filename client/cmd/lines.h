// SPDX-License-Identifier: MIT
/* lines.h - a file descriptor as lines, without waiting longer than one read.
 *
 * A line is a view without its newline, valid until the next call.  The last one may
 * lack the newline.  Owner: the caller; the descriptor stays its own. */
#ifndef CLIENT_CMD_LINES_H
#define CLIENT_CMD_LINES_H

#include "base/buf.h"

enum { LINE_BYTES_MAX = 64 << 20 };

struct lines {
    int fd;
    struct buf b;
    size_t at, scanned; /* of b: where the next line begins; searched up to here */
    bool ended;         /* end of file was read */
};

enum lines_status { LINES_OK, LINES_MORE, LINES_END, LINES_TOO_LONG };

/* MORE: lines_fill has to read first. */
enum lines_status lines_next(struct lines *l, struct bytes *line);

/* One read; false: it failed, errno says why.  EAGAIN counts as nothing read. */
bool lines_fill(struct lines *l);
void lines_fini(struct lines *l);

#endif
