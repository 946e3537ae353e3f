/* SPDX-License-Identifier: BSD-2-Clause */
/* What the two halves of the parser share: parse.c (script, events, calls) and
 * parse-packet.c (packets). */
#ifndef TESTS_PACKETDRILL_PARSE_H
#define TESTS_PACKETDRILL_PARSE_H

#include "script.h"

struct parser {
    struct script *script;
    struct lexer lexer;
    struct token token; /* in hand */
    bool failed;        /* the first failure is in script->error; everything then falls through */
};

/* Say what is wrong at the token in hand. Returns false. */
__attribute__((format(printf, 2, 3))) bool parser_fail(struct parser *parser, const char *format,
                                                       ...);
void parser_next(struct parser *parser);
bool parser_is_sign(const struct parser *parser, char sign);
bool parser_is_word(const struct parser *parser, const char *word);
/* Take it if it is there. */
bool parser_take_sign(struct parser *parser, char sign);
bool parser_take_word(struct parser *parser, const char *word);
/* Take it or fail. */
bool parser_need_sign(struct parser *parser, char sign);
bool parser_need_int(struct parser *parser, int64_t low, int64_t high, int64_t *value);

/* `< ...` or `> ...`. */
bool parse_packet(struct parser *parser, struct packet_spec *packet);

#endif
