// SPDX-License-Identifier: MIT
#include "broker/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"

static enum err fail(const char *what, const char *path)
{
    log_error("data.open", "path=%s error=\"%s: %s\"", log_text(bytes_str(path)).s, what,
              strerrordesc_np(errno));
    return ERR_IO;
}

static enum err say_who_holds_it(int fd, const char *dir)
{
    char pid[24];
    ssize_t n = pread(fd, pid, sizeof pid - 1, 0);

    pid[n > 0 ? n : 0] = 0;
    pid[strcspn(pid, "\n")] = 0;
    log_error("data.locked", "path=%s pid=%s hint=\"another lodged uses this directory\"",
              log_text(bytes_str(dir)).s, *pid ? log_text(bytes_str(pid)).s : "unknown");
    return ERR_LOCKED;
}

static bool write_pid(int fd)
{
    char pid[24];
    int n = snprintf(pid, sizeof pid, "%d\n", (int)getpid());

    return ftruncate(fd, 0) == 0 && pwrite(fd, pid, (size_t)n, 0) == n;
}

enum err lock_take(const char *dir, struct lock *out)
{
    char path[4096];

    out->fd = -1;
    if (mkdir(dir, 0700) != 0 && errno != EEXIST)
        return fail("cannot make the directory", dir);
    (void)snprintf(path, sizeof path, "%s/lodged.pid", dir);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return fail("cannot open", path);
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        enum err e = errno == EWOULDBLOCK ? say_who_holds_it(fd, dir) : fail("cannot lock", path);

        (void)close(fd);
        return e;
    }
    if (!write_pid(fd)) {
        enum err e = fail("cannot write", path);

        (void)close(fd);
        return e;
    }
    out->fd = fd;
    return OK;
}

void lock_drop(struct lock *l)
{
    if (l->fd >= 0)
        (void)close(l->fd);
    l->fd = -1;
}
