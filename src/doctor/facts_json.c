/* SPDX-License-Identifier: BSD-2-Clause */
/* Facts to JSON and back. One table per record says which key is which member, for both ways. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "doctor/facts.h"
#include "doctor/json.h"
#include "doctor/text.h"

/* ---- words ---- */

static const char *const holder_kind_words[FACT_HOLDER_KIND_CNT] = {
    "descriptor", "message", "call", "ring", "mapping", "other",
};
static const char *const origin_words[FACT_ORIGIN_CNT] = {
    "unknown", "socket", "accept", "dup", "fork", "exec", "message",
};
static const char *const doing_words[FACT_DOING_CNT] = {
    "unknown", "running", "accept", "recv",  "send",    "connect", "poll",
    "wait",    "sleep",   "lock",   "other", "stopped", "zombie",
};
static const char *const call_words[FACT_CALL_KIND_CNT] = {
    "none",         "close",   "dup-over", "exec",      "exit",
    "message-drop", "shut-rd", "shut-wr",  "shut-rdwr", "operator",
};
static const char *const watch_words[FACT_WATCH_KIND_CNT] = {
    "epoll", "poll", "call", "ring", "other",
};
static const char *const peer_words[FACT_PEER_CNT] = {"unknown", "here", "orphan", "gone"};
static const char *const source_words[FACT_SOURCE_CNT] = {"lastack", "kernel"};
static const char *const timer_words[] = {
    [LASTACK_TIMER_NONE] = "none",
    [LASTACK_TIMER_RETRANSMIT] = "retransmit",
    [LASTACK_TIMER_PROBE] = "probe",
    [LASTACK_TIMER_KEEPALIVE] = "keepalive",
    [LASTACK_TIMER_DELAYED_ACK] = "delayed-ack",
    [LASTACK_TIMER_FIN_WAIT] = "fin-wait",
    [LASTACK_TIMER_TIME_WAIT] = "time-wait",
    [LASTACK_TIMER_USER] = "user",
    [LASTACK_TIMER_LINGER] = "linger",
};
/* As ss prints them; a bound socket without connection is UNCONN. */
static const char *const state_words[LASTACK_STATE_CNT] = {
    [LASTACK_CLOSED] = "UNCONN",         [LASTACK_LISTEN] = "LISTEN",
    [LASTACK_SYN_SENT] = "SYN-SENT",     [LASTACK_SYN_RCVD] = "SYN-RECV",
    [LASTACK_ESTABLISHED] = "ESTAB",     [LASTACK_FIN_WAIT_1] = "FIN-WAIT-1",
    [LASTACK_FIN_WAIT_2] = "FIN-WAIT-2", [LASTACK_CLOSE_WAIT] = "CLOSE-WAIT",
    [LASTACK_CLOSING] = "CLOSING",       [LASTACK_LAST_ACK] = "LAST-ACK",
    [LASTACK_TIME_WAIT] = "TIME-WAIT",
};

const char *fact_holder_kind_name(enum fact_holder_kind kind)
{
    return kind < FACT_HOLDER_KIND_CNT ? holder_kind_words[kind] : "other";
}

const char *fact_origin_name(enum fact_origin origin)
{
    return origin < FACT_ORIGIN_CNT ? origin_words[origin] : "unknown";
}

const char *fact_doing_name(enum fact_doing doing)
{
    return doing < FACT_DOING_CNT ? doing_words[doing] : "unknown";
}

const char *fact_call_name(enum fact_call_kind kind)
{
    return kind < FACT_CALL_KIND_CNT ? call_words[kind] : "none";
}

const char *fact_watch_kind_name(enum fact_watch_kind kind)
{
    return kind < FACT_WATCH_KIND_CNT ? watch_words[kind] : "other";
}

const char *fact_state_name(enum lastack_state state)
{
    return state < LASTACK_STATE_CNT ? state_words[state] : "?";
}

const char *fact_timer_name(enum lastack_timer timer)
{
    return (size_t)timer < ARRAY_LEN(timer_words) ? timer_words[timer] : "?";
}

/* ---- tables of members ---- */

enum member_kind {
    MEMBER_NUMBER,  /* uint64_t: FACT_UNKNOWN, FACT_NEVER */
    MEMBER_ID,      /* uint64_t, 0: none */
    MEMBER_BOOL,    /* fact_bool */
    MEMBER_U32,     /* uint32_t, 0: unknown or none */
    MEMBER_INT,     /* int, -1: unknown */
    MEMBER_PORT,    /* uint16_t */
    MEMBER_STRING,  /* char[size], "": unknown */
    MEMBER_ADDRESS, /* struct lastack_address */
    MEMBER_WORD,    /* an enum with `words`, `size` of them; the first is its default */
    MEMBER_SITE,    /* fact_site_id: the place itself stands there as an object */
};

struct member {
    const char *key;  /* "\"key\":" */
    const char *name; /* "key" */
    enum member_kind kind;
    bool quiet; /* left out while unknown */
    size_t offset, size;
    const char *const *words;
};

#define MEMBER_AT(name, kind, quiet, offset, size, words)                                          \
    {                                                                                              \
        "\"" name "\":", name, kind, quiet, offset, size, words                                    \
    }
#define MEMBER(type, name, kind) MEMBER_AT(#name, kind, false, offsetof(type, name), 0, NULL)
#define QUIET(type, name, kind)  MEMBER_AT(#name, kind, true, offsetof(type, name), 0, NULL)
#define MEMBER_TEXT(type, name)                                                                    \
    MEMBER_AT(#name, MEMBER_STRING, false, offsetof(type, name), sizeof(((type *)0)->name), NULL)
#define QUIET_TEXT(type, name)                                                                     \
    MEMBER_AT(#name, MEMBER_STRING, true, offsetof(type, name), sizeof(((type *)0)->name), NULL)
#define MEMBER_ENUM(type, name, words)                                                             \
    MEMBER_AT(#name, MEMBER_WORD, false, offsetof(type, name), ARRAY_LEN(words), words)
#define QUIET_ENUM(type, name, words)                                                              \
    MEMBER_AT(#name, MEMBER_WORD, true, offsetof(type, name), ARRAY_LEN(words), words)

static const struct member site_members[] = {
    QUIET_TEXT(struct fact_site, function),
    QUIET_TEXT(struct fact_site, file),
    QUIET(struct fact_site, line, MEMBER_U32),
    QUIET_TEXT(struct fact_site, module),
};

static const struct member holder_members[] = {
    MEMBER_ENUM(struct fact_holder, kind, holder_kind_words),
    MEMBER(struct fact_holder, pid, MEMBER_U32),
    MEMBER(struct fact_holder, fd, MEMBER_INT),
    MEMBER_TEXT(struct fact_holder, program),
    MEMBER_ENUM(struct fact_holder, origin, origin_words),
    MEMBER(struct fact_holder, since_us, MEMBER_NUMBER),
    MEMBER(struct fact_holder, close_on_exec, MEMBER_BOOL),
    MEMBER_ENUM(struct fact_holder, doing, doing_words),
    MEMBER(struct fact_holder, doing_id, MEMBER_NUMBER),
    MEMBER_TEXT(struct fact_holder, doing_text),
    MEMBER(struct fact_holder, threads, MEMBER_U32),
    MEMBER(struct fact_holder, watching, MEMBER_BOOL),
    QUIET(struct fact_holder, tid, MEMBER_U32),
    QUIET(struct fact_holder, fd_cnt, MEMBER_U32),
    QUIET(struct fact_holder, fd_limit, MEMBER_U32),
    QUIET(struct fact_holder, cpu_percent, MEMBER_INT), /* FACT_NO_CPU is -1 */
    QUIET(struct fact_holder, process_us, MEMBER_NUMBER),
    QUIET(struct fact_holder, doing_at, MEMBER_SITE),
    QUIET_TEXT(struct fact_holder, where),
};

static const struct member watch_members[] = {
    MEMBER_ENUM(struct fact_watch, kind, watch_words),
    QUIET(struct fact_watch, pid, MEMBER_U32),
    QUIET(struct fact_watch, tid, MEMBER_U32),
    QUIET(struct fact_watch, fd, MEMBER_INT),
    QUIET(struct fact_watch, target_fd, MEMBER_INT),
    MEMBER(struct fact_watch, events, MEMBER_U32),
    QUIET(struct fact_watch, edge, MEMBER_BOOL),
    QUIET(struct fact_watch, spent, MEMBER_BOOL),
    QUIET(struct fact_watch, waited, MEMBER_BOOL),
    QUIET_ENUM(struct fact_watch, doing, doing_words),
    QUIET_TEXT(struct fact_watch, doing_text),
    QUIET(struct fact_watch, data, MEMBER_NUMBER),
    QUIET(struct fact_watch, doing_at, MEMBER_SITE),
    QUIET_TEXT(struct fact_watch, object),
};

static const struct member call_members[] = {
    MEMBER_ENUM(struct fact_call, kind, call_words),
    MEMBER(struct fact_call, age_us, MEMBER_NUMBER),
    MEMBER(struct fact_call, pid, MEMBER_U32),
    MEMBER_TEXT(struct fact_call, program),
    MEMBER(struct fact_call, fd, MEMBER_INT),
    MEMBER(struct fact_call, left, MEMBER_NUMBER),
    QUIET(struct fact_call, at, MEMBER_SITE),
};

static const struct member facts_members[] = {
    MEMBER_TEXT(struct facts, stack),
    MEMBER(struct facts, id, MEMBER_NUMBER),
    MEMBER(struct facts, socket_id, MEMBER_NUMBER),
    MEMBER_ENUM(struct facts, state, state_words),
    MEMBER_AT("local", MEMBER_ADDRESS, false, offsetof(struct facts, tuple.local), 0, NULL),
    MEMBER_AT("local_port", MEMBER_PORT, false, offsetof(struct facts, tuple.local_port), 0, NULL),
    MEMBER_AT("remote", MEMBER_ADDRESS, false, offsetof(struct facts, tuple.remote), 0, NULL),
    MEMBER_AT("remote_port", MEMBER_PORT, false, offsetof(struct facts, tuple.remote_port), 0,
              NULL),
    MEMBER(struct facts, passive, MEMBER_BOOL),
    MEMBER(struct facts, peer_id, MEMBER_NUMBER),
    MEMBER(struct facts, unaccepted, MEMBER_BOOL),
    MEMBER(struct facts, listener_id, MEMBER_NUMBER),
    MEMBER(struct facts, orphan, MEMBER_BOOL),
    MEMBER(struct facts, references, MEMBER_NUMBER),
    MEMBER(struct facts, shut_rd, MEMBER_BOOL),
    MEMBER(struct facts, shut_wr, MEMBER_BOOL),
    MEMBER(struct facts, fin_in_us, MEMBER_NUMBER),
    MEMBER(struct facts, fin_out_us, MEMBER_NUMBER),
    MEMBER(struct facts, fin_acked, MEMBER_BOOL),
    MEMBER(struct facts, eof_read_us, MEMBER_NUMBER),
    MEMBER(struct facts, close_all, MEMBER_BOOL),
    MEMBER(struct facts, receive_queue, MEMBER_NUMBER),
    MEMBER(struct facts, send_queue, MEMBER_NUMBER),
    MEMBER(struct facts, send_unsent, MEMBER_NUMBER),
    MEMBER(struct facts, receive_window, MEMBER_NUMBER),
    MEMBER(struct facts, send_window, MEMBER_NUMBER),
    MEMBER(struct facts, born_us, MEMBER_NUMBER),
    MEMBER(struct facts, state_us, MEMBER_NUMBER),
    MEMBER(struct facts, data_in_us, MEMBER_NUMBER),
    MEMBER(struct facts, data_out_us, MEMBER_NUMBER),
    MEMBER(struct facts, bytes_in, MEMBER_NUMBER),
    MEMBER(struct facts, bytes_out, MEMBER_NUMBER),
    MEMBER_ENUM(struct facts, timer, timer_words),
    MEMBER(struct facts, timer_us, MEMBER_NUMBER),
    MEMBER(struct facts, retransmits, MEMBER_NUMBER),
    MEMBER(struct facts, probes, MEMBER_NUMBER),
    MEMBER(struct facts, error, MEMBER_INT),
    MEMBER(struct facts, last_error, MEMBER_INT),
    QUIET_ENUM(struct facts, source, source_words),
    QUIET_ENUM(struct facts, peer_end, peer_words),
    QUIET(struct facts, relay_id, MEMBER_ID),
    QUIET(struct facts, alike_cnt, MEMBER_NUMBER),
    QUIET(struct facts, inode, MEMBER_ID),
    QUIET(struct facts, netns, MEMBER_ID),
    QUIET_TEXT(struct facts, container),
    QUIET(struct facts, holders_known, MEMBER_BOOL),
    QUIET(struct facts, watchers_known, MEMBER_BOOL),
    QUIET(struct facts, creator_pid, MEMBER_U32),
    QUIET_TEXT(struct facts, creator_program),
    QUIET(struct facts, creator_alive, MEMBER_BOOL),
    QUIET(struct facts, creator_holds, MEMBER_BOOL),
    QUIET(struct facts, fin_consumed, MEMBER_BOOL),
    QUIET(struct facts, moved, MEMBER_BOOL),
    QUIET(struct facts, answered, MEMBER_BOOL),
    QUIET(struct facts, eof_read_pid, MEMBER_U32),
    QUIET(struct facts, at_least, MEMBER_BOOL),
    QUIET(struct facts, born_at, MEMBER_SITE),
    QUIET(struct facts, eof_read_at, MEMBER_SITE),
    QUIET(struct facts, sibling_close_at, MEMBER_SITE),
    QUIET(struct facts, sibling_cnt, MEMBER_NUMBER),
    QUIET(struct facts, sibling_closed_cnt, MEMBER_NUMBER),
    QUIET(struct facts, sibling_linger_us, MEMBER_NUMBER),
    QUIET(struct facts, overflows, MEMBER_NUMBER),
    QUIET(struct facts, keepalive, MEMBER_BOOL),
    QUIET(struct facts, user_timeout_us, MEMBER_NUMBER),
};

/* ---- out ---- */

/* Ids of 0 and descriptors of -1 stay what they are; numbers in `facts` say unknown and never. */
static void number_encode(struct text *out, uint64_t v)
{
    if (v == FACT_UNKNOWN)
        text_add(out, "\"unknown\"");
    else if (v == FACT_NEVER)
        text_add(out, "null");
    else
        text_add_u64(out, v);
}

static bool member_is_unknown(const struct member *m, const void *at)
{
    switch (m->kind) {
    case MEMBER_NUMBER:
        return *(const uint64_t *)at == FACT_UNKNOWN;
    case MEMBER_ID:
        return *(const uint64_t *)at == 0;
    case MEMBER_BOOL:
        return *(const fact_bool *)at == FACT_MAYBE;
    case MEMBER_U32:
    case MEMBER_WORD:
    case MEMBER_SITE:
        return *(const uint32_t *)at == 0;
    case MEMBER_INT:
        return *(const int *)at == -1;
    case MEMBER_STRING:
        return *(const char *)at == 0;
    default:
        return false;
    }
}

static void members_encode(struct text *out, const struct facts_list *list,
                           const struct member *members, size_t cnt, const void *record);

static void site_encode(struct text *out, const struct facts_list *list, fact_site_id id)
{
    const struct fact_site *site = list ? facts_site(list, id) : NULL;
    text_add(out, "{");
    if (site)
        members_encode(out, list, site_members, ARRAY_LEN(site_members), site);
    if (site && site->stack) {
        text_add(out, out->len && out->at[out->len - 1] == '{' ? "\"stack\":" : ",\"stack\":");
        text_add_json(out, site->stack);
    }
    text_add(out, "}");
}

static void member_encode(struct text *out, const struct facts_list *list, const struct member *m,
                          const void *at)
{
    char address[LASTACK_ADDRESS_TEXT];
    switch (m->kind) {
    case MEMBER_NUMBER:
    case MEMBER_ID:
        number_encode(out, *(const uint64_t *)at);
        break;
    case MEMBER_BOOL: {
        fact_bool b = *(const fact_bool *)at;
        text_add(out, b == FACT_YES ? "true" : b == FACT_NO ? "false" : "\"unknown\"");
        break;
    }
    case MEMBER_U32:
        text_add_u64(out, *(const uint32_t *)at);
        break;
    case MEMBER_INT:
        if (*(const int *)at < 0)
            text_add(out, "-1");
        else
            text_add_u64(out, (uint64_t)(*(const int *)at));
        break;
    case MEMBER_PORT:
        text_add_u64(out, *(const uint16_t *)at);
        break;
    case MEMBER_STRING:
        text_add_json(out, at);
        break;
    case MEMBER_ADDRESS:
        text_add_json(out, lastack_address_text(at, address));
        break;
    case MEMBER_WORD: {
        unsigned word = *(const unsigned *)at;
        text_add_json(out, word < m->size ? m->words[word] : "unknown");
        break;
    }
    case MEMBER_SITE:
        site_encode(out, list, *(const fact_site_id *)at);
        break;
    }
}

static void members_encode(struct text *out, const struct facts_list *list,
                           const struct member *members, size_t cnt, const void *record)
{
    bool first = true;
    for (size_t i = 0; i < cnt; i++) {
        const void *at = (const char *)record + members[i].offset;
        if (members[i].quiet && member_is_unknown(&members[i], at))
            continue;
        if (!first)
            text_add_len(out, ",", 1);
        first = false;
        text_add(out, members[i].key);
        member_encode(out, list, &members[i], at);
    }
}

/* Objects in an array, each `size` bytes after the one before. */
static void array_encode(struct text *out, const struct facts_list *list,
                         const struct member *members, size_t cnt, const void *records,
                         uint32_t record_cnt, size_t size)
{
    text_add(out, "[");
    for (uint32_t i = 0; i < record_cnt; i++) {
        text_add(out, i ? ",{" : "{");
        members_encode(out, list, members, cnt, (const char *)records + i * size);
        text_add(out, "}");
    }
    text_add(out, "]");
}

void facts_encode_in(struct text *out, const struct facts_list *list, const struct facts *f)
{
    text_add(out, "{");
    members_encode(out, list, facts_members, ARRAY_LEN(facts_members), f);
    if (f->fin_out_by.kind != FACT_CALL_NONE) {
        text_add(out, ",\"fin_out_by\":{");
        members_encode(out, list, call_members, ARRAY_LEN(call_members), &f->fin_out_by);
        text_add(out, "}");
    }
    text_add(out, ",\"closes\":");
    array_encode(out, list, call_members, ARRAY_LEN(call_members), f->closes, f->close_cnt,
                 sizeof *f->closes);
    text_add(out, ",\"holders\":");
    array_encode(out, list, holder_members, ARRAY_LEN(holder_members), f->holders, f->holder_cnt,
                 sizeof *f->holders);
    if (f->watch_cnt) {
        text_add(out, ",\"watches\":");
        array_encode(out, list, watch_members, ARRAY_LEN(watch_members), f->watches, f->watch_cnt,
                     sizeof *f->watches);
    }
    text_add(out, "}");
}

void facts_encode_one(struct text *out, const struct facts *f)
{
    facts_encode_in(out, NULL, f);
}

void facts_encode(struct text *out, const struct facts_list *list)
{
    text_add(out, "[");
    for (uint32_t i = 0; i < list->cnt; i++) {
        text_add(out, i ? "," : "");
        facts_encode_in(out, list, &list->all[i]);
    }
    text_add(out, "]");
}

/* ---- in ---- */

static bool is_unknown(const struct json *v)
{
    return v->kind == JSON_STRING && strcmp(v->string, "unknown") == 0;
}

static bool number_decode(uint64_t *to, const struct json *v)
{
    if (v->kind == JSON_NUMBER && v->number >= 0)
        *to = v->magnitude;
    else if (v->kind == JSON_NULL)
        *to = FACT_NEVER;
    else if (is_unknown(v))
        *to = FACT_UNKNOWN;
    else
        return false;
    return true;
}

static bool bool_decode(fact_bool *to, const struct json *v)
{
    if (v->kind == JSON_TRUE || v->kind == JSON_FALSE)
        *to = v->kind == JSON_TRUE ? FACT_YES : FACT_NO;
    else if (is_unknown(v))
        *to = FACT_MAYBE;
    else
        return false;
    return true;
}

static bool word_decode(unsigned *to, const struct member *m, const struct json *v)
{
    for (unsigned i = 0; v->kind == JSON_STRING && i < m->size; i++) {
        if (strcmp(v->string, m->words[i]) == 0) {
            *to = i;
            return true;
        }
    }
    return false;
}

/* Sockets of the kernel speak IPv6, too. */
static bool address_decode(struct lastack_address *to, const char *text)
{
    return lastack_address_parse(to, text) == 0 || inet_pton(AF_INET6, text, to->bytes) == 1;
}

struct reader {
    struct facts_list *list;
    char *why;
    size_t why_len;
};

static bool site_decode(const struct reader *r, fact_site_id *to, const struct json *v);

static bool member_decode(const struct reader *r, void *record, const struct member *m,
                          const struct json *v)
{
    void *at = (char *)record + m->offset;
    bool number = v->kind == JSON_NUMBER;
    switch (m->kind) {
    case MEMBER_NUMBER:
    case MEMBER_ID:
        return number_decode(at, v);
    case MEMBER_BOOL:
        return bool_decode(at, v);
    case MEMBER_U32:
        if (!number || v->number < 0 || v->number > UINT32_MAX)
            return false;
        *(uint32_t *)at = (uint32_t)v->number;
        return true;
    case MEMBER_INT:
        if (!number || v->number < -1 || v->number > INT32_MAX)
            return false;
        *(int *)at = (int)v->number;
        return true;
    case MEMBER_PORT:
        if (!number || v->number < 0 || v->number > UINT16_MAX)
            return false;
        *(uint16_t *)at = (uint16_t)v->number;
        return true;
    case MEMBER_STRING:
        if (v->kind != JSON_STRING)
            return false;
        snprintf(at, m->size, "%s", v->string);
        return true;
    case MEMBER_ADDRESS:
        return v->kind == JSON_STRING && address_decode(at, v->string);
    case MEMBER_WORD:
        return word_decode(at, m, v);
    case MEMBER_SITE:
        return site_decode(r, at, v);
    }
    return false;
}

/* Keys that we wrote come in the order of the table: look behind the last one first. */
static const struct member *member_find(const struct member *members, size_t cnt, size_t *next,
                                        const char *key)
{
    for (size_t i = 0; i < cnt; i++) {
        size_t at = *next + i < cnt ? *next + i : *next + i - cnt;
        if (strcmp(members[at].name, key) != 0)
            continue;
        *next = at + 1 < cnt ? at + 1 : 0;
        return &members[at];
    }
    return NULL;
}

static bool members_decode(const struct reader *r, const struct member *members, size_t cnt,
                           void *record, const struct json *object)
{
    size_t next = 0;
    if (object->kind != JSON_OBJECT) {
        snprintf(r->why, r->why_len, "a record of facts must be an object");
        return false;
    }
    for (const struct json *v = object->child; v; v = v->next) {
        const struct member *m = member_find(members, cnt, &next, v->key);
        if (m && !member_decode(r, record, m, v)) {
            if (r->why_len && !r->why[0])
                snprintf(r->why, r->why_len, "\"%s\" has a value of the wrong kind", m->name);
            return false;
        }
    }
    return true;
}

static bool site_decode(const struct reader *r, fact_site_id *to, const struct json *v)
{
    struct fact_site site = {.line = 0};
    const char *stack = json_get_string(v, "stack", NULL);
    if (v->kind != JSON_OBJECT ||
        !members_decode(r, site_members, ARRAY_LEN(site_members), &site, v))
        return false;
    if (!v->child)
        return true; /* a place that is not known */
    site.stack = stack ? strdup(stack) : NULL;
    *to = facts_site_add(r->list, &site);
    return *to != 0;
}

static const struct json *array_first(const struct json *object, const char *key)
{
    const struct json *array = json_get(object, key);
    return array && array->kind == JSON_ARRAY ? array->child : NULL;
}

static bool calls_decode(const struct reader *r, struct facts *f, const struct json *v)
{
    const struct json *by = json_get(v, "fin_out_by");
    if (by && !members_decode(r, call_members, ARRAY_LEN(call_members), &f->fin_out_by, by))
        return false;
    for (const struct json *c = array_first(v, "closes"); c; c = c->next) {
        struct fact_call call = {.age_us = FACT_UNKNOWN, .fd = FACT_NO_FD, .left = FACT_UNKNOWN};
        if (!members_decode(r, call_members, ARRAY_LEN(call_members), &call, c))
            return false;
        facts_close_add(f, &call);
    }
    return true;
}

static bool facts_decode_one(const struct reader *r, const struct json *v)
{
    struct facts *f = facts_list_add(r->list);
    if (!f || !members_decode(r, facts_members, ARRAY_LEN(facts_members), f, v) ||
        !calls_decode(r, f, v))
        return false;
    for (const struct json *h = array_first(v, "holders"); h; h = h->next) {
        struct fact_holder *holder = facts_holder_add(r->list, f);
        if (!holder || !members_decode(r, holder_members, ARRAY_LEN(holder_members), holder, h))
            return false;
    }
    for (const struct json *w = array_first(v, "watches"); w; w = w->next) {
        struct fact_watch *watch = facts_watch_add(r->list, f);
        if (!watch || !members_decode(r, watch_members, ARRAY_LEN(watch_members), watch, w))
            return false;
    }
    return true;
}

int facts_decode_json(struct facts_list *list, const struct json *array, char *why, size_t why_len)
{
    struct reader r = {list, why, why_len};
    if (why_len)
        why[0] = 0;
    if (array && array->kind == JSON_OBJECT)
        array = json_get(array, "facts");
    if (!array || array->kind != JSON_ARRAY) {
        snprintf(why, why_len, "facts must be an array");
        return -EINVAL;
    }
    for (const struct json *v = array->child; v; v = v->next)
        if (!facts_decode_one(&r, v))
            return list->failed ? -ENOMEM : -EINVAL;
    return 0;
}

int facts_decode(struct facts_list *list, const char *json, char *why, size_t why_len)
{
    struct json_document *document = json_parse(json, strlen(json), why, why_len);
    if (!document)
        return -EINVAL;
    int result = facts_decode_json(list, json_root(document), why, why_len);
    json_free(document);
    return result;
}
