/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The matrix events x states of RFC 9293 3.10, as SEMANTICS.md overrules it: each cell is a test.
 * The expectations are in the .def files, one per group of events. A cell without a row, or with
 * two, fails the program before any test runs.
 */
#include <errno.h>

#include "cell.h"
#include "event.h"

static const struct row rows[] = {
#define CELL(event, columns, next, sent, sees, cause, drop)                                        \
    {__FILE__, __LINE__, EVENT_##event, columns, next, sent, sees, drop, LASTACK_CAUSE_##cause},
#include "call_open.def"
#include "call_data.def"
#include "call_end.def"
#include "segment_rst.def"
#include "segment_syn.def"
#include "segment_ack.def"
#include "segment_text.def"
#include "segment_fin.def"
#include "segment_odd.def"
#include "timeout.def"
#undef CELL
};
#define ROW_CNT (sizeof(rows) / sizeof(rows[0]))

/* What a program sees in a state when nothing special has happened. */
static const char *const usual[COLUMN_CNT] = {
    [COLUMN_CLOSED] = "oh ENOTCONN",
    [COLUMN_LISTEN] = ". ENOTCONN",
    [COLUMN_SYN_SENT] = ". EAGAIN",
    [COLUMN_SYN_RCVD] = ". ENOTCONN",
    [COLUMN_SYN_RCVD_ACTIVE] = ". EAGAIN",
    [COLUMN_ESTABLISHED] = "o EAGAIN",
    [COLUMN_FIN_WAIT_1] = "o EAGAIN",
    [COLUMN_FIN_WAIT_2] = "o EAGAIN",
    [COLUMN_CLOSE_WAIT] = "ior EOF",
    [COLUMN_CLOSING] = "iorh EOF",
    [COLUMN_LAST_ACK] = "iorh EOF",
    [COLUMN_TIME_WAIT] = "iorh EOF",
    [COLUMN_FIN_WAIT_1_ORPHAN] = "-",
    [COLUMN_FIN_WAIT_2_ORPHAN] = "-",
    [COLUMN_CLOSING_ORPHAN] = "-",
    [COLUMN_LAST_ACK_ORPHAN] = "-",
    [COLUMN_TIME_WAIT_ORPHAN] = "-",
};

static enum column next_column(const struct cell *c)
{
    if (c->row->next == SAME)
        return c->column;
    return (enum column)__builtin_ctz(c->row->next);
}

static enum lastack_state next_state(const struct cell *c)
{
    return column_state(next_column(c));
}

/* ---- what came of it ---------------------------------------------------- */

#define TEXT_LEN 400

static int see_poll(char *out, size_t len, short ready)
{
    const struct {
        short bit;
        char letter;
    } names[] = {{POLLIN, 'i'}, {POLLOUT, 'o'}, {POLLRDHUP, 'r'}, {POLLHUP, 'h'}, {POLLERR, 'e'},
                 {POLLNVAL, 'n'}, {POLLPRI, 'p'}};
    char text[9] = "";
    unsigned cnt = 0;

    for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (ready & names[i].bit)
            text[cnt++] = names[i].letter;
    return snprintf(out, len, "%s ", cnt ? text : ".");
}

static size_t see_receives(struct cell *c, char *out, size_t len)
{
    size_t at = 0;
    uint8_t data[4096];

    for (unsigned i = 0; i < 4; i++) {
        ssize_t got = lastack_recv(c->w.process, c->fd, data, sizeof(data), MSG_DONTWAIT);

        if (got > 0) {
            at += (size_t)snprintf(out + at, len - at, "%zd ", got);
            continue;
        }
        at += (size_t)snprintf(out + at, len - at, "%s", got ? errno_name((int)got) : "EOF");
        break;
    }
    return at;
}

static void see(struct cell *c, char *out, size_t len)
{
    size_t at = 0;
    int error;

    if (c->has_result && c->result < 0)
        at += (size_t)snprintf(out, len, "=%s ", errno_name(c->result));
    else if (c->has_result)
        at += (size_t)snprintf(out, len, "=%d ", c->result);
    if (c->lingered)
        at += (size_t)snprintf(out + at, len - at, "lingered ");
    if (c->fd < 0) {
        snprintf(out + at, len - at, "-");
        return;
    }
    at += (size_t)see_poll(out + at, len - at, world_poll(&c->w, c->fd));
    error = world_get(&c->w, c->fd, SOL_SOCKET, SO_ERROR);
    if (error)
        at += (size_t)snprintf(out + at, len - at, "%s ", errno_name(error));
    see_receives(c, out + at, len - at);
}

/* `@` replaced by what is usual in the next state. */
static void expected_sees(const struct cell *c, char *out, size_t len)
{
    const char *insert = c->fd < 0 ? "-" : usual[next_column(c)];
    size_t used = 0;

    for (const char *at = c->row->sees; *at && used + 1 < len; at++) {
        if (*at == '@')
            used += (size_t)snprintf(out + used, len - used, "%s", insert);
        else
            out[used++] = *at;
    }
    out[used < len ? used : len - 1] = '\0';
}

static void check_sees(struct cell *c)
{
    char saw[TEXT_LEN], expected[TEXT_LEN];

    expected_sees(c, expected, sizeof(expected));
    see(c, saw, sizeof(saw));
    if (!expect_word(expected, saw))
        FAIL("%s:%d: the program sees \"%s\", not \"%s\"", c->row->file, c->row->line, saw,
             expected);
}

static void check_sent(struct cell *c)
{
    char text[4 * TEXT_LEN];

    if (expect_sent(c->row->sent, &c->n, c->w.sent, c->w.sent_cnt))
        return;
    expect_describe(text, sizeof(text), &c->n, c->w.sent, c->w.sent_cnt);
    FAIL("%s:%d: sent \"%s\", not \"%s\"", c->row->file, c->row->line, text, c->row->sent);
}

static void check_state(struct cell *c)
{
    enum lastack_state state = world_state(&c->w);

    if (state != next_state(c))
        FAIL("%s:%d: state is %s, not %s", c->row->file, c->row->line, lastack_state_name(state),
             lastack_state_name(next_state(c)));
    if (c->extra)
        FAIL("%s:%d: %s", c->row->file, c->row->line, c->extra);
}

static void check_drops(struct cell *c)
{
    char text[TEXT_LEN] = "";
    size_t at = 0;

    for (unsigned i = 1; i < DROP_CNT; i++)
        if (world_dropped(&c->w, i) && at < sizeof(text))
            at += (size_t)snprintf(text + at, sizeof(text) - at, "%s%s", at ? " + " : "",
                                   lastack_drop_name(i));
    if (strcmp(c->row->drop, "~") == 0 || (strcmp(c->row->drop, "*") == 0 && at))
        return;
    if (!expect_word(c->row->drop, text))
        FAIL("%s:%d: counted \"%s\", not \"%s\"", c->row->file, c->row->line, text, c->row->drop);
}

/* One edge of the chain that leads from the column's state to the next one. */
static void check_edge(struct cell *c, const struct lastack_record *r, unsigned number,
                       enum lastack_state at)
{
    if (number == 0 && c->column == COLUMN_LISTEN)
        return; /* the listener's own, or the new entry's */
    if (r->from != at)
        FAIL("%s:%d: edge %u is from %s, the state was %s", c->row->file, c->row->line, number,
             lastack_state_name(r->from), lastack_state_name(at));
}

static void check_edges(struct cell *c)
{
    enum lastack_state at = column_state(c->column), end = next_state(c);
    struct lastack_record r, last = {0};
    unsigned cnt = 0;

    while (world_edge(&c->w, &r)) {
        if (c->column == COLUMN_SYN_RCVD && r.tuple.remote_port == 0)
            continue; /* the listener's */
        check_edge(c, &r, cnt++, at);
        at = r.to;
        last = r;
    }
    if (c->column == COLUMN_SYN_RCVD && end == LASTACK_LISTEN && at == LASTACK_CLOSED)
        at = LASTACK_LISTEN; /* for the half-open entry the two are one */
    if ((cnt > 0) != (c->row->cause != LASTACK_CAUSE_NONE))
        FAIL("%s:%d: %u edges recorded, the cause expected is \"%s\"", c->row->file, c->row->line,
             cnt, lastack_cause_name(c->row->cause));
    if (cnt == 0)
        return;
    if (at != end)
        FAIL("%s:%d: the recorder ends in %s, not %s", c->row->file, c->row->line,
             lastack_state_name(at), lastack_state_name(end));
    if (last.cause != c->row->cause)
        FAIL("%s:%d: recorded cause is \"%s\", not \"%s\"", c->row->file, c->row->line,
             lastack_cause_name(last.cause), lastack_cause_name(c->row->cause));
}

/* A handshake that completed is seen by the program through accept. */
static void accept_completed(struct cell *c)
{
    if (c->column != COLUMN_SYN_RCVD || c->fd < 0)
        return;
    if (!(world_poll(&c->w, c->fd) & POLLIN))
        return;
    world_accept(&c->w);
    c->fd = c->w.fd;
}

static void numbers_take(struct cell *c)
{
    struct world *w = &c->w;

    c->n.iss = w->iss;
    c->n.una = w->snd_una;
    c->n.nxt = w->snd_nxt;
    c->n.rcv = w->rcv_nxt;
}

static void segment_numbers_take(struct cell *c)
{
    const struct wire_segment *s = &c->w.last_in;

    c->n.sack = s->ack;
    c->n.send = s->seq + s->len + !!(s->flags & TCP_SYN) + !!(s->flags & TCP_FIN);
}

static void cell_check(struct cell *c)
{
    unsigned failures = test_state.failure_cnt;

    segment_numbers_take(c);
    check_sent(c);
    check_drops(c);
    check_edges(c);
    check_state(c);
    accept_completed(c);
    check_sees(c);
    if (test_state.failure_cnt != failures)
        test_note("event %s in %s, connection %s", events[c->row->event].name,
                  column_name(c->column), c->passive ? "passive" : "active");
}

struct place {
    const struct row *row;
    enum column column;
    bool passive;
};

static void cell_run(const void *arg)
{
    static struct cell cell;
    const struct place *place = arg;
    const struct event *event = &events[place->row->event];
    struct cell *c = &cell;
    struct lastack_config config;
    struct lastack_record record;

    memset(c, 0, sizeof(*c));
    c->row = place->row;
    c->column = place->column;
    c->passive = place->passive;
    world_config(&config);
    if (event->configure)
        event->configure(&config);
    world_open_with(&c->w, &config);
    cell_enter(c);
    if (c->fd >= 0)
        c->socket_id = lastack_socket_id(c->w.process, c->fd);
    if (event->prepare)
        event->prepare(c);
    while (world_edge(&c->w, &record)) {
    }
    world_drops_mark(&c->w);
    world_forget(&c->w);
    numbers_take(c);
    event->apply(c);
    cell_check(c);
    world_close(&c->w);
}

/* ---- the table is complete ---------------------------------------------- */

static const struct row *row_of(unsigned event, unsigned column, unsigned *cnt)
{
    const struct row *found = NULL;

    *cnt = 0;
    for (size_t i = 0; i < ROW_CNT; i++)
        if (rows[i].event == event && (rows[i].columns & 1u << column)) {
            found = &rows[i];
            (*cnt)++;
        }
    return found;
}

static void cell_add(const struct row *row, unsigned column, bool passive)
{
    static struct place places[2 * EVENT_CNT * COLUMN_CNT];
    static unsigned place_cnt;
    struct place *place = &places[place_cnt++];
    char name[100];

    *place = (struct place){row, (enum column)column, passive};
    snprintf(name, sizeof(name), "%s/%s%s", events[row->event].name, column_name(place->column),
             column < COLUMN_ESTABLISHED ? "" : passive ? "/passive" : "/active");
    test_register(name, cell_run, place);
}

static unsigned cells_add(unsigned event)
{
    unsigned wrong = 0, cnt;

    for (unsigned column = 0; column < COLUMN_CNT; column++) {
        const struct row *row = row_of(event, column, &cnt);
        bool possible = events[event].columns & 1u << column;

        if (cnt != possible) {
            fprintf(stderr, "cell %s/%s has %u rows, not %d\n", events[event].name,
                    column_name((enum column)column), cnt, possible);
            wrong++;
            continue;
        }
        if (!possible)
            continue;
        cell_add(row, column, true);
        if (column >= COLUMN_ESTABLISHED)
            cell_add(row, column, false);
    }
    return wrong;
}

TEST_SETUP(matrix)
{
    unsigned wrong = 0;

    for (unsigned event = 0; event < event_cnt; event++)
        wrong += cells_add(event);
    if (wrong) {
        fprintf(stderr, "the matrix is not complete: %u cells are wrong\n", wrong);
        exit(EXIT_FAILURE);
    }
}

TEST_MAIN()
