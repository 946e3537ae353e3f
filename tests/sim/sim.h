/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The simulator: seeded worlds of hosts (one stack each), processes and links under virtual
 * time, on the public API alone, with oracles that know nothing of the engine's insides.
 * docs/SIMULATOR.md tells the whole story; this header is the shared vocabulary.
 */
#ifndef LASTACK_SIM_H
#define LASTACK_SIM_H

#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "lastack.h"

#define HOST_MAX 3
#define PROC_MAX 24 /* alive at one time, over all hosts */
#define FD_MAX 24
#define FLIGHT_MAX 8 /* descriptors in messages on the way */
#define BATCH_MAX 8
#define REASON_MAX 128
#define EVER_HELD_MAX 24

#define US 1000ull
#define MS 1000000ull
#define SEC 1000000000ull

/* ---- random numbers: splitmix64, one stream per purpose ------------------- */

struct rng {
    uint64_t s;
};

static inline uint64_t rng_u64(struct rng *r)
{
    uint64_t z = (r->s += 0x9e3779b97f4a7c15ull);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
}

/* 0 .. bound - 1 (the bias does not matter here). */
static inline uint32_t rng_below(struct rng *r, uint32_t bound)
{
    return (uint32_t)(((rng_u64(r) >> 32) * bound) >> 32);
}

/* low .. high, both included. */
static inline uint64_t rng_range(struct rng *r, uint64_t low, uint64_t high)
{
    return low + rng_u64(r) % (high - low + 1);
}

static inline bool rng_chance(struct rng *r, uint32_t ppm)
{
    return rng_below(r, 1000000) < ppm;
}

#define PERCENT 10000u /* in ppm */

/* ---- memory: one arena per world, freed at once --------------------------- */

struct arena_block {
    struct arena_block *next;
    size_t used, cap;
    max_align_t bytes[];
};
struct arena {
    struct arena_block *first;
};
void *arena_get(struct arena *arena, size_t size); /* zeroed; exits when memory is out */
void arena_free(struct arena *arena);

/* ---- the wire, parsed by the simulator's own eyes (wire.c) ---------------- */

#define F_FIN 0x01
#define F_SYN 0x02
#define F_RST 0x04
#define F_PSH 0x08
#define F_ACK 0x10

struct packet_view {
    uint32_t source, destination; /* IPv4, host order */
    uint8_t protocol, flags;
    uint16_t source_port, destination_port;
    uint32_t seq, ack;
    uint32_t window; /* not scaled */
    int wscale;      /* -1: absent */
    uint16_t mss;    /* 0: absent */
    const uint8_t *payload;
    uint32_t payload_len;
    bool is_tcp;
    bool genuine; /* false: made up by the stranger on the link */
};

static inline uint32_t view_end(const struct packet_view *v)
{
    return v->seq + v->payload_len + !!(v->flags & F_SYN) + !!(v->flags & F_FIN);
}

/* NULL if it is well-formed with right checksums; else what is wrong with it. */
const char *packet_parse(struct packet_view *view, const uint8_t *data, size_t len,
                         bool checksum_free);
/* A TCP packet for an attack or an answer; returns its length. `out` has room for 64 bytes. */
size_t packet_make(uint8_t *out, const struct packet_view *view);
/* The part of a packet's payload from `from` (a multiple of 8); returns the fragment's length. */
size_t packet_cut(uint8_t *out, const uint8_t *whole, size_t whole_len, size_t from, size_t len);

static inline int32_t seq_diff(uint32_t a, uint32_t b)
{
    return (int32_t)(a - b);
}

/* ---- the plan of a world (plan.c) ----------------------------------------- */

struct path_plan { /* one direction between two hosts */
    uint32_t loss_ppm, duplicate_ppm, reorder_ppm, corrupt_ppm;
    uint32_t fragment_ppm; /* a router on the way cuts the packet into pieces */
    uint64_t delay_ns, jitter_ns;
    uint64_t byte_ns; /* transmission time of a byte, 0: infinitely fast */
    uint32_t queue_max; /* packets on the way */
};

enum plan_link { PLAN_LINK_CALM, PLAN_LINK_LOSSY, PLAN_LINK_AWFUL };
enum wake {
    WAKE_TIMER,    /* acts when it likes; polls before it acts */
    WAKE_EVENT,    /* acts only when lastack_event names one of its sockets */
    WAKE_EPOLL_ET, /* the same, and only on what epoll_wait shows, edge-triggered */
    WAKE_EPOLL_LT, /* the same, level-triggered */
    WAKE_EPOLL_ONESHOT,
    WAKE_CNT
};

struct outage {
    uint64_t from_ns, to_ns;
    uint8_t source, destination;
    bool both;
};

struct plan {
    uint32_t host_cnt;
    struct lastack_config config[HOST_MAX];
    uint32_t mtu[HOST_MAX];
    bool checksum_free; /* the link is memory: checksums are neither written nor read */
    struct path_plan path[HOST_MAX][HOST_MAX];
    struct outage outages[8];
    uint32_t outage_cnt;
    uint64_t chaos_ns;   /* how long programs are wild and links are bad */
    uint32_t server_cnt; /* listening programs over all hosts */
    uint32_t client_cnt;
    uint32_t connect_max; /* per client */
    uint32_t bytes_max;   /* that one side of a connection wants to send */
    uint32_t chaos_ppm;   /* per step: an operation that has nothing to do with the job */
    uint32_t operator_ppm;
    uint32_t loopback_ppm; /* of connects go to the own host */
    uint32_t refused_ppm;  /* of connects go to a port that nobody has */
    uint32_t fixed_port_ppm; /* of connects come from a bound port */
    uint32_t simultaneous_cnt; /* pairs that open to each other */
    uint32_t hold_ppm;     /* of descriptors and programs are held on purpose */
    uint32_t never_accept_ppm;
    uint32_t stranger_ppm; /* per delivered packet: a blind attacker adds one of his own */
    uint32_t flood_ppm;    /* per delivered packet: SYNs from nowhere, and other noise */
    uint32_t icmp_ppm;     /* per lost packet: a router tells the sender */
    uint32_t backlog_max;
    uint32_t gap_us;       /* mean time between two steps of a timed program */
    bool lazy_tx;          /* takes frames one by one */
    bool tight;            /* limits are small enough to be met */
    bool wrap;             /* sequence numbers start just below the wrap */
    uint64_t start_ns;
};

void plan_draw(struct plan *plan, uint64_t seed);

/* ---- the model: what the programs know ------------------------------------ */

enum sock_kind {
    SOCK_FRESH,      /* nothing yet, or bound */
    SOCK_LISTENING,
    SOCK_CONNECTING,
    SOCK_CONNECTED,
    SOCK_OVER,       /* reported dead to the program */
    SOCK_EPOLL,
};

struct conn;
struct proc;

/* A socket as the programs that hold it see it. */
struct sock {
    struct sock *next; /* all of the world */
    struct host *host;
    uint64_t id; /* lastack_socket_id */
    uint32_t serial;
    enum sock_kind kind;
    uint32_t refs;
    uint32_t goal; /* bytes this side wants to send in all */
    bool bound, reuse_port;
    bool nonblocking;

    /* the stream out: pattern(key, 0 .. sent) */
    uint64_t key, sent;
    bool shut_wr, shut_rd; /* by a program's shutdown */
    uint64_t sent_at_end;

    /* the stream in */
    uint64_t received;
    struct sock *peer; /* once the bytes have told */
    bool eof;          /* a receive returned 0 because of the peer's end */
    bool blind;        /* bytes were thrown away: positions are unknown */

    int error;         /* first one reported (positive) */
    uint32_t error_cnt;
    bool keepalive;
    uint32_t user_timeout_ms;
    int linger_s; /* -1: off */
    bool lingering; /* a LASTACK_LINGERED event is owed */
    uint64_t linger_until_ns;
    bool unread_close; /* the last close found unread data */
    bool closed_blind; /* the model does not know how the last close found it */

    uint32_t close_pid, close_left; /* the last close that left references */
    int close_fd;
    bool has_close;
    bool has_tuple;
    struct lastack_tuple tuple;
    struct conn *conn;
    uint16_t port; /* listener, bound */
    uint32_t backlog;
};

/* A connection as the flight recorder and the wire tell it. */
struct conn {
    struct conn *next;      /* in its bucket, newest first */
    struct host *host;
    struct lastack_tuple tuple;
    enum lastack_state state;
    bool passive, dead, accepted, local; /* local: both ends on this host */
    bool was_synchronized, was_established;
    bool listener_gone; /* before anybody accepted it */
    uint8_t death_cause, death_from;
    uint32_t death_errno;
    uint64_t death_ns, state_since_ns, born_ns;
    struct sock *sock;
    bool op_wr, op_rd, op_rst;

    /* the wire, as far as this host has sent and was sent */
    bool iss_known, irs_known, fin_out;
    bool rst_unsure; /* a reset came to it over a bad path: it may never learn that its peer is gone */
    uint32_t iss, irs;
    uint32_t una;       /* highest acknowledgment delivered */
    uint32_t out_end;   /* highest sequence end sent */
    uint64_t una_ns, una_before_ns; /* when `una` moved, and the time before that */
    uint32_t tries;     /* emissions of the first unacknowledged byte since it moved */
    uint32_t syn_tries; /* emissions of the SYN */
    bool cookie;        /* born by a cookie's ACK: what was offered is not known */
    bool reborn;        /* and not for the first time: see watch_born */
    uint32_t in_end;    /* highest sequence end delivered */
    uint32_t ack_out;   /* highest acknowledgment sent */
    uint32_t next_in;   /* what the stack expects next, at least */
    uint32_t right_out; /* right edge offered, scaled */
    uint32_t right_in;  /* right edge heard */
    int wscale_out, wscale_in; /* -1: not on our SYN / theirs */
    uint16_t peer_mss;
    bool right_out_known, right_in_known, ack_out_known;
    uint64_t last_in_ns; /* any segment delivered */
    uint64_t last_fin_in_ns;
};

/* A descriptor in one process's table. */
enum style {
    STYLE_POLITE, /* sends its bytes, shuts down, reads to the end, closes */
    STYLE_ECHO,   /* sends what it has read, shuts down at the end of stream */
    STYLE_CHAOS,  /* anything */
    STYLE_HOLD,   /* keeps it and does nothing */
    STYLE_DEAF,   /* reads to the end of stream and then forgets to close */
    STYLE_CLOSER, /* closes at some moment */
    STYLE_CNT
};

struct desc {
    struct sock *s;
    bool cloexec;
    uint8_t origin;
    uint8_t style;
    bool registered; /* with this process's epoll */
    bool kick;       /* its program looks at it at the next step, ready or not */
};

enum program { PROGRAM_SERVER, PROGRAM_CLIENT, PROGRAM_WORKER };
enum serve { SERVE_SELF, SERVE_FORK, SERVE_FORK_LEAKY, SERVE_PASS, SERVE_NEVER };

struct proc {
    struct proc *next;
    struct host *host;
    lastack_process *p;
    uint32_t pid;
    bool alive, hold;
    enum program program;
    enum serve serve;
    enum wake wake;
    uint64_t next_ns;
    uint32_t connects; /* still to do */
    uint16_t port;     /* of a server */
    uint32_t idle;     /* steps without anything done: pollers become lazy */
    int epoll_fd;
    struct desc fds[FD_MAX];
};

struct flight { /* a descriptor in a message */
    lastack_message *message;
    struct sock *s;
    struct host *host;
    uint8_t style;
    uint64_t due_ns;
};

struct host {
    unsigned index;
    lastack *stack;
    uint32_t ip4;
    uint64_t record_cursor;
    uint32_t next_pid;
    uint64_t frames_in, frames_out, corrupt_in, stranger_in;
    uint64_t corrupt_pieces; /* of cut packets: the whole may or may not come together */
    bool used_loopback;
    uint64_t told_ns; /* the time that the stack knows */
};

/* ---- the link (link.c) ----------------------------------------------------- */

struct packet {
    uint64_t due_ns, order;
    uint8_t source, destination;
    bool corrupt, genuine;
    struct pieces *pieces; /* of which this is number `piece`, or NULL */
    uint8_t piece;
    uint32_t len;
    uint8_t data[];
};

/* A packet that was cut: with the last piece the whole has arrived. In the world's arena. */
struct pieces {
    uint32_t cnt, arrived; /* a bit for each */
    uint32_t len;
    uint8_t whole[];
};
#define PIECES_MAX 4

struct path {
    struct path_plan plan;
    uint64_t busy_until_ns, last_due_ns;
    uint32_t flying;
    uint32_t down; /* how many outages cover it now */
};

struct link {
    struct packet **heap;
    size_t heap_len, heap_cap;
    uint64_t order;
    uint16_t next_id; /* of packets that are cut */
    struct path path[HOST_MAX][HOST_MAX];
};

/* ---- coverage ----------------------------------------------------------------- */

struct coverage {
    uint64_t worlds, packets, steps, calls, bytes;
    uint64_t edge[LASTACK_STATE_CNT][LASTACK_STATE_CNT];
    uint64_t cause[LASTACK_CAUSE_CNT];
    uint64_t held[LASTACK_STATE_CNT]; /* survived hours with a holder */
    uint64_t drop[REASON_MAX];
    uint64_t error[256];
    uint64_t eof, whole_streams, event_cnt, lingered, cookies, reborn;
};

/* ---- deliberate faults: do the oracles bite? (fault.c) ---------------------- */

enum fault {
    FAULT_NONE,
#define FAULT(name, text) FAULT_##name,
#include "fault.def"
#undef FAULT
    FAULT_CNT
};
const char *fault_name(enum fault fault);
const char *fault_text(enum fault fault);

/* ---- a world (world.c) -------------------------------------------------------- */

enum phase { PHASE_CHAOS, PHASE_FINISH, PHASE_HOLD, PHASE_END };

#define CONN_BUCKETS 64

struct world {
    uint64_t seed, now;
    struct plan plan;
    enum phase phase;
    struct rng actor, net, check;
    struct arena arena;
    struct host host[HOST_MAX];
    struct link link;
    struct proc *procs;
    uint32_t proc_cnt; /* alive */
    struct sock *socks;
    uint32_t sock_serial;
    struct flight flights[FLIGHT_MAX];
    struct conn *conns[CONN_BUCKETS];
    struct coverage *coverage;
    uint64_t steps, step_limit;
    uint64_t hash; /* of everything that happened */
    bool trace;
    uint64_t progress; /* counts what programs got done */

    /* the frames that the stack is reading right now: what explains its edges */
    struct packet_view batch[BATCH_MAX];
    uint32_t batch_cnt;

    enum fault fault;
    struct rng fault_rng;
    uint32_t fault_cnt; /* how often it struck */

    jmp_buf out;
    char failure[512];
    bool failed;
};

__attribute__((format(printf, 2, 3))) _Noreturn void world_fail(struct world *w, const char *format,
                                                                ...);
#define ORACLE(w, condition, ...)            \
    do {                                     \
        if (__builtin_expect(!(condition), 0)) \
            world_fail((w), __VA_ARGS__);    \
    } while (0)

__attribute__((format(printf, 2, 3))) void world_story(struct world *w, const char *format, ...);
#define STORY(w, ...)                \
    do {                             \
        if ((w)->trace)              \
            world_story(w, __VA_ARGS__); \
    } while (0)

static inline void world_mix(struct world *w, uint64_t value)
{
    w->hash = (w->hash ^ value) * 0x9fb21c651e98df25ull;
    w->hash ^= w->hash >> 32;
}

struct world_options {
    bool trace;
    enum fault fault;
    uint64_t step_limit; /* 0: the default */
};
struct world_result {
    bool failed;
    char failure[512];
    uint64_t hash;
    uint32_t fault_cnt;
    uint64_t end_ns, steps;
};
void world_run(uint64_t seed, const struct world_options *options, struct coverage *coverage,
               struct world_result *result);
void world_settle(struct world *w);
struct host *world_host_of(struct world *w, const struct lastack_address *address,
                           struct host *self);

/* link.c */
void link_init(struct world *w);
void link_free(struct world *w);
void link_heal(struct world *w);
void link_outages(struct world *w); /* apply what is due at w->now */
uint64_t link_next_outage(const struct world *w);
void link_send(struct world *w, struct host *from, const struct lastack_frame *frame);
uint64_t link_next(const struct world *w);
struct packet *link_take(struct world *w); /* due now; the caller frees it */
bool link_has(const struct world *w, const struct lastack_tuple *t); /* either way */
void link_inject(struct world *w, unsigned to, const uint8_t *data, size_t len);

/* stranger.c: a blind attacker, and a router's ICMP */
void stranger_strike(struct world *w);
void stranger_flood(struct world *w);
void stranger_icmp(struct world *w, struct host *to, const uint8_t *lost, size_t len, bool hard);

/* conn.c: connections as recorder and wire tell them */
struct conn *conn_find(struct world *w, const struct host *host, const struct lastack_tuple *t);
struct conn *conn_unaccepted(struct world *w, const struct host *host,
                             const struct lastack_tuple *t);
struct lastack_tuple tuple_mirror(const struct lastack_tuple *t);
const char *tuple_text(const struct lastack_tuple *t, char out[128]);
void conn_records(struct world *w, struct host *host); /* drain the recorder */
bool conn_ended(const struct conn *c);        /* its side's programs have ended the stream */
bool conn_held(const struct conn *c);
struct host *conn_peer_host(struct world *w, const struct conn *c);
/* Connections at the other end whose tuple is the mirror of this one's, newest first. */
struct conn *conn_peer(struct world *w, const struct conn *c);
struct conn *conn_older(struct conn *c); /* of the same host and tuple */
void conn_bind_sock(struct world *w, struct sock *s, struct conn *c);

/* legal.c */
bool edge_legal(enum lastack_state from, enum lastack_state to);
bool edge_wanted(enum lastack_state from, enum lastack_state to); /* a long run must meet it */

/* edge.c: what must have been true for an edge, and for an error that a program gets */
void edge_explain(struct world *w, struct conn *c, const struct lastack_record *r);
void edge_error_explain(struct world *w, struct sock *s, int error, const char *call);

/* watch.c: every frame that leaves or arrives */
struct lastack_tuple view_tuple(const struct packet_view *v, bool outgoing);
void watch_born(struct world *w, struct conn *c);
void watch_out(struct world *w, struct host *host, const struct packet_view *v);
void watch_in(struct world *w, struct host *host, const struct packet_view *v);

/* stream.c: patterned bytes */
void pattern_fill(uint64_t key, uint64_t position, uint8_t *out, size_t len);
bool pattern_match(uint64_t key, uint64_t position, const uint8_t *data, size_t len);
void stream_received(struct world *w, struct sock *s, const uint8_t *data, size_t len);
void stream_eof(struct world *w, struct sock *s);

/* check.c: lastack_info, holders, usage against the model */
void check_host(struct world *w, struct host *host);
void check_end(struct world *w);
void check_deadlines(struct world *w);
bool check_info_of(struct world *w, struct sock *s, struct lastack_info *info);

/* call.c, hold.c: the socket calls, with the model beside them */
struct proc *call_spawn(struct world *w, struct host *host, enum program program);
int call_socket(struct world *w, struct proc *p, bool nonblocking);
int call_bind(struct world *w, struct proc *p, int fd, uint32_t ip4, uint16_t port);
int call_listen(struct world *w, struct proc *p, int fd, int backlog);
int call_connect(struct world *w, struct proc *p, int fd, uint32_t ip4, uint16_t port);
int call_connect_check(struct world *w, struct proc *p, int fd);
int call_accept(struct world *w, struct proc *p, int fd);
ssize_t call_send(struct world *w, struct proc *p, int fd, size_t len);
ssize_t call_recv(struct world *w, struct proc *p, int fd, size_t len);
int call_shutdown(struct world *w, struct proc *p, int fd, int how);
int call_close(struct world *w, struct proc *p, int fd);
int call_linger(struct world *w, struct proc *p, int fd, int seconds);
int call_option(struct world *w, struct proc *p, int fd);
int call_error(struct world *w, struct proc *p, int fd);
short call_poll(struct world *w, struct proc *p, int fd);
void call_operator(struct world *w, struct host *host);
int call_dup(struct world *w, struct proc *p, int fd);
void call_flags(struct world *w, struct proc *p, int fd);
int call_dup3(struct world *w, struct proc *p, int fd, int new_fd);
struct proc *call_fork(struct world *w, struct proc *p);
void call_exec(struct world *w, struct proc *p);
void call_exit(struct world *w, struct proc *p);
bool call_message_put(struct world *w, struct proc *p, int fd);
bool call_message_get(struct world *w, struct proc *p);
void call_message_drop(struct world *w, struct flight *f);
void call_epoll_open(struct world *w, struct proc *p);
void call_epoll_add(struct world *w, struct proc *p, int fd);
uint32_t call_epoll_wait(struct world *w, struct proc *p);
void call_event(struct world *w, struct host *host, const struct lastack_event *event);
struct sock *sock_by_id(struct world *w, const struct host *host, uint64_t id);
void sock_reported(struct world *w, struct sock *s, int error, const char *call);
struct sock *model_sock(struct world *w, struct proc *p, int fd, enum sock_kind kind,
                        enum lastack_origin origin);
void model_check_new_fd(struct world *w, struct proc *p, int fd, int from, const char *call);
void listener_gone(struct world *w, struct sock *listener);
int proc_lowest_free(const struct proc *p, int from);
bool sock_held_on_purpose(struct world *w, const struct sock *s);

/* actor.c, job.c: what programs do */
void actor_populate(struct world *w);
void actor_step(struct world *w, struct proc *p);
void actor_wake(struct world *w, struct sock *s); /* something happened on it */
void actor_wake_proc(struct world *w, struct proc *p, uint64_t after_ns);
void actor_finish(struct world *w); /* from now on all that want to end do */
void actor_chaos(struct world *w, struct proc *p);
void job_draw(struct world *w, struct proc *p, int fd); /* what is this one for? */
bool job_step(struct world *w, struct proc *p, int fd, bool greedy); /* true: more to do at once */

/* fault.c: the only way from here into the calls that faults can bend */
ssize_t fault_recv(struct world *w, lastack_process *p, int fd, void *data, size_t len, int flags);
ssize_t fault_send(struct world *w, lastack_process *p, int fd, const void *data, size_t len,
                   int flags);
int fault_close(struct world *w, struct proc *p, int fd, bool last);
lastack_process *fault_fork(struct world *w, lastack_process *p, uint32_t pid);
void fault_exit(struct world *w, lastack_process *p);
size_t fault_tx(struct world *w, struct host *host, struct lastack_frame *frames, size_t max);
void fault_rx(struct world *w, struct host *host, struct lastack_frame *frames, size_t cnt);
void fault_tick(struct world *w, struct host *host);
uint64_t fault_deadline(struct world *w, lastack *stack);
bool fault_event(struct world *w, lastack *stack, struct lastack_event *event);
bool fault_record_next(struct world *w, lastack *stack, uint64_t *cursor,
                       struct lastack_record *record);
bool fault_info_next(struct world *w, lastack *stack, uint64_t *cursor, struct lastack_info *info);
void fault_usage(struct world *w, lastack *stack, struct lastack_usage *usage);

#endif
