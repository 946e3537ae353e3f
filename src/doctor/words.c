/* SPDX-License-Identifier: BSD-2-Clause */
/* Facts in words for people. */
#include "doctor/words.h"

#include <string.h>

/* "3 min 20 s", "3 min" */
static void add_two(struct text *out, uint64_t whole, const char *unit, uint64_t rest,
                    const char *smaller)
{
    text_printf(out, "%llu %s", (unsigned long long)whole, unit);
    if (rest)
        text_printf(out, " %llu %s", (unsigned long long)rest, smaller);
}

void words_duration(struct text *out, uint64_t us)
{
    uint64_t s = us / 1000000;
    if (!fact_known(us))
        text_add(out, "an unknown time");
    else if (us < 1000)
        text_add(out, "less than 1 ms");
    else if (us < 10000000 && us % 1000000 >= 100000 && us >= 1000000)
        text_printf(out, "%llu.%llu s", (unsigned long long)s,
                    (unsigned long long)(us / 100000 % 10));
    else if (us < 1000000)
        text_printf(out, "%llu ms", (unsigned long long)(us / 1000));
    else if (s < 120)
        text_printf(out, "%llu s", (unsigned long long)s);
    else if (s < 7200)
        add_two(out, s / 60, "min", s % 60, "s");
    else if (s < 172800)
        add_two(out, s / 3600, "h", s / 60 % 60, "min");
    else
        add_two(out, s / 86400, "d", s / 3600 % 24, "h");
}

void words_ago(struct text *out, uint64_t us)
{
    if (!fact_known(us)) {
        text_add(out, "at an unknown time");
        return;
    }
    words_duration(out, us);
    text_add(out, " ago");
}

void words_bytes(struct text *out, uint64_t cnt)
{
    if (!fact_known(cnt))
        text_add(out, "an unknown number of bytes");
    else
        text_printf(out, "%llu byte%s", (unsigned long long)cnt, cnt == 1 ? "" : "s");
}

void words_process(struct text *out, uint32_t pid, const char *program)
{
    if (pid == FACT_NO_PID)
        text_add(out, "an unknown process");
    else
        text_printf(out, "process %u", pid);
    if (program[0]) {
        text_add(out, " (");
        text_add_shown(out, program);
        text_add(out, ")");
    }
}

void words_holding(struct text *out, const struct fact_holder *holder)
{
    static const char *const kinds[FACT_HOLDER_KIND_CNT] = {
        [FACT_HOLDER_MESSAGE] = "a message in flight (SCM_RIGHTS) that nobody has received",
        [FACT_HOLDER_CALL] = "a call on a descriptor that was closed meanwhile",
        [FACT_HOLDER_RING] = "an io_uring",
        [FACT_HOLDER_MAPPING] = "a memory mapping of it",
        [FACT_HOLDER_OTHER] = "a reference that could not be named",
    };
    if (holder->kind == FACT_HOLDER_DESCRIPTOR && holder->fd >= 0)
        text_printf(out, "descriptor %d", holder->fd);
    else if (holder->kind == FACT_HOLDER_DESCRIPTOR)
        text_add(out, "a descriptor");
    else
        text_add(out, kinds[holder->kind]);
}

static const char *call_of(enum fact_doing doing)
{
    switch (doing) {
    case FACT_DOING_ACCEPT:
        return "accept";
    case FACT_DOING_RECV:
        return "recv";
    case FACT_DOING_SEND:
        return "send";
    case FACT_DOING_CONNECT:
        return "connect";
    case FACT_DOING_POLL:
        return "poll";
    default:
        return NULL;
    }
}

bool words_doing(struct text *out, const struct facts *facts, const struct fact_holder *holder)
{
    const char *call = holder->doing_text[0] ? holder->doing_text : call_of(holder->doing);
    switch (holder->doing) {
    case FACT_DOING_RUNNING:
        text_add(out, "is running");
        return true;
    case FACT_DOING_WAIT_CHILD:
        text_add(out, "is waiting for a child");
        return true;
    case FACT_DOING_SLEEP:
        text_add(out, "is sleeping");
        return true;
    case FACT_DOING_LOCK:
        text_add(out, "is waiting for a lock");
        return true;
    case FACT_DOING_STOPPED:
        text_add(out, "is stopped");
        return true;
    case FACT_DOING_ZOMBIE:
        text_add(out, "is dead and not yet reaped");
        return true;
    default:
        break;
    }
    if (!call)
        return false;
    text_add(out, "is waiting in ");
    text_add_shown(out, call);
    text_add(out, "()");
    if (holder->doing != FACT_DOING_ACCEPT && fact_known(holder->doing_id))
        text_add(out, holder->doing_id == facts->id ? " on it" : " on another socket");
    return true;
}

const char *words_origin(enum fact_origin origin)
{
    static const char *const words[FACT_ORIGIN_CNT] = {
        [FACT_ORIGIN_SOCKET] = "opened it",
        [FACT_ORIGIN_ACCEPT] = "accepted it",
        [FACT_ORIGIN_DUP] = "made it with dup",
        [FACT_ORIGIN_FORK] = "inherited it by fork",
        [FACT_ORIGIN_EXEC] = "kept it across exec",
        [FACT_ORIGIN_MESSAGE] = "received it in a message",
    };
    return origin < FACT_ORIGIN_CNT ? words[origin] : NULL;
}

/* In brackets and escaped, if there is something. */
static void add_detail(struct text *out, const char *before, const char *detail)
{
    if (!detail[0])
        return;
    text_printf(out, " (%s", before);
    text_add_shown(out, detail);
    text_add(out, ")");
}

/* Holders that are no descriptor, of a known process. */
static void words_hidden(struct text *out, const struct fact_holder *h, bool still)
{
    switch (h->kind) {
    case FACT_HOLDER_CALL:
        text_add(out, " is still waiting in ");
        text_add_shown(out, h->doing_text[0]    ? h->doing_text
                            : call_of(h->doing) ? call_of(h->doing)
                                                : "a call");
        text_add(out, call_of(h->doing) || h->doing_text[0] ? "()" : "");
        if (h->tid)
            text_printf(out, " (thread %u)", h->tid);
        text_add(out, " on a descriptor that was closed meanwhile");
        break;
    case FACT_HOLDER_RING:
        text_add(out, h->tid ? " has a request in flight on it in an io_uring"
                             : " has it registered with an io_uring");
        add_detail(out, "", h->where);
        break;
    case FACT_HOLDER_MAPPING:
        text_add(out, " has it mapped into memory");
        add_detail(out, "at ", h->where);
        break;
    default:
        text_add(out, still ? " still holds " : " holds ");
        words_holding(out, h);
        add_detail(out, h->kind == FACT_HOLDER_MESSAGE ? "in the AF_UNIX socket of " : "",
                   h->where);
    }
}

void words_holder(struct text *out, const struct facts *facts, const struct fact_holder *holder,
                  bool still)
{
    struct text doing;
    if (out->failed)
        return;
    if (holder->pid == FACT_NO_PID && holder->kind != FACT_HOLDER_DESCRIPTOR) {
        words_holding(out, holder);
        add_detail(out, holder->kind == FACT_HOLDER_MESSAGE ? "in the AF_UNIX socket of " : "",
                   holder->where);
        text_add(out, still ? " still holds it" : " holds it");
        return;
    }
    words_process(out, holder->pid, holder->program);
    if (holder->kind != FACT_HOLDER_DESCRIPTOR) {
        words_hidden(out, holder, still);
        return;
    }
    text_init(&doing);
    text_add(out, still ? " still holds " : " holds ");
    words_holding(out, holder);
    if (words_doing(&doing, facts, holder))
        text_printf(out, " and %s", text_string(&doing));
    text_free(&doing);
}

bool words_place(struct text *out, const struct fact_site *site, const char *before_file)
{
    if (!site || (!site->function[0] && !site->file[0] && !site->module[0]))
        return false;
    if (site->function[0]) {
        text_add_shown(out, site->function);
        text_add(out, "()");
    }
    if (site->file[0]) {
        text_add(out, site->function[0] ? before_file : "");
        text_add_shown(out, site->file);
        if (site->line)
            text_printf(out, ":%u", site->line);
    } else if (site->module[0]) {
        text_add(out, site->function[0] ? " in " : "");
        text_add_shown(out, site->module);
    }
    return true;
}

void words_site(struct text *out, const struct fact_site *site)
{
    if (!words_place(out, site, " at "))
        text_add(out, "an unknown place");
}

void words_close(struct text *out, const struct fact_call *call)
{
    words_process(out, call->pid, call->program);
    switch (call->kind) {
    case FACT_CALL_DUP_OVER:
        text_add(out, " put another file over its descriptor");
        break;
    case FACT_CALL_EXEC:
        text_add(out, " closed on exec its descriptor");
        break;
    case FACT_CALL_EXIT:
        text_add(out, " exited, which closed its descriptor");
        break;
    case FACT_CALL_MESSAGE_DROP:
        text_add(out, " dropped a message that held it");
        break;
    default:
        text_add(out, " closed its descriptor");
    }
    if (call->fd >= 0)
        text_printf(out, " %d", call->fd);
    if (fact_known(call->left))
        text_printf(out, ", which dropped the count from %llu to %llu",
                    (unsigned long long)call->left + 1, (unsigned long long)call->left);
}

const char *words_call(const struct fact_call *call)
{
    static const char *const words[FACT_CALL_KIND_CNT] = {
        [FACT_CALL_NONE] = "an unknown call",
        [FACT_CALL_CLOSE] = "close()",
        [FACT_CALL_DUP_OVER] = "dup2()",
        [FACT_CALL_EXEC] = "exec()",
        [FACT_CALL_EXIT] = "its exit",
        [FACT_CALL_MESSAGE_DROP] = "dropping a message",
        [FACT_CALL_SHUT_RD] = "shutdown(SHUT_RD)",
        [FACT_CALL_SHUT_WR] = "shutdown(SHUT_WR)",
        [FACT_CALL_SHUT_RDWR] = "shutdown(SHUT_RDWR)",
        [FACT_CALL_OPERATOR] = "an operator (lastack end)",
    };
    return call->kind < FACT_CALL_KIND_CNT ? words[call->kind] : words[0];
}

const char *words_timer(enum lastack_timer timer)
{
    switch (timer) {
    case LASTACK_TIMER_NONE:
        return "no timer";
    case LASTACK_TIMER_RETRANSMIT:
        return "the retransmission timer";
    case LASTACK_TIMER_PROBE:
        return "the zero-window probe timer";
    case LASTACK_TIMER_KEEPALIVE:
        return "the keepalive timer";
    case LASTACK_TIMER_DELAYED_ACK:
        return "the delayed-ACK timer";
    case LASTACK_TIMER_FIN_WAIT:
        return "the FIN_WAIT_2 timeout";
    case LASTACK_TIMER_TIME_WAIT:
        return "the TIME_WAIT timer (2 MSL)";
    case LASTACK_TIMER_USER:
        return "the user timeout";
    case LASTACK_TIMER_LINGER:
        return "the linger timeout";
    }
    return "an unknown timer";
}

void words_end(struct text *out, const struct lastack_address *address, uint16_t port)
{
    char shown[LASTACK_ADDRESS_TEXT];
    static const struct lastack_address any4 = {{[10] = 0xff, [11] = 0xff}}, any6;
    bool any = memcmp(address, &any4, sizeof any4) == 0 || memcmp(address, &any6, sizeof any6) == 0;
    lastack_address_text(address, shown);
    if (any && port == 0)
        text_add(out, "*:*");
    else if (any)
        text_printf(out, "*:%u", port);
    else
        text_printf(out, strchr(shown, ':') ? "[%s]:%u" : "%s:%u", shown, port);
}
