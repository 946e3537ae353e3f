/* SPDX-License-Identifier: BSD-2-Clause */
/* Which calls end a connection, the politest first, and what both sides see of them. */
#include "doctor/ladder.h"

#include <sys/socket.h>

#include "doctor/rules.h"
#include "doctor/words.h"

static const struct fact_holder *descriptor_of(const struct facts *f)
{
    for (uint32_t i = 0; i < f->holder_cnt; i++)
        if (f->holders[i].kind == FACT_HOLDER_DESCRIPTOR)
            return &f->holders[i];
    return NULL;
}

/* A stack of ours shuts down whatever holds it; in the kernel a descriptor is what we act through. */
static bool can_shut(const struct facts *f)
{
    return f->source == FACT_SOURCE_LASTACK || descriptor_of(f) != NULL;
}

/* Where the ladder begins: what is ruder than this comes after it. */
static int first_step(const struct facts *f)
{
    int politest = rules_end_how(f);
    if (politest >= 0 && !can_shut(f))
        return LASTACK_END_RST;
    /* The peer may answer a FIN by closing; then nobody has to lose anything. */
    return politest == SHUT_RDWR ? SHUT_WR : politest;
}

/* After the FIN of wr nothing more leaves in CLOSE_WAIT: rdwr would change nothing there. */
static bool is_idle(const struct facts *f, int step)
{
    return step == SHUT_RDWR && f->state == LASTACK_CLOSE_WAIT;
}

void ladder_make(struct ladder *ladder, const struct facts *f, int how, int max)
{
    ladder->cnt = 0;
    if (ladder_refusal(f, how, max))
        return;
    if (how >= 0) {
        ladder->steps[ladder->cnt++] = how;
        return;
    }
    for (int step = first_step(f); step <= max; step++)
        if (!is_idle(f, step))
            ladder->steps[ladder->cnt++] = step;
}

const char *ladder_refusal(const struct facts *f, int how, int max)
{
    int first = first_step(f);
    switch (f->state) {
    case LASTACK_LISTEN:
        return "is a listener, not a connection; it ends when its program closes it";
    case LASTACK_TIME_WAIT:
        return "is in TIME-WAIT: it has ended, and goes by itself";
    case LASTACK_CLOSED:
        return "has no connection any more; only its program can close the descriptor";
    default:
        break;
    }
    if (f->id == 0)
        return "has no id by which it could be ended; it goes by itself";
    if (how >= 0)
        return !can_shut(f) && how != LASTACK_END_RST
                   ? "has no descriptor in any process, so nothing can be shut down: only --how rst "
                     "ends it"
                   : NULL;
    if (first < 0)
        return "cannot be ended from here";
    if (first <= max)
        return NULL;
    if (!can_shut(f))
        return "has no descriptor in any process, so that only a reset ends it, and --max forbids one";
    return "can only be reset (our FIN is out already, or nothing can leave), and --max forbids that";
}

/* ---- words ---- */

static const char *call_name(int how)
{
    return how == SHUT_WR ? "shutdown(SHUT_WR)" : "shutdown(SHUT_RDWR)";
}

void ladder_call(struct text *out, const struct facts *f, int how)
{
    const struct fact_holder *h = descriptor_of(f);
    if (how == LASTACK_END_RST) {
        text_add(out, f->source == FACT_SOURCE_KERNEL ? "destroy the socket (SOCK_DESTROY)"
                                                      : "reset the connection");
        return;
    }
    text_add(out, call_name(how));
    if (f->source != FACT_SOURCE_KERNEL || !h) {
        text_add(out, " in the name of its owners");
        return;
    }
    text_printf(out, " through a copy of descriptor %d of ", h->fd);
    words_process(out, h->pid, h->program);
}

static bool fin_is_out(const struct facts *f)
{
    return f->state == LASTACK_FIN_WAIT_1 || f->state == LASTACK_FIN_WAIT_2 ||
           f->state == LASTACK_CLOSING || f->state == LASTACK_LAST_ACK;
}

/* The kernel says nothing to the peer when one of these is destroyed. */
static bool is_silent(const struct facts *f)
{
    return f->source == FACT_SOURCE_KERNEL &&
           (f->state == LASTACK_LAST_ACK || f->state == LASTACK_CLOSING ||
            f->state == LASTACK_SYN_SENT);
}

const char *ladder_wire(const struct facts *f, int how)
{
    if (how == LASTACK_END_RST)
        return is_silent(f) ? "nothing leaves; what is queued is lost"
                            : "a RST; what is queued is lost";
    if (fin_is_out(f))
        return "nothing: our FIN is out already";
    return f->peer_end == FACT_PEER_GONE
               ? "what is queued, or a FIN if nothing is; a RST comes back, and that ends it"
               : "what is queued, then a FIN";
}

const char *ladder_owner(const struct facts *f, int how)
{
    if (how == SHUT_WR)
        return "send() gives EPIPE from now on, recv() goes on as before";
    if (how == SHUT_RDWR)
        return "send() gives EPIPE and recv() gives 0 from now on; a blocked recv() returns 0";
    if (f->unaccepted == FACT_YES)
        return "accept() may still return it; then send() fails";
    if (f->source == FACT_SOURCE_KERNEL)
        return "the next call gives ECONNABORTED, then send() gives EPIPE and recv() gives 0";
    return "the next call gives an error, then send() gives EPIPE and recv() gives 0";
}

/* There is nobody who could see anything; NULL: there may be. */
static const char *peer_absent(const struct facts *f)
{
    if (f->peer_end == FACT_PEER_GONE)
        return "is gone: nothing here has its end of the connection any more";
    if (f->peer_end == FACT_PEER_ORPHAN)
        return "no program holds it any more, so nobody reads what arrives";
    return NULL;
}

const char *ladder_peer(const struct facts *f, int how)
{
    const char *absent = peer_absent(f);
    if (absent)
        return absent;
    if (how == LASTACK_END_RST)
        return is_silent(f) ? "nothing until it sends something: no RST leaves from this state; end its "
                                 "end too"
               : f->state == LASTACK_FIN_WAIT_1 || f->state == LASTACK_FIN_WAIT_2
                   ? "its next call gives ECONNRESET (EPIPE if it has read our end already)"
                   : "its next call gives ECONNRESET";
    if (fin_is_out(f))
        return "nothing new: it has our FIN already";
    return how == SHUT_WR && f->state != LASTACK_CLOSE_WAIT
               ? "it reads what was queued, then the end of the stream; it may still send"
               : "it reads what was queued, then the end of the stream";
}

/* ---- after a step ---- */

enum ladder_verdict ladder_judge(enum lastack_state state, uint64_t send_queue, bool held)
{
    bool data_waits = fact_known(send_queue) && send_queue > 1; /* more than the FIN */
    switch (state) {
    case LASTACK_CLOSED:
    case LASTACK_TIME_WAIT:
        return LADDER_OVER;
    case LASTACK_LAST_ACK:
        return data_waits ? LADDER_WAITS : LADDER_ENDING;
    case LASTACK_FIN_WAIT_2:
        return held ? LADDER_WAITS : LADDER_ENDING; /* an orphan has a timer */
    default:
        return LADDER_WAITS;
    }
}
