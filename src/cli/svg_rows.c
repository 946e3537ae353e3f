/* SPDX-License-Identifier: BSD-2-Clause */
/* From the facts of one connection to the rows of its picture. */
#include "cli/svg_rows.h"

#include <stdlib.h>
#include <string.h>

#include "doctor/words.h"

/* ---- rows ---- */

static struct svg_row *row_add(struct svg_life *life, enum svg_kind kind, enum svg_side side,
                               uint64_t age_us)
{
    static struct svg_row spare;
    if (life->row_cnt == SVG_ROW_MAX) {
        text_free(&spare.label);
        memset(&spare, 0, sizeof spare);
        return &spare;
    }
    struct svg_row *row = &life->rows[life->row_cnt];
    *row = (struct svg_row){.kind = kind,
                            .side = side,
                            .age_us = age_us,
                            .order = life->row_cnt++,
                            .process = -1,
                            .state = {SVG_STATE_NONE, SVG_STATE_NONE}};
    text_init(&row->label);
    return row;
}

/* Names for the states of a side: what a FIN or its acknowledgment does to it. */
static int after_fin_out(int state)
{
    return state == LASTACK_CLOSE_WAIT ? LASTACK_LAST_ACK : LASTACK_FIN_WAIT_1;
}

static int after_fin_in(int state)
{
    return state == LASTACK_FIN_WAIT_1   ? LASTACK_CLOSING
           : state == LASTACK_FIN_WAIT_2 ? LASTACK_TIME_WAIT
                                         : LASTACK_CLOSE_WAIT;
}

static int after_fin_acked(int state)
{
    return state == LASTACK_FIN_WAIT_1 ? LASTACK_FIN_WAIT_2
           : state == LASTACK_CLOSING  ? LASTACK_TIME_WAIT
           : state == LASTACK_LAST_ACK ? LASTACK_CLOSED
                                       : state;
}

/* ---- processes ---- */

static struct svg_process *process_add(struct svg_life *life, uint32_t pid, enum svg_side side)
{
    if (life->process_cnt == SVG_PROCESS_MAX) {
        life->process_more++;
        return NULL;
    }
    struct svg_process *p = &life->processes[life->process_cnt++];
    *p = (struct svg_process){.pid = pid, .side = side, .since_us = FACT_UNKNOWN};
    text_init(&p->words);
    return p;
}

/* Its place, or -1. */
static int process_of(struct svg_life *life, uint32_t pid, const char *program, enum svg_side side)
{
    if (pid == FACT_NO_PID)
        return -1;
    for (unsigned i = 0; i < life->process_cnt; i++)
        if (life->processes[i].pid == pid && life->processes[i].side == side)
            return (int)i;
    struct svg_process *p = process_add(life, pid, side);
    if (!p)
        return -1;
    words_process(&p->words, pid, program);
    return (int)life->process_cnt - 1;
}

/* One more reference of a process that has one already. */
static void add_holding(struct svg_process *p, const struct facts *f, const struct fact_holder *h)
{
    const char *origin = words_origin(h->origin);
    struct text doing;
    text_add(&p->words, p->holds ? ", and " : " holds ");
    words_holding(&p->words, h);
    if (p->holds)
        return;
    if (origin)
        text_printf(&p->words, " (it %s)", origin);
    text_init(&doing);
    if (words_doing(&doing, f, h))
        text_printf(&p->words, " and %s", text_string(&doing));
    text_free(&doing);
}

static void add_holders(struct svg_life *life, const struct facts *f, enum svg_side side)
{
    for (uint32_t i = 0; i < f->holder_cnt; i++) {
        const struct fact_holder *h = &f->holders[i];
        int at = process_of(life, h->pid, h->program, side);
        struct svg_process *p = at >= 0 ? &life->processes[at] : NULL;
        if (h->pid == FACT_NO_PID && (p = process_add(life, FACT_NO_PID, side)))
            words_holder(&p->words, f, h, false);
        else if (p)
            add_holding(p, f, h);
        if (!p)
            continue;
        p->holds = true;
        p->since_us = h->since_us;
    }
    for (uint32_t i = 0; i < f->close_cnt; i++) {
        int at = process_of(life, f->closes[i].pid, f->closes[i].program, side);
        struct svg_process *p = at >= 0 ? &life->processes[at] : NULL;
        if (p && !p->holds && !p->let_go)
            text_add(&p->words, " has let go");
        if (p && !p->holds)
            p->let_go = true;
    }
}

/* ---- what programs did ---- */

/* Only the last name of the file: a picture is narrow. */
static void add_place_of(struct text *out, const struct facts_list *list, fact_site_id id)
{
    const struct fact_site *site = facts_site(list, id);
    if (!site || (!site->function[0] && !site->file[0]))
        return;
    const char *slash = strrchr(site->file, '/');
    text_add(out, " at ");
    text_add_shown(out, site->function);
    text_add(out, site->function[0] ? "()" : "");
    if (!site->file[0])
        return;
    text_add(out, site->function[0] ? " " : "");
    text_add_shown(out, slash ? slash + 1 : site->file);
    if (site->line)
        text_printf(out, ":%u", site->line);
}

static void add_closes(struct svg_life *life, const struct facts_list *list, const struct facts *f,
                       enum svg_side side)
{
    for (uint32_t i = 0; i < f->close_cnt; i++) {
        const struct fact_call *call = &f->closes[i];
        if (!fact_known(call->age_us))
            continue;
        int process = process_of(life, call->pid, call->program, side);
        struct svg_row *row = row_add(life, SVG_CALL, side, call->age_us);
        row->process = process;
        row->lets_go = process >= 0 && !life->processes[process].holds;
        if (call->fd >= 0 && call->kind == FACT_CALL_CLOSE)
            text_printf(&row->label, "close(%d)", call->fd);
        else
            text_add(&row->label, words_call(call));
        add_place_of(&row->label, list, call->at);
        if (call->left == 0)
            text_add(&row->label, ": the last reference");
        else if (fact_known(call->left))
            text_printf(&row->label, ": %llu %s left", (unsigned long long)call->left,
                        call->left == 1 ? "reference" : "references");
        if (fact_known(call->left) && call->left > 0 && f->shut_wr != FACT_YES)
            text_add(&row->label, ", no FIN");
    }
}

static void add_accept(struct svg_life *life, const struct facts_list *list, const struct facts *f,
                       enum svg_side side)
{
    if (f->passive != FACT_YES || !fact_known(f->born_us) || !f->born_at)
        return;
    struct svg_row *row = row_add(life, SVG_CALL, side, f->born_us);
    row->process = process_of(life, f->creator_pid, f->creator_program, side);
    text_add(&row->label, "accept()");
    add_place_of(&row->label, list, f->born_at);
}

static void add_read(struct svg_life *life, const struct facts_list *list, const struct facts *f,
                     enum svg_side side)
{
    if (!fact_known(f->eof_read_us))
        return;
    struct svg_row *row = row_add(life, SVG_CALL, side, f->eof_read_us);
    text_add(&row->label, "a receive returned 0: the end was read");
    add_place_of(&row->label, list, f->eof_read_at);
}

/* Closes, and what else queued the FIN: the last close is told as a close. */
static void add_ends(struct svg_life *life, const struct facts_list *list, const struct facts *f,
                     enum svg_side side)
{
    const struct fact_call *by = &f->fin_out_by;
    add_closes(life, list, f, side);
    if (!fact_known(f->fin_out_us) || by->kind == FACT_CALL_NONE ||
        (f->close_cnt && (by->kind == FACT_CALL_CLOSE || by->kind == FACT_CALL_EXIT)))
        return;
    struct svg_row *row = row_add(life, SVG_CALL, side, f->fin_out_us);
    row->process = process_of(life, by->pid, by->program, side);
    text_add(&row->label, words_call(by));
    add_place_of(&row->label, list, by->at);
}

/* ---- packets ---- */

static enum svg_side other(enum svg_side side)
{
    return side == SVG_HERE ? SVG_THERE : SVG_HERE;
}

static struct svg_row *packet(struct svg_life *life, enum svg_side from, uint64_t age_us,
                              const char *label)
{
    struct svg_row *row = row_add(life, SVG_PACKET, from, age_us);
    text_add(&row->label, label);
    return row;
}

static void add_handshake(struct svg_life *life, const struct facts *f)
{
    enum svg_side opener = f->passive == FACT_YES ? SVG_THERE : SVG_HERE;
    life->torn = !fact_known(f->born_us) || f->passive == FACT_MAYBE || f->at_least == FACT_YES;
    if (life->torn)
        return;
    struct svg_row *row = packet(life, opener, f->born_us, "SYN");
    row->state[opener] = LASTACK_SYN_SENT;
    if (f->state == LASTACK_SYN_SENT)
        return;
    row = packet(life, other(opener), f->born_us, "SYN, ACK");
    row->state[other(opener)] = LASTACK_SYN_RCVD;
    row->state[opener] = LASTACK_ESTABLISHED;
    if (f->state == LASTACK_SYN_RCVD)
        return;
    row = packet(life, opener, f->born_us, "ACK");
    row->state[other(opener)] = LASTACK_ESTABLISHED;
}

static void add_data(struct svg_life *life, enum svg_side from, uint64_t age_us, uint64_t bytes)
{
    if (!fact_known(age_us) || bytes == 0)
        return;
    struct svg_row *row = packet(life, from, age_us, "data");
    if (fact_known(bytes)) {
        text_add(&row->label, ", in all ");
        words_bytes(&row->label, bytes);
    }
    text_add(&row->label, " (the last)");
}

/* A FIN from `side` and what answered it; states are filled in later. One that was not acknowledged
 * may wait behind data, or be lost: then nobody knows that it arrived, unless the other end says so. */
static void add_fin(struct svg_life *life, enum svg_side side, uint64_t age_us, bool arrived)
{
    if (!fact_known(age_us))
        return;
    if (arrived) {
        packet(life, side, age_us, "FIN");
        packet(life, other(side), age_us, "ACK");
    } else {
        packet(life, side, age_us, "FIN, not acknowledged")->guessed = true;
    }
}

/* ---- order, and states ---- */

/* Rows of one moment stay as they were added: causes first. */
static int compare_rows(const void *a, const void *b)
{
    const struct svg_row *x = a, *y = b;
    if (x->age_us != y->age_us)
        return x->age_us > y->age_us ? -1 : 1;
    return x->order < y->order ? -1 : x->order > y->order;
}

static bool is_fin(const struct svg_row *row)
{
    return row->kind == SVG_PACKET && strncmp(text_string(&row->label), "FIN", 3) == 0;
}

/* Walk through the rows and write down which state each side has from there on. */
static void walk_states(struct svg_life *life)
{
    int state[SVG_SIDE_CNT] = {LASTACK_ESTABLISHED, LASTACK_ESTABLISHED};
    bool fin_of[SVG_SIDE_CNT] = {false};
    for (unsigned i = 0; i < life->row_cnt; i++) {
        struct svg_row *row = &life->rows[i];
        enum svg_side from = row->side, to = other(row->side);
        if (is_fin(row)) {
            row->state[from] = after_fin_out(state[from]);
            if (!row->guessed)
                row->state[to] = after_fin_in(state[to]);
            fin_of[from] = true;
        } else if (row->kind == SVG_PACKET && fin_of[to] && i && is_fin(&life->rows[i - 1])) {
            row->state[to] = after_fin_acked(state[to]);
        }
        for (int s = 0; s < SVG_SIDE_CNT; s++)
            if (row->state[s] != SVG_STATE_NONE)
                state[s] = row->state[s];
    }
    life->first[SVG_HERE] = life->first[SVG_THERE] = LASTACK_ESTABLISHED;
    if (!life->torn && life->row_cnt) {
        life->first[SVG_HERE] = life->first[SVG_THERE] = LASTACK_CLOSED;
        life->first[other(life->rows[0].side)] = LASTACK_LISTEN;
    }
}

static int last_state(const struct svg_life *life, enum svg_side side)
{
    for (unsigned i = life->row_cnt; i > 0; i--)
        if (life->rows[i - 1].state[side] != SVG_STATE_NONE)
            return life->rows[i - 1].state[side];
    return life->first[side];
}

/* What was seen of the state has the last word; how it came to it is then not known. */
static void settle(struct svg_life *life, enum svg_side side, const struct facts *f)
{
    if (last_state(life, side) == (int)f->state)
        return;
    if (life->row_cnt == 0 || !fact_known(f->state_us)) {
        if (life->row_cnt == 0)
            life->first[side] = (int)f->state;
        else
            life->rows[life->row_cnt - 1].state[side] = (int)f->state;
        return;
    }
    unsigned at = 0;
    while (at + 1 < life->row_cnt && life->rows[at + 1].age_us >= f->state_us)
        at++;
    for (unsigned i = at + 1; i < life->row_cnt; i++)
        life->rows[i].state[side] = SVG_STATE_NONE;
    life->rows[at].state[side] = (int)f->state;
}

/* ---- now ---- */

static void add_now_line(struct svg_life *life, enum svg_side side, const char *words)
{
    struct svg_row *row = row_add(life, SVG_NOW, side, 0);
    text_add(&row->label, words);
}

static void add_now(struct svg_life *life, const struct facts *f, enum svg_side side)
{
    struct text t;
    text_init(&t);
    words_bytes(&t, f->receive_queue);
    text_add(&t, " unread");
    if (fact_known(f->send_queue)) {
        text_add(&t, "; ");
        words_bytes(&t, f->send_queue);
        text_add(&t, " not acknowledged");
    }
    if (f->timer != LASTACK_TIMER_NONE) {
        text_printf(&t, "; %s", words_timer(f->timer));
        if (fact_known(f->timer_us)) {
            text_add(&t, " is due in ");
            words_duration(&t, f->timer_us);
        }
    } else if (f->state == LASTACK_CLOSE_WAIT || f->state == LASTACK_FIN_WAIT_2) {
        text_add(&t, "; no timer ends this state");
    }
    if (fact_known(f->retransmits) && f->retransmits)
        text_printf(&t, "; sent again %llu times", (unsigned long long)f->retransmits);
    if (f->holder_cnt == 0)
        text_add(&t, f->unaccepted == FACT_YES ? "; nobody has accepted it"
                     : f->orphan == FACT_YES   ? "; no process holds it"
                                               : "");
    add_now_line(life, side, text_string(&t));
    text_free(&t);
}

void svg_life_tell(struct svg_life *life, const struct facts_list *list, const struct facts *f,
                   const struct facts *peer)
{
    memset(life, 0, sizeof *life);
    life->exact[SVG_HERE] = true;
    life->exact[SVG_THERE] = peer != NULL;
    add_holders(life, f, SVG_HERE);
    if (peer)
        add_holders(life, peer, SVG_THERE);
    /* In the order of causes, for what happened in the same moment. */
    add_handshake(life, f);
    add_accept(life, list, f, SVG_HERE);
    if (peer)
        add_accept(life, list, peer, SVG_THERE);
    add_data(life, SVG_THERE, f->data_in_us, f->bytes_in);
    add_data(life, SVG_HERE, f->data_out_us, f->bytes_out);
    if (peer)
        add_ends(life, list, peer, SVG_THERE);
    /* What this end does not know the other one may. A FIN is acknowledged at once. */
    add_fin(life, SVG_THERE,
            peer && !fact_known(f->fin_in_us) ? peer->fin_out_us : f->fin_in_us, true);
    add_read(life, list, f, SVG_HERE);
    add_ends(life, list, f, SVG_HERE);
    add_fin(life, SVG_HERE,
            peer && !fact_known(f->fin_out_us) ? peer->fin_in_us : f->fin_out_us,
            f->fin_acked == FACT_YES || (peer && fact_known(peer->fin_in_us)));
    if (peer)
        add_read(life, list, peer, SVG_THERE);
    for (unsigned i = 0; i < life->row_cnt; i++)
        life->rows[i].at_least = f->at_least == FACT_YES;
    qsort(life->rows, life->row_cnt, sizeof life->rows[0], compare_rows);
    walk_states(life);
    settle(life, SVG_HERE, f);
    if (peer)
        settle(life, SVG_THERE, peer);
    add_now(life, f, SVG_HERE);
    if (peer)
        add_now(life, peer, SVG_THERE);
    life->gone = !peer && f->peer_end == FACT_PEER_GONE;
    if (life->gone)
        add_now_line(life, SVG_THERE, "gone: nothing has this address any more");
}

void svg_life_free(struct svg_life *life)
{
    for (unsigned i = 0; i < life->row_cnt; i++)
        text_free(&life->rows[i].label);
    for (unsigned i = 0; i < life->process_cnt; i++)
        text_free(&life->processes[i].words);
}
