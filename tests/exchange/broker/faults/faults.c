/* Fails the n-th change of the broker's database files. For tests only: preloaded into a broker process.
 *
 * Counts writes, syncs and truncations of files whose name begins with "broker.db" (the database, its write-ahead log,
 * shared memory and rollback journal), from the moment ix_fault_arm is called. What happens at the n-th:
 *
 *   KILL    the process dies before it
 *   TORN    half of a write reaches the file, then the process dies; anything else happens, then the process dies
 *   SHORT   a write says, truly, that only half was written; once
 *   FULL    from there on no write and no growth succeeds: half of the first, then ENOSPC
 *   EIO     it fails with EIO; once
 *   SYNCS   from there on every sync fails with EIO
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

enum { NOTHING, KILL, TORN, SHORT, FULL, EIO_ONCE, SYNCS };
enum { WRITE, SYNC, CUT };

static int kind, at, seen, struck;

void ix_fault_arm(int which, int number) { kind = which, at = number, seen = 0, struck = 0; }
int ix_fault_seen(void) { return seen; }
int ix_fault_struck(void) { return struck; }

static int ours(int fd) {
  char link[64], path[4096];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t length = readlink(link, path, sizeof path - 1);
  if (length < 0) return 0;
  path[length] = 0;
  const char *name = strrchr(path, '/');
  return name && !strncmp(name + 1, "broker.db", 9) && !strstr(name, ".lock");
}

_Noreturn static void die(void) {
  kill(getpid(), SIGKILL);
  for (;;) pause();
}

/* What this operation is to do: 0 as always, 1 half and then say so, 2 half and then die, 3 die afterwards, -1 fail. */
static int judge(int fd, int what) {
  if (at <= 0 || !ours(fd)) return 0;
  int now = ++seen == at, later = seen > at;
  if (!now && !later) return 0;
  if (now) struck = 1;
  switch (kind) {
    case KILL: if (now) die(); return 0;
    case TORN: return now ? (what == WRITE ? 2 : 3) : 0;
    case SHORT: return now && what == WRITE ? 1 : 0;
    case FULL:
      if (what == SYNC) return 0;
      if (now && what == WRITE) return 1;
      errno = ENOSPC;
      return -1;
    case EIO_ONCE: if (!now) return 0; errno = EIO; return -1;
    case SYNCS: if (what != SYNC) return 0; errno = EIO; return -1;
  }
  return 0;
}

#define REAL(name, type) static type real; if (!real) real = (type)dlsym(RTLD_NEXT, name)

typedef ssize_t (*pwriter)(int, const void *, size_t, off64_t);
typedef ssize_t (*writer)(int, const void *, size_t);
typedef int (*syncer)(int);
typedef int (*cutter)(int, off64_t);

#define WRITING(how, whole, part)              \
  switch (how) {                               \
    case -1: return -1;                        \
    case 1: return part;                       \
    case 2: { ssize_t written = part; (void)written; die(); } \
    default: return whole;                     \
  }

ssize_t pwrite64(int fd, const void *data, size_t size, off64_t place) {
  REAL("pwrite64", pwriter);
  WRITING(judge(fd, WRITE), real(fd, data, size, place), real(fd, data, (size + 1) / 2, place))
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t place) {
  REAL("pwrite", pwriter);
  WRITING(judge(fd, WRITE), real(fd, data, size, place), real(fd, data, (size + 1) / 2, place))
}

ssize_t write(int fd, const void *data, size_t size) {
  REAL("write", writer);
  WRITING(judge(fd, WRITE), real(fd, data, size), real(fd, data, (size + 1) / 2))
}

#define PLAINLY(how, whole)                    \
  do {                                         \
    int does = how;                            \
    if (does < 0) return -1;                   \
    int said = whole;                          \
    if (does == 3) die();                      \
    return said;                               \
  } while (0)

int fsync(int fd) { REAL("fsync", syncer); PLAINLY(judge(fd, SYNC), real(fd)); }
int fdatasync(int fd) { REAL("fdatasync", syncer); PLAINLY(judge(fd, SYNC), real(fd)); }
int ftruncate64(int fd, off64_t size) { REAL("ftruncate64", cutter); PLAINLY(judge(fd, CUT), real(fd, size)); }
int ftruncate(int fd, off_t size) { REAL("ftruncate", cutter); PLAINLY(judge(fd, CUT), real(fd, size)); }
