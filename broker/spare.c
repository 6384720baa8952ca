// SPDX-License-Identifier: MIT
#include "broker/spare.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/log.h"
#include "base/mem.h"

enum { SPARE_BYTES = 4 * 1024 * 1024 };

static char *path_in(const char *dir)
{
    struct buf path = { 0 };

    buf_fmt(&path, "%s/lodged.spare", dir);
    char *text = bytes_dup_str(buf_view(&path));
    buf_fini(&path);
    return text;
}

void spare_leave(const char *dir)
{
    char *path = path_in(dir);
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    int failed = fd < 0 ? errno : posix_fallocate(fd, 0, SPARE_BYTES);

    if (failed)
        log_warn("disk.no_spare", "path=%s err=\"%s\"", path, strerror(failed));
    if (fd >= 0)
        (void)close(fd);
    mem_free(path);
}

void spare_take(const char *dir)
{
    char *path = path_in(dir);

    if (unlink(path) != 0 && errno != ENOENT)
        log_warn("disk.no_spare", "path=%s err=\"%s\"", path, strerror(errno));
    mem_free(path);
}
