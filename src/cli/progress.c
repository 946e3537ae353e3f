/* SPDX-License-Identifier: BSD-2-Clause */
/* A sign of life for what takes long: a thread that speaks while the command is busy, so that no
 * call of the command is interrupted for it. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "cli/cli.h"

#define FIRST_S 2

static struct {
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t over;
    const char *what;
    bool running, stop;
} progress = {.mutex = PTHREAD_MUTEX_INITIALIZER, .over = PTHREAD_COND_INITIALIZER};

static void *speak(void *unused)
{
    struct timespec due;
    bool spoken = false;
    clock_gettime(CLOCK_REALTIME, &due);
    due.tv_sec += FIRST_S;
    pthread_mutex_lock(&progress.mutex);
    for (unsigned s = FIRST_S; !progress.stop;) {
        if (pthread_cond_timedwait(&progress.over, &progress.mutex, &due) != ETIMEDOUT)
            continue;
        fprintf(stderr, "\r%s: still looking (%u s) ...", progress.what, s++);
        spoken = true;
        due.tv_sec++;
    }
    if (spoken)
        fputs("\r\033[K", stderr);
    pthread_mutex_unlock(&progress.mutex);
    return unused;
}

void progress_start(const char *what)
{
    sigset_t all, before;
    if (progress.running || !isatty(STDERR_FILENO))
        return;
    progress.what = what;
    progress.stop = false;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    progress.running = pthread_create(&progress.thread, NULL, speak, NULL) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

void progress_stop(void)
{
    if (!progress.running)
        return;
    pthread_mutex_lock(&progress.mutex);
    progress.stop = true;
    pthread_cond_signal(&progress.over);
    pthread_mutex_unlock(&progress.mutex);
    pthread_join(progress.thread, NULL);
    progress.running = false;
}
