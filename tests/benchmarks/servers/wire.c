/* A server that is never the bottleneck of a client's benchmark: one thread, epoll, answers that are ready in memory.

       wire PLAIN_PORT TLS_PORT SMALL LARGE [CERTIFICATE KEY]

   SMALL and LARGE are files. Listens on 127.0.0.1; TLS only if built with -DTLS and given a certificate.

       GET  /small     SMALL, as JSON                      GET /hold     no answer, until somebody asks for
       GET  /large     LARGE, as JSON                      GET /release  which answers all that are held
       GET  /download  100 MiB in chunks of 64 KiB         GET /held     how many are held, as JSON
       POST /upload    how many bytes came, as JSON

   Connections are kept alive and never closed from here. A client sends no request before it has its answer: what it
   pipelines is not looked at. On a TLS connection that chose HTTP/2, every request is answered SMALL (http2.h). */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>
#ifdef TLS
#include <openssl/err.h>
#include <openssl/ssl.h>
static SSL_CTX *context;
#endif

enum { HEAD_SIZE = 16384, PIECES = 3, CHUNK = 65536, CHUNKS = 1600 };

typedef struct { const char *data; size_t size, times; } Piece;

typedef struct Connection {
    int fd;
    bool waiting;            /* for room to write */
    enum { HEAD, COUNTED, CHUNK_SIZE, CHUNK_DATA, CHUNK_END, TRAILER } reading;
    size_t left, received;   /* of a body: bytes to come, bytes that came */
    size_t line;             /* of a chunk's size line or a trailer: characters so far */
    char head[HEAD_SIZE];
    size_t filled;
    Piece pieces[PIECES];    /* what is being sent */
    int piece, count;
    size_t sent;             /* of the first of them */
    char made[HEAD_SIZE];    /* an answer of its own */
#ifdef TLS
    SSL *tls;
    bool http2, preface;
#endif
    struct Connection *next; /* of those held */
} Connection;

static char *small_answer, *large_answer, *block, small_body[4096];
static size_t small_size, large_size, block_size, small_body_size;
static const char download_head[] = "HTTP/1.1 200 OK\r\ncontent-type: application/octet-stream\r\n"
                                    "transfer-encoding: chunked\r\n\r\n";
static Connection *held; /* those without an answer */
static size_t held_count;
static int poller;

static void die(const char *what) { perror(what); exit(1); }

/* Reading and writing, over TLS or not: bytes, 0 for "later", -1 for "gone". */

static ssize_t judged(ssize_t done) {
    if (done > 0) return done;
    return done < 0 && (errno == EAGAIN || errno == EINTR) ? 0 : -1;
}

#ifdef TLS
static ssize_t judged_tls(Connection *c, int done) {
    if (done > 0) return done;
    int why = SSL_get_error(c->tls, done);
    return why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE ? 0 : -1;
}
#endif

static ssize_t receive(Connection *c, char *into, size_t size) {
#ifdef TLS
    if (c->tls) return ERR_clear_error(), judged_tls(c, SSL_read(c->tls, into, size));
#endif
    return judged(recv(c->fd, into, size, 0));
}

static ssize_t put(Connection *c, const char *data, size_t size) {
#ifdef TLS
    if (c->tls) return ERR_clear_error(), judged_tls(c, SSL_write(c->tls, data, size));
#endif
    return judged(send(c->fd, data, size, MSG_NOSIGNAL));
}

static void watch(Connection *c, int operation, uint32_t events) {
    struct epoll_event event = {.events = events, .data.ptr = c};
    if (epoll_ctl(poller, operation, c->fd, &event)) die("epoll_ctl");
}

/* Sends what stands in `pieces`: false where the client has gone. What does not go now goes when there is room. */
static bool flush(Connection *c) {
    while (c->piece < c->count) {
        Piece *p = &c->pieces[c->piece];
        ssize_t done = put(c, p->data + c->sent, p->size - c->sent);
        if (done < 0) return false;
        if (done == 0 && !c->waiting) watch(c, EPOLL_CTL_MOD, EPOLLIN | EPOLLOUT);
        if (done == 0) return c->waiting = true;
        if ((c->sent += done) < p->size) continue;
        c->sent = 0;
        if (--p->times == 0) c->piece++;
    }
    if (c->waiting) watch(c, EPOLL_CTL_MOD, EPOLLIN);
    c->waiting = false;
    c->piece = c->count = 0;
    return true;
}

static void add(Connection *c, const char *data, size_t size, size_t times) {
    c->pieces[c->count++] = (Piece){data, size, times};
}

#include "http2.h"

/* HTTP/1.1 */

static size_t json_answer(char *into, size_t room, const char *body, size_t size) {
    int head = snprintf(into, room, "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %zu\r\n\r\n", size);
    memcpy(into + head, body, size);
    return head + size;
}

static void release(void) {
    for (Connection *c = held; c; c = c->next) {
        add(c, small_answer, small_size, 1);
        flush(c);
    }
    held = NULL;
    held_count = 0;
}

static void add_number(Connection *c, size_t number) {
    char body[64];
    int size = snprintf(body, sizeof body, "{\"number\":%zu}", number);
    add(c, c->made, json_answer(c->made, sizeof c->made, body, size), 1);
}

static bool answer(Connection *c) {
    const char *path = strchr(c->head, ' ') + 1;
    c->reading = HEAD;
    if (!strncmp(path, "/upload ", 8)) add_number(c, c->received);
    else if (!strncmp(path, "/held ", 6)) add_number(c, held_count);
    else if (!strncmp(path, "/large ", 7)) add(c, large_answer, large_size, 1);
    else if (!strncmp(path, "/download ", 10)) {
        add(c, download_head, sizeof download_head - 1, 1);
        add(c, block, block_size, CHUNKS);
        add(c, "0\r\n\r\n", 5, 1);
    } else if (!strncmp(path, "/hold ", 6)) {
        c->next = held;
        held = c;
        held_count++;
        return true;
    } else {
        if (!strncmp(path, "/release ", 9)) release();
        add(c, small_answer, small_size, 1);
    }
    return flush(c);
}

static size_t least(size_t one, size_t other) { return one < other ? one : other; }

/* Takes bytes of a body; returns how many of them. Where the body ends, the request is answered. */
static size_t take(Connection *c, const char *data, size_t size, bool *alive) {
    size_t used = 0;
    while (used < size && c->reading != HEAD) {
        char byte = data[used];
        size_t part = 1;
        if (c->reading == COUNTED || c->reading == CHUNK_DATA) {
            part = least(c->left, size - used);
            c->received += part;
            if ((c->left -= part) == 0) c->reading = c->reading == COUNTED ? HEAD : CHUNK_END;
        } else if (c->reading == CHUNK_SIZE) {
            if (byte == '\n') { c->reading = c->left ? CHUNK_DATA : TRAILER; c->line = 0; }
            else if (byte != '\r') c->left = c->left * 16 + (byte <= '9' ? byte - '0' : (byte | 32) - 'a' + 10);
        } else if (byte == '\n') {
            if (c->reading == CHUNK_END) { c->reading = CHUNK_SIZE; c->left = 0; }
            else if (c->line) c->line = 0;
            else c->reading = HEAD;
        } else if (byte != '\r') c->line++;
        used += part;
    }
    if (c->reading == HEAD) *alive = answer(c);
    return used;
}

/* Takes a request's head once it is whole: false where the client has gone, or sent one that is too long. */
static bool take_head(Connection *c, char *data, size_t size) {
    size_t before = c->filled, part = least(size, HEAD_SIZE - 1 - before);
    memcpy(c->head + before, data, part);
    c->head[c->filled += part] = 0;
    char *end = strstr(c->head, "\r\n\r\n");
    if (!end) return c->filled < HEAD_SIZE - 1;
    size_t used = end + 4 - c->head - before;
    *end = 0;
    c->filled = c->left = c->received = c->line = 0;
    char *length = strcasestr(c->head, "\r\ncontent-length:");
    if (strcasestr(c->head, "\r\ntransfer-encoding: chunked")) c->reading = CHUNK_SIZE;
    else if (length && (c->left = strtoull(length + 17, NULL, 10))) c->reading = COUNTED;
    else return answer(c);
    bool alive = true;
    take(c, data + used, size - used, &alive);
    return alive;
}

static bool readable(Connection *c) {
    static char data[262144];
    ssize_t size;
    bool alive = true;
    while (alive && (size = receive(c, data, sizeof data)) > 0) {
#ifdef TLS
        if (c->tls && c->http2) { alive = take_frames(c, data, size); continue; }
#endif
        if (c->reading == HEAD) alive = take_head(c, data, size);
        else take(c, data, size, &alive);
#ifdef TLS
        if (c->tls && SSL_pending(c->tls)) continue;
#endif
        if ((size_t)size < sizeof data) return alive;
    }
    return alive && size == 0;
}

static void drop(Connection *c) {
    for (Connection **place = &held; *place; place = &(*place)->next)
        if (*place == c) { *place = c->next; held_count--; break; }
#ifdef TLS
    SSL_free(c->tls);
#endif
    close(c->fd);
    free(c);
}

/* TLS: the handshake goes on until it is done; then ALPN says which protocol it is. */
static bool ready(Connection *c) {
#ifdef TLS
    if (!c->tls || SSL_is_init_finished(c->tls)) return true;
    ERR_clear_error(); /* another connection's failure is not this one's */
    ssize_t done = judged_tls(c, SSL_accept(c->tls));
    if (done > 0) {
        const unsigned char *name;
        unsigned length;
        SSL_get0_alpn_selected(c->tls, &name, &length);
        c->http2 = length == 2;
    }
    return done != 0;
#else
    (void)c;
    return true;
#endif
}

static void greet(int listener, bool secured) {
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK), one = 1;
    if (fd < 0) return;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    Connection *c = calloc(1, sizeof *c);
    c->fd = fd;
#ifdef TLS
    if (secured) { c->tls = SSL_new(context); SSL_set_fd(c->tls, fd); SSL_set_accept_state(c->tls); }
#else
    (void)secured;
#endif
    watch(c, EPOLL_CTL_ADD, EPOLLIN);
}

static int listening(int port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), one = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(fd, (struct sockaddr *)&address, sizeof address) || listen(fd, 4096)) die("listen");
    return fd;
}

static char *file(const char *name, size_t *size) {
    FILE *f = fopen(name, "rb");
    if (!f) die(name);
    fseek(f, 0, SEEK_END);
    *size = ftell(f);
    rewind(f);
    char *data = malloc(*size);
    if (fread(data, 1, *size, f) != *size) die(name);
    fclose(f);
    return data;
}

static void prepare(const char *small, const char *large) {
    size_t size;
    char *body = file(small, &size);
    memcpy(small_body, body, small_body_size = size);
    small_size = json_answer(small_answer = malloc(size + 256), 256, body, size);
    body = file(large, &size);
    large_size = json_answer(large_answer = malloc(size + 256), 256, body, size);
    block = malloc(CHUNK + 64);
    block_size = sprintf(block, "%x\r\n", CHUNK);
    memset(block + block_size, 'x', CHUNK);
    block_size += CHUNK;
    memcpy(block + block_size, "\r\n", 2);
    block_size += 2;
}

int main(int count, char **words) {
    signal(SIGPIPE, SIG_IGN);
    if (count != 5 && count != 7) return fprintf(stderr, "wire PLAIN_PORT TLS_PORT SMALL LARGE [CERTIFICATE KEY]\n"), 2;
    prepare(words[3], words[4]);
    int listeners[2] = {listening(atoi(words[1])), -1};
#ifdef TLS
    if (count == 7) { context = secured_context(words[5], words[6]); listeners[1] = listening(atoi(words[2])); }
#endif
    poller = epoll_create1(0);
    for (int n = 0; n < 2; n++) {
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = &listeners[n]};
        if (listeners[n] >= 0) epoll_ctl(poller, EPOLL_CTL_ADD, listeners[n], &event);
    }
    struct epoll_event events[256];
    for (;;) {
        int found = epoll_wait(poller, events, 256, -1);
        for (int n = 0; n < found; n++) {
            if (events[n].data.ptr == &listeners[0] || events[n].data.ptr == &listeners[1]) {
                greet(*(int *)events[n].data.ptr, events[n].data.ptr == &listeners[1]);
                continue;
            }
            Connection *c = events[n].data.ptr;
            if (!ready(c)) continue;
            bool alive = !(events[n].events & EPOLLOUT) || flush(c);
            if (!alive || !readable(c)) drop(c);
        }
    }
}
