// SPDX-License-Identifier: MIT
/* format.h - a received message as bytes for people and programs. */
#ifndef CLIENT_CMD_FORMAT_H
#define CLIENT_CMD_FORMAT_H

#include "base/buf.h"
#include "client/cmd/options.h"

/* Appends the message.  RAW: the body; HEADERS: "name:value" lines, an empty line, the
 * body; JSON: one object on one line, with the body as text where it is UTF-8 without
 * NUL, else as "body_base64".  A newline ends it, but for JSON only with `newline`. */
void format_message(struct buf *out, const struct lodge_message *m, enum format format,
                    bool newline);

/* RFC 4648 §4, with padding. */
void format_base64(struct buf *out, struct bytes in);

#endif
