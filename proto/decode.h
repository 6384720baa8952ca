// SPDX-License-Identifier: MIT
/* decode.h - what every decoder of this folder answers.
 *
 * Codecs are pure: bytes in, views out; no allocation, no clock, no connection.
 * Any cut of the input gives the same result as the whole. */
#ifndef PROTO_DECODE_H
#define PROTO_DECODE_H

enum decode {
    DECODE_OK,   /* one unit was decoded */
    DECODE_MORE, /* nothing was used that was not said to be used; come again with more */
    DECODE_BAD   /* the peer broke the protocol: answer in its words and close */
};

#endif
