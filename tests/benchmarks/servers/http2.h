/* HTTP/2 of wire.c, as far as a benchmark needs it (RFC 9113): whoever ends a request is answered SMALL.

   Request fields are not decoded, for the answer does not depend on them. The answer's own are in HPACK without the
   dynamic table (RFC 7541, section 6.2.2). Windows are not counted: 160 bytes at a time, a client that reads its answers
   has opened them again long before they are full. */

#ifdef TLS
enum { DATA_FRAME = 0, HEADERS_FRAME = 1, SETTINGS_FRAME = 4, PING_FRAME = 6, ACK = 1, END_STREAM = 1, END_HEADERS = 4 };

static char *frame(char *at, size_t size, int kind, int flags, const char *stream) {
    const char head[9] = {size >> 16, size >> 8, size, kind, flags, stream[0] & 0x7f, stream[1], stream[2], stream[3]};
    memcpy(at, head, 9);
    return at + 9;
}

static char *literal(char *at, int index, const char *value) {
    int size = strlen(value); /* a literal without indexing, its name from the static table, below 127 bytes */
    *at++ = 0x0f;
    *at++ = index - 15;
    *at++ = size;
    memcpy(at, value, size);
    return at + size;
}

static char *small_frames(char *at, const char *stream) {
    char fields[128], length[16], *end = fields;
    *end++ = (char)0x88; /* :status 200 */
    snprintf(length, sizeof length, "%zu", small_body_size);
    end = literal(end, 28, length);
    end = literal(end, 31, "application/json");
    at = frame(at, end - fields, HEADERS_FRAME, END_HEADERS, stream);
    at = mempcpy(at, fields, end - fields);
    at = frame(at, small_body_size, DATA_FRAME, END_STREAM, stream);
    return mempcpy(at, small_body, small_body_size);
}

/* What one frame of the client is answered, written at `at`; returns where that ends. */
static char *react(char *at, const char *head, const char *payload, size_t size) {
    int kind = head[3], flags = head[4];
    if (kind == SETTINGS_FRAME && !(flags & ACK)) return frame(at, 0, SETTINGS_FRAME, ACK, "\0\0\0\0");
    if (kind == PING_FRAME && !(flags & ACK) && size == 8)
        return mempcpy(frame(at, 8, PING_FRAME, ACK, "\0\0\0\0"), payload, 8);
    if ((kind == HEADERS_FRAME || kind == DATA_FRAME) && (flags & END_STREAM)) return small_frames(at, head + 5);
    return at;
}

static bool sent_all(Connection *c, const char *data, size_t size) {
    while (size) { /* the client reads: there is room soon */
        ssize_t done = put(c, data, size);
        if (done < 0) return false;
        data += done;
        size -= done;
    }
    return true;
}

static bool take_frames(Connection *c, const char *data, size_t size) {
    static char answers[65536];
    char *end = answers;
    while (size) {
        size_t part = HEAD_SIZE - c->filled < size ? HEAD_SIZE - c->filled : size;
        if (!part) return false; /* a frame longer than any that a small request needs */
        memcpy(c->head + c->filled, data, part);
        c->filled += part;
        data += part;
        size -= part;
        size_t used = 0;
        if (!c->preface && c->filled >= 24) {
            c->preface = true;
            used = 24;
            end = frame(end, 0, SETTINGS_FRAME, 0, "\0\0\0\0");
        }
        while (c->preface && c->filled - used >= 9) {
            const unsigned char *head = (unsigned char *)c->head + used;
            size_t length = head[0] << 16 | head[1] << 8 | head[2];
            if (c->filled - used < 9 + length) break;
            end = react(end, (char *)head, (char *)head + 9, length);
            used += 9 + length;
            if (end - answers > (ptrdiff_t)sizeof answers - 4096) {
                if (!sent_all(c, answers, end - answers)) return false;
                end = answers;
            }
        }
        memmove(c->head, c->head + used, c->filled -= used);
    }
    return sent_all(c, answers, end - answers);
}

static int choose(SSL *tls, const unsigned char **out, unsigned char *length, const unsigned char *offered, unsigned size, void *with) {
    static const unsigned char known[] = "\x02h2\x08http/1.1";
    (void)tls, (void)with;
    bool chosen = SSL_select_next_proto((unsigned char **)out, length, known, 12, offered, size) == OPENSSL_NPN_NEGOTIATED;
    return chosen ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_NOACK;
}

static SSL_CTX *secured_context(const char *certificate, const char *key) {
    SSL_CTX *made = SSL_CTX_new(TLS_server_method());
    if (SSL_CTX_use_certificate_chain_file(made, certificate) != 1 || SSL_CTX_use_PrivateKey_file(made, key, SSL_FILETYPE_PEM) != 1)
        die("certificate");
    SSL_CTX_set_mode(made, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_alpn_select_cb(made, choose, NULL);
    return made;
}
#endif
