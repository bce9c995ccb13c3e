/*
 * The load of the benchmark: keep-alive connections to one port of this machine, one request in flight on each.
 *
 *     load PORT CONNECTIONS MILLISECONDS FILE FIRST [RATE]
 *
 * FILE holds whole HTTP requests, each after its length (4 bytes, little end first). They are sent in turn, beginning
 * with number FIRST. With a RATE no more than so many are sent a second. After the given time no more are sent, and what is in flight is waited for. Prints one line of JSON:
 * requests, errors, seconds, times and its own CPU in microseconds, and an excerpt of the first answer that is an error.
 *
 * In C because it shares the machine's cores with what it measures; load-node.ts does the same without a compiler.
 */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define ANSWER_MAX (4 << 20)
#define WAIT_MS 10000

struct conn { int fd; double sent; size_t have; char *answer; };
struct request { const char *bytes; uint32_t length; };

static struct request *requests;
static size_t request_count, next_request;
static uint32_t *times;
static size_t done, times_room, errors;
static char excerpt[400];

static void fail(const char *what) { perror(what); exit(1); }

static double now_us(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1e6 + t.tv_nsec / 1e3;
}

static void read_requests(const char *path) {
  FILE *file = fopen(path, "rb");
  if (!file) fail(path);
  fseek(file, 0, SEEK_END);
  long size = ftell(file);
  rewind(file);
  char *bytes = malloc(size);
  if (fread(bytes, 1, size, file) != (size_t)size) fail(path);
  fclose(file);
  for (long at = 0; at + 4 <= size;) {
    uint32_t length;
    memcpy(&length, bytes + at, 4);
    requests = realloc(requests, (request_count + 1) * sizeof *requests);
    requests[request_count++] = (struct request){ bytes + at + 4, length };
    at += 4 + length;
  }
  if (request_count == 0) { fprintf(stderr, "%s holds no requests\n", path); exit(1); }
}

static void send_next(struct conn *c) {
  struct request r = requests[next_request++ % request_count];
  c->have = 0;
  c->sent = now_us();
  for (uint32_t at = 0; at < r.length;) {
    ssize_t n = write(c->fd, r.bytes + at, r.length - at);
    if (n < 0) fail("write");
    at += n;
  }
}

/* Bytes of a body in chunks that is whole, 0 when more has to come. */
static size_t chunked_length(const char *body, const char *end) {
  for (const char *at = body;;) {
    const char *line = memmem(at, end - at, "\r\n", 2);
    if (!line) return 0;
    size_t length = strtoul(at, NULL, 16);
    at = line + 2 + length + 2;
    if (at > end) return 0;
    if (length == 0) return at - body;
  }
}

/* 1 when the answer is whole. */
static int is_whole(struct conn *c) {
  const char *end = c->answer + c->have, *head_end = memmem(c->answer, c->have, "\r\n\r\n", 4);
  if (!head_end) return 0;
  const char *body = head_end + 4;
  *(char *)head_end = 0;
  const char *length = strcasestr(c->answer, "\r\ncontent-length:");
  int chunked = length == NULL && strcasestr(c->answer, "\r\ntransfer-encoding: chunked") != NULL;
  *(char *)head_end = '\r';
  if (chunked) return chunked_length(body, end) > 0;
  if (!length) { fprintf(stderr, "an answer without a length: %.300s\n", c->answer); exit(1); }
  return (size_t)(end - body) >= strtoul(length + 17, NULL, 10);
}

static void take_answer(struct conn *c) {
  int fine = memcmp(c->answer + 9, "200", 3) == 0 && !memmem(c->answer, c->have, "\"errors\":", 9);
  if (!fine && errors++ == 0) {
    size_t n = 0;
    for (size_t i = 0; i < c->have && n < sizeof excerpt - 1; i++)
      excerpt[n++] = strchr("\"\\", c->answer[i]) ? '\'' : (unsigned char)c->answer[i] < 32 ? ' ' : c->answer[i];
    excerpt[n] = 0;
  }
  if (done == times_room) times = realloc(times, (times_room += 1 << 20) * sizeof *times);
  times[done++] = (uint32_t)(now_us() - c->sent);
}

static int open_connection(int port) {
  int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;
  struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
  if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof to) < 0) fail("connect");
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  return fd;
}

static int by_value(const void *a, const void *b) {
  uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
  return x < y ? -1 : x > y;
}

static uint32_t percentile(double part) { return done ? times[(size_t)(part * (done - 1))] : 0; }

int main(int argc, char **argv) {
  if (argc < 6 || argc > 7) { fprintf(stderr, "load PORT CONNECTIONS MILLISECONDS FILE FIRST [RATE]\n"); return 2; }
  int count = atoi(argv[2]), epoll = epoll_create1(0), in_flight = count;
  read_requests(argv[4]);
  next_request = strtoul(argv[5], NULL, 10);
  struct conn *conns = calloc(count, sizeof *conns);
  for (int i = 0; i < count; i++) {
    conns[i] = (struct conn){ .fd = open_connection(atoi(argv[1])), .answer = malloc(ANSWER_MAX) };
    struct epoll_event event = { .events = EPOLLIN, .data.ptr = &conns[i] };
    epoll_ctl(epoll, EPOLL_CTL_ADD, conns[i].fd, &event);
  }
  double start = now_us(), end = start + atof(argv[3]) * 1e3, gap = argc > 6 ? 1e6 / atof(argv[6]) : 0;
  struct conn **idle = malloc(count * sizeof *idle);
  int idle_count = count;
  size_t sent = 0; /* idle is a ring: the one that has waited longest sends next, before the server hangs up on it */
  for (int i = 0; i < count; i++) idle[i] = &conns[i];
  while (in_flight > 0) {
    double now = now_us();
    while (idle_count > 0 && now < end && start + sent * gap <= now) send_next(idle[sent++ % count]), idle_count--;
    if (now >= end) in_flight -= idle_count, idle_count = 0;
    if (in_flight == 0) break;
    struct epoll_event events[64];
    int n = epoll_wait(epoll, events, 64, idle_count > 0 ? 1 : WAIT_MS);
    if (n == 0 && idle_count == 0) { fprintf(stderr, "no answer within %d ms\n", WAIT_MS); return 1; }
    for (int i = 0; i < n; i++) {
      struct conn *c = events[i].data.ptr;
      ssize_t got = read(c->fd, c->answer + c->have, ANSWER_MAX - c->have);
      if (got <= 0) { fprintf(stderr, "the server closed a connection: %.*s\n", (int)(c->have < 300 ? c->have : 300), c->answer); return 1; }
      c->have += got;
      if (!is_whole(c)) continue;
      take_answer(c);
      idle[(sent + idle_count++) % count] = c;
    }
  }
  double seconds = (now_us() - start) / 1e6;
  qsort(times, done, sizeof *times, by_value);
  struct rusage used;
  getrusage(RUSAGE_SELF, &used);
  long cpu = (used.ru_utime.tv_sec + used.ru_stime.tv_sec) * 1000000L + used.ru_utime.tv_usec + used.ru_stime.tv_usec;
  printf("{\"requests\":%zu,\"errors\":%zu,\"seconds\":%.3f,\"p50\":%u,\"p99\":%u,\"cpu\":%ld,\"excerpt\":\"%s\"}\n",
         done, errors, seconds, percentile(0.5), percentile(0.99), cpu, excerpt);
  return 0;
}
