/* SPDX-License-Identifier: BSD-2-Clause */
/* Facts to JSON and back. One table per record says which key is which member, for both ways. */
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
    MEMBER_BOOL,    /* fact_bool */
    MEMBER_U32,     /* uint32_t, plain */
    MEMBER_INT,     /* int, -1: unknown */
    MEMBER_PORT,    /* uint16_t */
    MEMBER_STRING,  /* char[size] */
    MEMBER_ADDRESS, /* struct lastack_address */
    MEMBER_WORD,    /* an enum with `words`, `size` of them */
};

struct member {
    const char *key;
    enum member_kind kind;
    size_t offset, size;
    const char *const *words;
};

#define MEMBER(type, name, kind)                                                                   \
    {                                                                                              \
#name, kind, offsetof(type, name), 0, NULL                                                 \
    }
#define MEMBER_TEXT(type, name)                                                                    \
    {                                                                                              \
#name, MEMBER_STRING, offsetof(type, name), sizeof(((type *)0)->name), NULL                \
    }
#define MEMBER_ENUM(type, name, words)                                                             \
    {                                                                                              \
#name, MEMBER_WORD, offsetof(type, name), ARRAY_LEN(words), words                          \
    }

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
};

static const struct member call_members[] = {
    MEMBER_ENUM(struct fact_call, kind, call_words),
    MEMBER(struct fact_call, age_us, MEMBER_NUMBER),
    MEMBER(struct fact_call, pid, MEMBER_U32),
    MEMBER_TEXT(struct fact_call, program),
    MEMBER(struct fact_call, fd, MEMBER_INT),
    MEMBER(struct fact_call, left, MEMBER_NUMBER),
};

static const struct member facts_members[] = {
    MEMBER_TEXT(struct facts, stack),
    MEMBER(struct facts, id, MEMBER_NUMBER),
    MEMBER(struct facts, socket_id, MEMBER_NUMBER),
    MEMBER_ENUM(struct facts, state, state_words),
    {"local", MEMBER_ADDRESS, offsetof(struct facts, tuple.local), 0, NULL},
    {"local_port", MEMBER_PORT, offsetof(struct facts, tuple.local_port), 0, NULL},
    {"remote", MEMBER_ADDRESS, offsetof(struct facts, tuple.remote), 0, NULL},
    {"remote_port", MEMBER_PORT, offsetof(struct facts, tuple.remote_port), 0, NULL},
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
        text_printf(out, "%llu", (unsigned long long)v);
}

static void member_encode(struct text *out, const struct member *m, const void *record)
{
    const char *at = (const char *)record + m->offset;
    char address[LASTACK_ADDRESS_TEXT];
    switch (m->kind) {
    case MEMBER_NUMBER:
        number_encode(out, *(const uint64_t *)(const void *)at);
        break;
    case MEMBER_BOOL: {
        fact_bool b = *(const fact_bool *)(const void *)at;
        text_add(out, b == FACT_YES ? "true" : b == FACT_NO ? "false" : "\"unknown\"");
        break;
    }
    case MEMBER_U32:
        text_printf(out, "%u", *(const uint32_t *)(const void *)at);
        break;
    case MEMBER_INT:
        text_printf(out, "%d", *(const int *)(const void *)at);
        break;
    case MEMBER_PORT:
        text_printf(out, "%u", *(const uint16_t *)(const void *)at);
        break;
    case MEMBER_STRING:
        text_add_json(out, at);
        break;
    case MEMBER_ADDRESS:
        text_add_json(out, lastack_address_text((const void *)at, address));
        break;
    case MEMBER_WORD: {
        unsigned word = *(const unsigned *)(const void *)at;
        text_add_json(out, word < m->size ? m->words[word] : "unknown");
        break;
    }
    }
}

static void members_encode(struct text *out, const struct member *members, size_t cnt,
                           const void *record)
{
    for (size_t i = 0; i < cnt; i++) {
        text_printf(out, "%s\"%s\":", i ? "," : "", members[i].key);
        member_encode(out, &members[i], record);
    }
}

static void call_encode(struct text *out, const struct fact_call *call)
{
    text_add(out, "{");
    members_encode(out, call_members, ARRAY_LEN(call_members), call);
    text_add(out, "}");
}

void facts_encode_one(struct text *out, const struct facts *f)
{
    text_add(out, "{");
    members_encode(out, facts_members, ARRAY_LEN(facts_members), f);
    text_add(out, ",\"fin_out_by\":");
    call_encode(out, &f->fin_out_by);
    text_add(out, ",\"closes\":[");
    for (uint32_t i = 0; i < f->close_cnt; i++) {
        text_add(out, i ? "," : "");
        call_encode(out, &f->closes[i]);
    }
    text_add(out, "],\"holders\":[");
    for (uint32_t i = 0; i < f->holder_cnt; i++) {
        text_add(out, i ? ",{" : "{");
        members_encode(out, holder_members, ARRAY_LEN(holder_members), &f->holders[i]);
        text_add(out, "}");
    }
    text_add(out, "]}");
}

void facts_encode(struct text *out, const struct facts_list *list)
{
    text_add(out, "[");
    for (uint32_t i = 0; i < list->cnt; i++) {
        text_add(out, i ? "," : "");
        facts_encode_one(out, &list->all[i]);
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

static bool member_decode(void *record, const struct member *m, const struct json *v)
{
    char *at = (char *)record + m->offset;
    bool number = v->kind == JSON_NUMBER;
    switch (m->kind) {
    case MEMBER_NUMBER:
        return number_decode((uint64_t *)(void *)at, v);
    case MEMBER_BOOL:
        return bool_decode((fact_bool *)(void *)at, v);
    case MEMBER_U32:
        if (!number || v->number < 0 || v->number > UINT32_MAX)
            return false;
        *(uint32_t *)(void *)at = (uint32_t)v->number;
        return true;
    case MEMBER_INT:
        if (!number || v->number < -1 || v->number > INT32_MAX)
            return false;
        *(int *)(void *)at = (int)v->number;
        return true;
    case MEMBER_PORT:
        if (!number || v->number < 0 || v->number > UINT16_MAX)
            return false;
        *(uint16_t *)(void *)at = (uint16_t)v->number;
        return true;
    case MEMBER_STRING:
        if (v->kind != JSON_STRING)
            return false;
        snprintf(at, m->size, "%s", v->string);
        return true;
    case MEMBER_ADDRESS:
        return v->kind == JSON_STRING && lastack_address_parse((void *)at, v->string) == 0;
    case MEMBER_WORD:
        return word_decode((unsigned *)(void *)at, m, v);
    }
    return false;
}

struct reader {
    char *why;
    size_t why_len;
};

static bool members_decode(const struct reader *r, const struct member *members, size_t cnt,
                           void *record, const struct json *object)
{
    if (object->kind != JSON_OBJECT) {
        snprintf(r->why, r->why_len, "a record of facts must be an object");
        return false;
    }
    for (size_t i = 0; i < cnt; i++) {
        const struct json *v = json_get(object, members[i].key);
        if (v && !member_decode(record, &members[i], v)) {
            snprintf(r->why, r->why_len, "\"%s\" has a value of the wrong kind", members[i].key);
            return false;
        }
    }
    return true;
}

static const struct json *array_first(const struct json *object, const char *key)
{
    const struct json *array = json_get(object, key);
    return array && array->kind == JSON_ARRAY ? array->child : NULL;
}

static bool facts_decode_one(const struct reader *r, struct facts_list *list, const struct json *v)
{
    struct facts *f = facts_list_add(list);
    if (!f || !members_decode(r, facts_members, ARRAY_LEN(facts_members), f, v))
        return false;
    const struct json *by = json_get(v, "fin_out_by");
    if (by && !members_decode(r, call_members, ARRAY_LEN(call_members), &f->fin_out_by, by))
        return false;
    for (const struct json *c = array_first(v, "closes"); c; c = c->next) {
        struct fact_call call = {.age_us = FACT_UNKNOWN, .fd = FACT_NO_FD, .left = FACT_UNKNOWN};
        if (!members_decode(r, call_members, ARRAY_LEN(call_members), &call, c))
            return false;
        facts_close_add(f, &call);
    }
    for (const struct json *h = array_first(v, "holders"); h; h = h->next) {
        struct fact_holder *holder = facts_holder_add(list, f);
        if (!holder || !members_decode(r, holder_members, ARRAY_LEN(holder_members), holder, h))
            return false;
    }
    return true;
}

int facts_decode_json(struct facts_list *list, const struct json *array, char *why, size_t why_len)
{
    struct reader r = {why, why_len};
    if (why_len)
        why[0] = 0;
    if (array && array->kind == JSON_OBJECT)
        array = json_get(array, "facts");
    if (!array || array->kind != JSON_ARRAY) {
        snprintf(why, why_len, "facts must be an array");
        return -EINVAL;
    }
    for (const struct json *v = array->child; v; v = v->next)
        if (!facts_decode_one(&r, list, v))
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
