/* SPDX-License-Identifier: BSD-2-Clause */
/* The serving end: a socket file that only its owner can reach, and sessions for an event loop. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "doctor/control.h"
#include "doctor/control_text.h"

#define REQUEST_MAX 4096 /* bytes of one request line */

bool control_address(struct sockaddr_un *address, const char *dir, const char *name)
{
    memset(address, 0, sizeof *address);
    address->sun_family = AF_UNIX;
    int len = snprintf(address->sun_path, sizeof address->sun_path, "%s/%s.sock", dir, name);
    return len > 0 && (size_t)len < sizeof address->sun_path;
}

int control_dir_check(const char *dir, char why[CONTROL_WHY_LEN])
{
    struct stat st;
    if (lstat(dir, &st) < 0) {
        snprintf(why, CONTROL_WHY_LEN, "%s: %s", dir, strerror(errno));
        return -errno;
    }
    if (S_ISDIR(st.st_mode) && st.st_uid == geteuid() && !(st.st_mode & 022))
        return 0;
    snprintf(why, CONTROL_WHY_LEN,
             "%s is not a directory that belongs to you alone; remove it or set LASTACK_DIR", dir);
    return -EPERM;
}

static int dir_make(const char *dir, char why[CONTROL_WHY_LEN])
{
    if (mkdir(dir, 0700) < 0 && errno != EEXIST) {
        int error = errno;
        snprintf(why, CONTROL_WHY_LEN, "%s cannot be made: %s", dir, strerror(error));
        return -error;
    }
    int result = control_dir_check(dir, why);
    if (result == 0 && access(dir, W_OK | X_OK) < 0) {
        result = -errno;
        snprintf(why, CONTROL_WHY_LEN, "%s: %s", dir, strerror(-result));
    }
    return result;
}

/* True if somebody listens there. */
static bool is_alive(const struct sockaddr_un *address)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    bool alive = fd >= 0 && (connect(fd, (const struct sockaddr *)address, sizeof *address) == 0 ||
                             errno == EAGAIN);
    if (fd >= 0)
        close(fd);
    return alive;
}

/* Bind and listen; the file of a stack that died makes room. The directory is locked meanwhile, so
 * that of two that start at once one sees the other. */
static int bind_file(int fd, const struct sockaddr_un *address)
{
    const struct sockaddr *to = (const struct sockaddr *)address;
    int result = bind(fd, to, sizeof *address) < 0 ? -errno : 0;
    if (result == -EADDRINUSE) {
        if (is_alive(address))
            return -EEXIST;
        unlink(address->sun_path);
        result = bind(fd, to, sizeof *address) < 0 ? -errno : 0;
    }
    if (result == 0 && (chmod(address->sun_path, 0600) < 0 || listen(fd, 16) < 0)) {
        result = -errno;
        unlink(address->sun_path);
    }
    return result;
}

static int listen_in(const char *dir, const char *name, char path[CONTROL_PATH_LEN],
                     char why[CONTROL_WHY_LEN])
{
    struct sockaddr_un address;
    int result = dir_make(dir, why);
    if (result < 0)
        return result;
    if (!control_address(&address, dir, name)) {
        snprintf(why, CONTROL_WHY_LEN, "%s/%s.sock is too long for the name of a socket", dir,
                 name);
        return -ENAMETOOLONG;
    }
    int lock = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (lock >= 0)
        flock(lock, LOCK_EX);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    result = fd < 0 ? -errno : bind_file(fd, &address);
    if (lock >= 0)
        close(lock);
    if (result == 0) {
        snprintf(path, CONTROL_PATH_LEN, "%s", address.sun_path);
        return fd;
    }
    if (result == -EEXIST)
        snprintf(why, CONTROL_WHY_LEN,
                 "a stack named %s is running already (%s); give this one another name", name,
                 address.sun_path);
    else
        snprintf(why, CONTROL_WHY_LEN, "%s: %s", address.sun_path, strerror(-result));
    if (fd >= 0)
        close(fd);
    return result;
}

int control_listen(const char *name, char path[CONTROL_PATH_LEN], char why[CONTROL_WHY_LEN])
{
    char dirs[CONTROL_DIR_MAX][CONTROL_PATH_LEN];
    int result = -EINVAL;
    why[0] = 0;
    if (!control_name_valid(name)) {
        snprintf(
            why, CONTROL_WHY_LEN,
            "a stack's name has 1 to 31 letters, digits, '.', '_' or '-', and not only digits");
        return -EINVAL;
    }
    int cnt = control_dirs(dirs);
    if (cnt == 0) {
        snprintf(why, CONTROL_WHY_LEN,
                 "LASTACK_DIR is too long: a socket's path has at most %d bytes",
                 CONTROL_PATH_LEN - 1);
        return -ENAMETOOLONG;
    }
    for (int i = 0; i < cnt; i++) {
        result = listen_in(dirs[i], name, path, why);
        if (result >= 0 || result == -EEXIST)
            break;
    }
    return result;
}

void control_close(int fd, const char *path)
{
    unlink(path);
    close(fd);
}

/* ---- sessions ---- */

void control_session_init(struct control_session *session, int fd)
{
    memset(session, 0, sizeof *session);
    session->fd = fd;
    text_init(&session->in);
    text_init(&session->out);
}

void control_session_free(struct control_session *session)
{
    text_free(&session->in);
    text_free(&session->out);
    close(session->fd);
    session->fd = -1;
}

int control_session_read(struct control_session *session)
{
    char bytes[512];
    for (;;) {
        /* Up to the newline only: the rest belongs to the next request. */
        ssize_t len = recv(session->fd, bytes, sizeof bytes, MSG_PEEK | MSG_DONTWAIT);
        if (len == 0)
            return -ECONNRESET;
        if (len < 0 && errno == EINTR)
            continue;
        if (len < 0)
            return errno == EAGAIN ? 0 : -errno;
        char *newline = memchr(bytes, '\n', (size_t)len);
        size_t take = newline ? (size_t)(newline - bytes) + 1 : (size_t)len;
        if (recv(session->fd, bytes, take, MSG_DONTWAIT) != (ssize_t)take)
            return -EIO;
        text_add_len(&session->in, bytes, newline ? take - 1 : take);
        if (session->in.failed || session->in.len > REQUEST_MAX)
            return -EMSGSIZE;
        if (newline)
            return 1;
    }
}

int control_session_write(struct control_session *session)
{
    if (session->out.failed)
        return -ENOMEM;
    while (session->written < session->out.len) {
        ssize_t len = send(session->fd, session->out.at + session->written,
                           session->out.len - session->written, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (len < 0 && errno == EINTR)
            continue;
        if (len < 0)
            return errno == EAGAIN ? 0 : -errno;
        session->written += (size_t)len;
    }
    text_clear(&session->in);
    text_clear(&session->out);
    session->written = 0;
    return 1;
}
