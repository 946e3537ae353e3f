/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A script in packetdrill's language, as far as this runner takes it: a list of events, each a
 * packet in, a packet out, or a system call, with the time at which it happens.
 */
#ifndef TESTS_PACKETDRILL_SCRIPT_H
#define TESTS_PACKETDRILL_SCRIPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum expr_kind {
    EXPR_INT,      /* number */
    EXPR_WORD,     /* text: a symbol */
    EXPR_STRING,   /* text */
    EXPR_ELLIPSIS, /* ... */
    EXPR_LIST,     /* [children] */
    EXPR_STRUCT,   /* {children}, each with its field's name or none */
    EXPR_OR,       /* children joined by | */
    EXPR_CALL,     /* text(children): htons(8080), inet_addr("...") */
};

struct expr {
    enum expr_kind kind;
    struct expr *next;         /* in its parent */
    struct expr *children;
    unsigned child_cnt;
    const char *field;         /* in a struct: `field = ...` */
    int64_t number;
    const char *text;
    unsigned line, column;
};

enum time_kind {
    TIME_ABSOLUTE,             /* 0.1 */
    TIME_RELATIVE,             /* +0.1 */
    TIME_ANY,                  /* * */
    TIME_RANGE,                /* 0.1~0.2 */
    TIME_RELATIVE_RANGE,       /* +0.1~+0.2 */
};

#define OPTIONS_MAX 40

struct packet_spec {
    bool outbound;
    bool icmp;
    int tos, ttl;              /* -1: any (out), 0 (in) */
    /* TCP */
    uint8_t flags;
    uint32_t seq, payload_len;
    uint32_t ack;
    int32_t win;               /* -1: any */
    uint16_t urg;
    uint16_t source_port, destination_port; /* 0: of the connection */
    bool options_any;          /* <...> */
    uint8_t options[OPTIONS_MAX];
    size_t options_len;
    /* ICMP */
    uint8_t icmp_type, icmp_code;
    uint16_t icmp_mtu, icmp_id;
    bool icmp_error;           /* about a segment: seq, payload_len */
};

struct call_spec {
    const char *name;
    bool blocking;
    int64_t end_us;            /* when it returns; relative if the event is */
    struct expr *args;
    unsigned arg_cnt;
    struct expr *result;
    const char *error;         /* errno's name, or NULL */
    const char *note;          /* "(state, flags)" after the result, ignored */
};

struct event {
    struct event *next;
    unsigned line;
    enum time_kind time_kind;
    int64_t time_us, time_end_us;
    bool is_packet;
    struct packet_spec packet;
    struct call_spec call;
};

struct script_option {
    struct script_option *next;
    const char *name, *value;  /* value may be NULL */
    unsigned line;
};

struct script_block;
struct script {
    char path[512];
    struct script_option *options;
    struct event *events;
    struct script_block *blocks; /* all memory of the above */
    char error[512];             /* path:line:column: what */
};

/* Parse the text of a script. False: script->error says where and why. */
bool script_parse(struct script *script, const char *path, const char *text, size_t len);
/* The same from a file. */
bool script_load(struct script *script, const char *path);
void script_free(struct script *script);
/* Memory that lives as long as the script. */
void *script_alloc(struct script *script, size_t size);

/* ---- tokens (lex.c) ------------------------------------------------------- */

enum token_kind {
    TOKEN_END,
    TOKEN_INT,                 /* number */
    TOKEN_FLOAT,               /* real */
    TOKEN_WORD,
    TOKEN_STRING,              /* without the quotes, escapes resolved */
    TOKEN_ADDRESS,             /* 192.168.0.1 */
    TOKEN_ELLIPSIS,
    TOKEN_OPTION,              /* --name, without the dashes */
    TOKEN_SIGN,                /* one character, in `sign` */
    TOKEN_BAD,                 /* text says why */
};

struct token {
    enum token_kind kind;
    unsigned line, column;
    char sign;
    bool hex;
    int64_t number;
    double real;
    const char *text;          /* as written, or the string's content */
};

struct lexer {
    struct script *script;
    const char *at, *end, *line_start;
    unsigned line;
};

void lexer_init(struct lexer *lexer, struct script *script, const char *text, size_t len);
void lexer_next(struct lexer *lexer, struct token *token);

/* ---- names (symbol.c) ----------------------------------------------------- */

/* The value of a constant (AF_INET, EPOLLIN, EAGAIN, ...); false: no such name. */
bool symbol_value(const char *name, int64_t *value);
/* "EAGAIN" for EAGAIN; "?" for an unknown one. */
const char *symbol_errno(int error);

#endif
