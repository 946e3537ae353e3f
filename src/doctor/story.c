/* SPDX-License-Identifier: BSD-2-Clause */
/* The life of one connection in lines. */
#include "doctor/story.h"

#include <stdlib.h>
#include <string.h>

#include "doctor/words.h"

#define HOLDERS_TOLD 16

/* A new event's text; NULL if it has not happened or nobody knows. */
static struct text *add(struct story *story, uint64_t age_us)
{
    if (!fact_known(age_us) || story->event_cnt == STORY_EVENT_MAX)
        return NULL;
    struct story_event *e = &story->events[story->event_cnt];
    e->age_us = age_us;
    e->order = story->event_cnt++;
    return &e->text;
}

static void add_line(struct story *story, uint64_t age_us, const char *line)
{
    struct text *out = add(story, age_us);
    if (out)
        text_add(out, line);
}

static void tell_closes(struct story *story, const struct facts *f)
{
    for (uint32_t i = 0; i < f->close_cnt; i++) {
        struct text *out = add(story, f->closes[i].age_us);
        if (!out)
            continue;
        words_close(out, &f->closes[i]);
        if (fact_known(f->closes[i].left) && f->closes[i].left > 0 && f->shut_wr != FACT_YES)
            text_add(out, ": no FIN");
    }
}

static void tell_fin_out(struct story *story, const struct facts *f)
{
    struct text *out = add(story, f->fin_out_us);
    if (!out)
        return;
    text_add(out, "our FIN was queued");
    if (f->fin_out_by.kind == FACT_CALL_NONE)
        return;
    text_printf(out, " by %s", words_call(&f->fin_out_by));
    if (f->fin_out_by.pid != FACT_NO_PID && f->fin_out_by.kind != FACT_CALL_OPERATOR) {
        text_add(out, " of ");
        words_process(out, f->fin_out_by.pid, f->fin_out_by.program);
    }
}

static int compare_events(const void *a, const void *b)
{
    const struct story_event *x = a, *y = b;
    if (x->age_us != y->age_us)
        return x->age_us > y->age_us ? -1 : 1;
    return x->order < y->order ? -1 : 1;
}

/* ---- now ---- */

static void tell_queues(struct text *out, const struct facts *f)
{
    if (f->state == LASTACK_LISTEN) {
        if (fact_known(f->receive_queue) && fact_known(f->send_queue))
            text_printf(out, "%llu connections wait to be accepted, backlog %llu\n",
                        (unsigned long long)f->receive_queue, (unsigned long long)f->send_queue);
        return;
    }
    words_bytes(out, f->receive_queue);
    text_add(out, " not read by this side");
    if (fact_known(f->send_queue)) {
        text_add(out, "; ");
        words_bytes(out, f->send_queue);
        text_add(out, " not acknowledged by the peer");
    }
    text_add(out, "\n");
    if (f->state != LASTACK_CLOSE_WAIT || f->unaccepted == FACT_YES)
        return;
    if (fact_known(f->eof_read_us) || f->fin_consumed == FACT_YES)
        text_add(out, "everything up to the peer's FIN is read\n");
    else if (f->eof_read_us == FACT_NEVER || f->fin_consumed == FACT_NO)
        text_add(out, "the peer's FIN is not read yet\n");
}

static void tell_creator(struct text *out, const struct facts *f)
{
    if (f->creator_pid == FACT_NO_PID)
        return;
    words_process(out, f->creator_pid, f->creator_program);
    text_add(out, " made it");
    if (f->creator_alive == FACT_NO)
        text_add(out, " and is gone");
    else if (f->creator_holds == FACT_NO)
        text_add(out, " and holds it no more");
    text_add(out, "\n");
}

static void tell_holders(struct text *out, const struct facts *f)
{
    for (uint32_t i = 0; i < f->holder_cnt && i < HOLDERS_TOLD; i++) {
        const char *origin = words_origin(f->holders[i].origin);
        words_holder(out, f, &f->holders[i], false);
        text_printf(out, origin ? "; it %s\n" : "%s\n", origin ? origin : "");
    }
    if (f->holder_cnt > HOLDERS_TOLD)
        text_printf(out, "and %u more hold it\n", f->holder_cnt - HOLDERS_TOLD);
    if (f->container[0]) {
        text_add(out, "in container ");
        text_add_shown(out, f->container);
        text_add(out, "\n");
    }
    if (f->holder_cnt)
        return;
    if (f->unaccepted == FACT_YES)
        text_add(out, "no process holds it: it waits in the listener's queue\n");
    else if (f->orphan == FACT_YES || f->references == 0 || f->socket_id == 0)
        text_add(out, "no process holds it\n");
    else
        text_add(out, "who holds it is not known\n");
}

static void tell_timer(struct text *out, const struct facts *f)
{
    if (f->timer == LASTACK_TIMER_NONE) {
        if (f->state == LASTACK_CLOSE_WAIT || f->state == LASTACK_FIN_WAIT_2)
            text_add(out, "no timer ends this state: that is for the program\n");
        return;
    }
    text_printf(out, "%s", words_timer(f->timer));
    if (fact_known(f->timer_us)) {
        text_add(out, " is due in ");
        words_duration(out, f->timer_us);
    }
    if (fact_known(f->retransmits) && f->retransmits)
        text_printf(out, "; %llu retransmissions so far", (unsigned long long)f->retransmits);
    text_add(out, "\n");
}

void story_tell(struct story *story, const struct facts *f)
{
    memset(story, 0, sizeof *story);
    if (f->state == LASTACK_LISTEN)
        add_line(story, f->born_us, "the listener was opened");
    else
        add_line(story, f->born_us,
                 f->passive == FACT_YES  ? "the peer connected"
                 : f->passive == FACT_NO ? "this side connected"
                                         : "connected");
    add_line(story, f->data_in_us, "the last data came from the peer");
    add_line(story, f->data_out_us, "the program gave the last data to send");
    add_line(story, f->fin_in_us, "the peer's FIN came: it sends no more");
    add_line(story, f->eof_read_us, "a receive returned 0: the end of the stream was read");
    tell_closes(story, f);
    tell_fin_out(story, f);
    qsort(story->events, story->event_cnt, sizeof story->events[0], compare_events);
    tell_queues(&story->now, f);
    tell_creator(&story->now, f);
    tell_holders(&story->now, f);
    tell_timer(&story->now, f);
}

void story_free(struct story *story)
{
    for (unsigned i = 0; i < story->event_cnt; i++)
        text_free(&story->events[i].text);
    text_free(&story->now);
    story->event_cnt = 0;
}
