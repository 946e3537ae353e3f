/* SPDX-License-Identifier: BSD-2-Clause */
/* Looks of --follow. */
#include "cli/follow_look.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#define EVERY_US    2000000u
#define COST_FACTOR 20 /* a twentieth of a core at most */
#define WINDOW_US   60000000u
#define SAMPLE_MAX  32
#define TRACK_MAX   4096
#define GROUP_MAX   1000 /* the worst ones; more have no growth */

/* ---- growth ---- */

struct sample {
    uint64_t at_us;
    uint32_t cnt;
};

/* One group, known by its key. */
struct track {
    uint64_t key, seen_us;
    struct sample samples[SAMPLE_MAX]; /* oldest first */
    unsigned sample_cnt;
};

struct follow_history {
    struct track *tracks;
    uint32_t cnt;
    uint64_t first_us; /* of the first look; 0: none yet */
    struct group_moment then, next; /* what growth is measured from: half a window old and more */
};

struct follow_history *follow_history_open(void)
{
    return calloc(1, sizeof(struct follow_history));
}

void follow_history_close(struct follow_history *history)
{
    if (history) {
        group_moment_free(&history->then);
        group_moment_free(&history->next);
    }
    free(history ? history->tracks : NULL);
    free(history);
}

uint64_t follow_now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static struct track *track_of(struct follow_history *history, uint64_t key, uint64_t now_us)
{
    struct track *stale = NULL;
    for (uint32_t i = 0; i < history->cnt; i++) {
        if (history->tracks[i].key == key)
            return &history->tracks[i];
        if (now_us - history->tracks[i].seen_us > WINDOW_US)
            stale = &history->tracks[i];
    }
    if (!stale && history->cnt < TRACK_MAX) {
        struct track *more = realloc(history->tracks, (history->cnt + 1) * sizeof *more);
        if (more) {
            history->tracks = more;
            stale = &more[history->cnt++];
        }
    }
    if (!stale)
        return NULL;
    *stale = (struct track){.key = key};
    /* A group that was not there at the first look began with nothing. */
    if (history->first_us && history->first_us != now_us)
        stale->samples[stale->sample_cnt++] = (struct sample){now_us - EVERY_US, 0};
    return stale;
}

static struct group_change track_add(struct track *track, uint64_t now_us, uint32_t cnt)
{
    struct group_change change = {0};
    unsigned old = 0;
    while (old < track->sample_cnt && now_us - track->samples[old].at_us > WINDOW_US)
        old++;
    if (old || track->sample_cnt == SAMPLE_MAX) {
        old += old == 0;
        track->sample_cnt -= old;
        memmove(track->samples, track->samples + old, track->sample_cnt * sizeof(struct sample));
    }
    const struct sample *first = &track->samples[0];
    if (track->sample_cnt && now_us - first->at_us >= EVERY_US / 2) {
        int64_t more = (int64_t)cnt - first->cnt;
        change.known = true;
        change.per_minute = more * 60000000 / (int64_t)(now_us - first->at_us);
    }
    uint64_t last = track->sample_cnt ? track->samples[track->sample_cnt - 1].at_us : 0;
    if (!last || now_us - last >= WINDOW_US / SAMPLE_MAX)
        track->samples[track->sample_cnt++] = (struct sample){now_us, cnt};
    track->seen_us = now_us;
    return change;
}

static void add_changes(struct follow_look *look, struct follow_history *history)
{
    uint64_t now_us = follow_now_us();
    uint32_t group_cnt = look->groups.cnt < GROUP_MAX ? look->groups.cnt : GROUP_MAX;
    for (uint32_t i = 0; i < group_cnt; i++) {
        const struct finding_group *g = &look->groups.all[i];
        uint32_t cnt = 0;
        bool again = false;
        for (uint32_t k = 0; k < group_cnt; k++) {
            if (look->groups.all[k].key != g->key)
                continue;
            again = again || k < i;
            cnt += look->groups.all[k].record_cnt;
        }
        struct track *track = again ? NULL : track_of(history, g->key, now_us);
        if (track)
            look->changes[i] = track_add(track, now_us, cnt);
    }
    if (!history->first_us)
        history->first_us = now_us;
}

static void find_floods(struct follow_look *look, struct follow_history *history)
{
    uint64_t now_us = follow_now_us();
    if (history->then.all)
        finding_groups_grow(&look->groups, &history->then, now_us);
    /* One rate, of the real time between two looks: what is said of a flood and beside it agrees. */
    for (uint32_t i = 0; i < look->groups.cnt && i < GROUP_MAX; i++)
        if (look->changes[i].known && look->groups.all[i].per_minute != GROUP_GROWTH_UNKNOWN)
            look->changes[i].per_minute = look->groups.all[i].per_minute;
    if (history->next.all && now_us - history->next.at_us < WINDOW_US / 2)
        return;
    group_moment_free(&history->then);
    history->then = history->next;
    if (!group_moment_take(&history->next, &look->groups, now_us))
        return; /* no memory: a look without growth */
    if (!history->then.all)
        group_moment_take(&history->then, &look->groups, now_us);
}

/* ---- a look ---- */

static uint64_t cpu_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

struct follow_look *follow_look_take(const struct why_options *o, const char *command,
                                     struct follow_history *history)
{
    struct follow_look *look = calloc(1, sizeof *look);
    time_t now = time(NULL);
    uint64_t before_us = cpu_us();
    struct tm local;
    if (!look)
        return NULL;
    strftime(look->moment, sizeof look->moment, "%H:%M:%S", localtime_r(&now, &local));
    text_init(&look->trouble);
    complain_into(&look->trouble);
    catch_look(&look->catch, command, &o->look);
    complain_into(NULL);
    bool good = why_judge(&look->findings, &look->catch, o) &&
                findings_group(&look->groups, &look->findings,
                               o->all ? SEVERITY_HEALTHY : SEVERITY_ATTENTION);
    look->changes = calloc(look->groups.cnt + 1u, sizeof *look->changes);
    if (!good || !look->changes) {
        follow_look_free(look);
        return NULL;
    }
    add_changes(look, history);
    find_floods(look, history);
    look->cost_us = cpu_us() - before_us;
    return look;
}

void follow_look_free(struct follow_look *look)
{
    if (!look)
        return;
    finding_groups_free(&look->groups);
    findings_free(&look->findings);
    catch_free(&look->catch);
    text_free(&look->trouble);
    free(look->changes);
    free(look);
}

uint64_t follow_pause_us(const struct why_options *o, uint64_t cost_us)
{
    uint64_t every_us = o->every_us ? o->every_us : EVERY_US;
    return cost_us * COST_FACTOR > every_us ? cost_us * COST_FACTOR : every_us;
}

/* ---- the thread ---- */

struct follow_looker {
    const struct why_options *o;
    const char *command;
    struct follow_history *history;
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t asked;
    bool wanted, busy, stop;
    struct follow_look *ready;
    int fd;
};

static void hand_over(struct follow_looker *looker, struct follow_look *look)
{
    const uint64_t one = 1;
    follow_look_free(looker->ready);
    looker->ready = look;
    if (write(looker->fd, &one, sizeof one) < 0)
        return; /* it is readable already */
}

static void *work(void *argument)
{
    struct follow_looker *looker = argument;
    pthread_mutex_lock(&looker->mutex);
    while (!looker->stop) {
        if (!looker->wanted) {
            pthread_cond_wait(&looker->asked, &looker->mutex);
            continue;
        }
        looker->wanted = false;
        looker->busy = true;
        pthread_mutex_unlock(&looker->mutex);
        struct follow_look *look = follow_look_take(looker->o, looker->command, looker->history);
        pthread_mutex_lock(&looker->mutex);
        looker->busy = false;
        hand_over(looker, look);
    }
    pthread_mutex_unlock(&looker->mutex);
    return NULL;
}

struct follow_looker *follow_looker_start(const struct why_options *o, const char *command, int *fd)
{
    struct follow_looker *looker = calloc(1, sizeof *looker);
    if (!looker)
        return NULL;
    looker->o = o;
    looker->command = command;
    looker->history = follow_history_open();
    looker->fd = *fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    pthread_mutex_init(&looker->mutex, NULL);
    pthread_cond_init(&looker->asked, NULL);
    if (!looker->history || looker->fd < 0 ||
        pthread_create(&looker->thread, NULL, work, looker) != 0) {
        follow_history_close(looker->history);
        free(looker);
        return NULL;
    }
    return looker;
}

void follow_looker_ask(struct follow_looker *looker)
{
    pthread_mutex_lock(&looker->mutex);
    looker->wanted = true;
    pthread_cond_signal(&looker->asked);
    pthread_mutex_unlock(&looker->mutex);
}

struct follow_look *follow_looker_take(struct follow_looker *looker)
{
    uint64_t cnt;
    if (read(looker->fd, &cnt, sizeof cnt) < 0)
        return NULL;
    pthread_mutex_lock(&looker->mutex);
    struct follow_look *look = looker->ready;
    looker->ready = NULL;
    pthread_mutex_unlock(&looker->mutex);
    return look;
}

bool follow_looker_stop(struct follow_looker *looker)
{
    pthread_mutex_lock(&looker->mutex);
    bool busy = looker->busy;
    looker->stop = true;
    pthread_cond_signal(&looker->asked);
    pthread_mutex_unlock(&looker->mutex);
    if (busy)
        return false;
    pthread_join(looker->thread, NULL);
    follow_look_free(looker->ready);
    follow_history_close(looker->history);
    close(looker->fd);
    free(looker);
    return true;
}
