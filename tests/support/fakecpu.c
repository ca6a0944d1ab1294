/* LD_PRELOAD shim: a process that sees FAKE_NUM_CPUS CPUs, of which it may use all.
 *
 * Thread pools are sized by what libc, /proc and /sys say of the CPUs; this answers for them, so
 * that a big host's thread counts can be measured on a small one. Binding to CPUs is remembered and
 * not done: threads run wherever the real kernel lets them.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

static cpu_set_t affinity;

static int num_cpus(void) {
  static int count = -1;
  if (count < 0) {
    const char *text = getenv("FAKE_NUM_CPUS");
    count = text ? atoi(text) : 0;
    if (count > CPU_SETSIZE) count = CPU_SETSIZE;
    for (int cpu = 0; cpu < count; cpu++) CPU_SET(cpu, &affinity);
  }
  return count;
}

static void *real(const char *name) { return dlsym(RTLD_NEXT, name); }

/* --- affinity --------------------------------------------------------------------------------- */

/* Returns the bytes written, as the system call does, or -1 and EINVAL if `size` is too small. */
static long get_affinity(size_t size, cpu_set_t *mask) {
  size_t needed = (size_t)(num_cpus() + 63) / 64 * 8;
  if (size < needed) {
    errno = EINVAL;
    return -1;
  }
  memset(mask, 0, size);
  memcpy(mask, &affinity, size < sizeof affinity ? size : sizeof affinity);
  return (long)needed;
}

static int set_affinity(size_t size, const cpu_set_t *mask) {
  cpu_set_t wanted;
  CPU_ZERO(&wanted);
  memcpy(&wanted, mask, size < sizeof wanted ? size : sizeof wanted);
  for (int cpu = num_cpus(); cpu < CPU_SETSIZE; cpu++) CPU_CLR(cpu, &wanted);
  if (CPU_COUNT(&wanted) == 0) {
    errno = EINVAL;
    return -1;
  }
  affinity = wanted;
  return 0;
}

long syscall(long number, ...) {
  va_list rest;
  va_start(rest, number);
  long a = va_arg(rest, long), b = va_arg(rest, long), c = va_arg(rest, long);
  long d = va_arg(rest, long), e = va_arg(rest, long), f = va_arg(rest, long);
  va_end(rest);
  if (number == SYS_sched_getaffinity && num_cpus()) return get_affinity((size_t)b, (cpu_set_t *)c);
  static long (*next)(long, ...);
  if (!next) next = real("syscall");
  return next(number, a, b, c, d, e, f);
}

int sched_getaffinity(pid_t pid, size_t size, cpu_set_t *mask) {
  if (num_cpus()) return get_affinity(size, mask) < 0 ? -1 : 0;
  int (*next)(pid_t, size_t, cpu_set_t *) = real("sched_getaffinity");
  return next(pid, size, mask);
}

int sched_setaffinity(pid_t pid, size_t size, const cpu_set_t *mask) {
  if (num_cpus()) return pid == 0 || pid == getpid() ? set_affinity(size, mask) : 0;
  int (*next)(pid_t, size_t, const cpu_set_t *) = real("sched_setaffinity");
  return next(pid, size, mask);
}

int pthread_getaffinity_np(pthread_t thread, size_t size, cpu_set_t *mask) {
  if (num_cpus()) return get_affinity(size, mask) < 0 ? EINVAL : 0;
  int (*next)(pthread_t, size_t, cpu_set_t *) = real("pthread_getaffinity_np");
  return next(thread, size, mask);
}

int pthread_setaffinity_np(pthread_t thread, size_t size, const cpu_set_t *mask) {
  if (num_cpus()) return 0;
  int (*next)(pthread_t, size_t, const cpu_set_t *) = real("pthread_setaffinity_np");
  return next(thread, size, mask);
}

/* --- counts ----------------------------------------------------------------------------------- */

long sysconf(int name) {
  if (num_cpus() && (name == _SC_NPROCESSORS_ONLN || name == _SC_NPROCESSORS_CONF)) return num_cpus();
  static long (*next)(int);
  if (!next) next = real("sysconf");
  return next(name);
}

int get_nprocs(void) {
  if (num_cpus()) return num_cpus();
  int (*next)(void) = real("get_nprocs");
  return next();
}

int get_nprocs_conf(void) { return get_nprocs(); }

/* --- files ------------------------------------------------------------------------------------ */

static void write_cpuinfo(FILE *out) {
  for (int cpu = 0; cpu < num_cpus(); cpu++)
    fprintf(out, "processor\t: %d\nmodel name\t: Fake CPU\nphysical id\t: 0\ncore id\t\t: %d\n"
                 "cpu cores\t: %d\nsiblings\t: %d\n\n", cpu, cpu, num_cpus(), num_cpus());
}

static void write_stat(FILE *out) {
  fprintf(out, "cpu  100 0 100 10000 0 0 0 0 0 0\n");
  for (int cpu = 0; cpu < num_cpus(); cpu++)
    fprintf(out, "cpu%d 100 0 100 10000 0 0 0 0 0 0\n", cpu);
  fprintf(out, "intr 0\nctxt 0\nbtime 1700000000\nprocesses 1\nprocs_running 1\nprocs_blocked 0\n");
}

/* Returns a descriptor with the fake text of `path`, or -1 if `path` is to be opened for real. */
static int fake_file(const char *path) {
  if (!num_cpus() || !path) return -1;
  int cpuinfo = !strcmp(path, "/proc/cpuinfo"), stat = !strcmp(path, "/proc/stat");
  static const char cpus[] = "/sys/devices/system/cpu/";
  const char *name = path + sizeof cpus - 1;
  int range = !strncmp(path, cpus, sizeof cpus - 1) &&
              (!strcmp(name, "online") || !strcmp(name, "possible") || !strcmp(name, "present"));
  if (!cpuinfo && !stat && !range) return -1;
  int descriptor = memfd_create("fakecpu", MFD_CLOEXEC);
  FILE *out = fdopen(dup(descriptor), "w");
  if (cpuinfo) write_cpuinfo(out);
  if (stat) write_stat(out);
  if (range) fprintf(out, "0-%d\n", num_cpus() - 1);
  fclose(out);
  lseek(descriptor, 0, SEEK_SET);
  return descriptor;
}

FILE *fopen(const char *path, const char *mode) {
  int descriptor = *mode == 'r' ? fake_file(path) : -1;
  if (descriptor >= 0) return fdopen(descriptor, mode);
  static FILE *(*next)(const char *, const char *);
  if (!next) next = real("fopen");
  return next(path, mode);
}

FILE *fopen64(const char *path, const char *mode) { return fopen(path, mode); }

int open(const char *path, int flags, ...) {
  int descriptor = (flags & O_ACCMODE) == O_RDONLY ? fake_file(path) : -1;
  if (descriptor >= 0) return descriptor;
  va_list rest;
  va_start(rest, flags);
  int mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, int) : 0;
  va_end(rest);
  return openat(AT_FDCWD, path, flags, mode);
}

int open64(const char *path, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  int mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, int) : 0;
  va_end(rest);
  return open(path, flags, mode);
}
