// SPDX-License-Identifier: MIT
/* preload_faults.c - for LD_PRELOAD: lets writes of the database fail from one on,
 * or one sync, or makes every sync slow, while the process runs.
 *
 * The file named by LODGE_FAULTS holds the plan (faults.py writes it): six numbers
 * of 64 bits.  A write that fails has written half of what it should: that is how
 * disks fill up.  Only files written by pwrite count, so logs and sockets do not. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

struct plan {
    _Atomic uint64_t writes;     /* done so far */
    _Atomic uint64_t fail_write; /* the number of the first to fail; 0: none */
    _Atomic uint64_t syncs;
    _Atomic uint64_t fail_sync; /* the number of the one to fail */
    _Atomic uint64_t sync_ns;   /* what every sync takes longer */
    _Atomic uint64_t error;     /* errno */
};

static struct plan *plan;

typedef ssize_t write_fn(int fd, const void *data, size_t n, off_t at);
typedef int sync_fn(int fd);

__attribute__((constructor)) static void read_plan(void)
{
    static struct plan nothing;
    const char *path = getenv("LODGE_FAULTS");
    int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    void *p = MAP_FAILED;

    if (fd >= 0) {
        p = mmap(NULL, sizeof *plan, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        (void)close(fd);
    }
    plan = p == MAP_FAILED ? &nothing : p;
}

static ssize_t faulty_write(const char *name, int fd, const void *data, size_t n, off_t at)
{
    uint64_t number = atomic_fetch_add(&plan->writes, 1) + 1;
    uint64_t first = atomic_load(&plan->fail_write);
    write_fn *real;

    *(void **)&real = dlsym(RTLD_NEXT, name);
    if (first == 0 || number < first)
        return real(fd, data, n, at);
    (void)real(fd, data, n / 2, at);
    errno = (int)atomic_load(&plan->error);
    return -1;
}

static int faulty_sync(const char *name, int fd)
{
    uint64_t ns = atomic_load(&plan->sync_ns);
    struct timespec t = { .tv_sec = (time_t)(ns / 1000000000), .tv_nsec = (long)(ns % 1000000000) };
    sync_fn *real;

    *(void **)&real = dlsym(RTLD_NEXT, name);
    if (ns > 0)
        (void)nanosleep(&t, NULL);
    if (atomic_fetch_add(&plan->syncs, 1) + 1 != atomic_load(&plan->fail_sync))
        return real(fd);
    errno = (int)atomic_load(&plan->error);
    return -1;
}

EXPORT ssize_t pwrite(int fd, const void *data, size_t n, off_t at)
{
    return faulty_write("pwrite", fd, data, n, at);
}

EXPORT ssize_t pwrite64(int fd, const void *data, size_t n, off_t at)
{
    return faulty_write("pwrite64", fd, data, n, at);
}

EXPORT int fsync(int fd)
{
    return faulty_sync("fsync", fd);
}

EXPORT int fdatasync(int fd)
{
    return faulty_sync("fdatasync", fd);
}
