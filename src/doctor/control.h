/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The control socket of a running stack: DIR/NAME.sock, one JSON line in, one JSON line out.
 *
 * DIR is $LASTACK_DIR if set. Else the first of these that works: /run/lastack (root only),
 * $XDG_RUNTIME_DIR/lastack, /tmp/lastack-UID (UID as it is outside of a user namespace). Whoever
 * serves takes the first it can make or use; whoever asks looks into all of them. A directory is
 * used only if it is ours and closed to others.
 *
 *   {"do":"info"}                          {"ok":true,"info":{...}}
 *   {"do":"facts"}                         {"ok":true,"facts":[...]}     facts.h
 *   {"do":"end","id":7,"how":"rdwr"}       {"ok":true}
 *   anything that fails                    {"ok":false,"errno":107,"error":"a sentence"}
 */
#ifndef LASTACK_DOCTOR_CONTROL_H
#define LASTACK_DOCTOR_CONTROL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "doctor/facts.h"
#include "doctor/text.h"
#include "lastack.h"

#define CONTROL_PATH_LEN 108 /* as sun_path */
#define CONTROL_NAME_LEN 32  /* with its NUL */
#define CONTROL_DIR_MAX  3
#define CONTROL_WHY_LEN  512

/* ---- names and places ---- */

/* 1 to 31 letters, digits, '.', '_', '-'; the first a letter or digit; not digits alone (those are
 * ids). */
bool control_name_valid(const char *name);
/* Directories in the order of the rules above; returns how many. */
int control_dirs(char dirs[CONTROL_DIR_MAX][CONTROL_PATH_LEN]);

/* ---- requests and replies: text only ---- */

enum control_kind { CONTROL_INFO, CONTROL_FACTS, CONTROL_END };

struct control_request {
    enum control_kind kind;
    uint64_t id; /* END */
    int how;     /* END: SHUT_WR, SHUT_RDWR, LASTACK_END_RST */
};

struct control_info {
    char name[CONTROL_NAME_LEN];
    uint32_t pid;      /* of the supervisor */
    char program[128]; /* what it runs */
    char version[16];
    uint64_t uptime_us;
    char address[LASTACK_ADDRESS_TEXT]; /* of its interface; "" if loopback only */
    struct lastack_usage usage;
};

/* "wr", "rdwr", "rst" <-> SHUT_WR, SHUT_RDWR, LASTACK_END_RST (-1: none of them). */
const char *control_how_name(int how);
int control_how_parse(const char *word);

/* A line with its newline. */
void control_request_format(struct text *out, const struct control_request *request);
/* 0 or -EINVAL with a sentence in `why`. `line` needs no newline. */
int control_request_parse(struct control_request *request, const char *line, char *why,
                          size_t why_len);

void control_reply_info(struct text *out, const struct control_info *info);
void control_reply_facts(struct text *out, const struct facts_list *list);
void control_reply_done(struct text *out);
/* `error` is a positive errno value. */
void control_reply_error(struct text *out, int error, const char *sentence);
/* Error of a request that control_request_parse refused, or a result of lastack_end (0 or -errno).
 */
void control_reply_end(struct text *out, uint64_t id, int result);

/* ---- serving: for an event loop; every descriptor is non-blocking and close-on-exec ---- */

/* Listen as NAME: makes the directory (0700) if need be, takes over the socket file of a stack that
 * died. Returns the descriptor, or -EEXIST (that stack is running), -EINVAL (bad name), another
 * -errno; `why` gets a sentence. `path` gets the file's name, for control_close. */
int control_listen(const char *name, char path[CONTROL_PATH_LEN], char why[CONTROL_WHY_LEN]);
/* Close and remove the file. */
void control_close(int fd, const char *path);

/* One client: accept(2) it, then call read when readable and write when writable. */
struct control_session {
    int fd;
    struct text in, out;
    size_t written;
};
void control_session_init(struct control_session *session, int fd);
void control_session_free(struct control_session *session); /* closes fd */
/* 1: a request line is complete (text_string(&in), without newline): put a reply into `out`, then
 * call control_session_write. 0: not yet. Negative: drop the client (gone, or a line too long). */
int control_session_read(struct control_session *session);
/* 1: all written (ready for the next request), 0: call again when writable, negative: drop. */
int control_session_write(struct control_session *session);

/* ---- asking: blocking, with a timeout ---- */

/* Names of the stacks that answer, sorted; returns how many were put into `names`. `why` is "" or a
 * sentence about something that could not be looked at. */
int control_find(char names[][CONTROL_NAME_LEN], int max, char why[CONTROL_WHY_LEN]);
/* Ask stack NAME. 0, or a negative errno: -ENOENT (no such stack), -ECONNREFUSED (it died),
 * -ETIMEDOUT, or what the stack answered; `why` gets a sentence. */
int control_ask_info(const char *name, struct control_info *info, char why[CONTROL_WHY_LEN]);
int control_ask_facts(const char *name, struct facts_list *list, char why[CONTROL_WHY_LEN]);
int control_ask_end(const char *name, uint64_t id, int how, char why[CONTROL_WHY_LEN]);

#endif
