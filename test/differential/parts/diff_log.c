/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* What a side saw, token by token. */
#include "differential/differential.h"

void diff_log_reset(struct diff_log *log)
{
    log->used = 0;
    log->full = 0;
}

static void *grow(struct diff_log *log, size_t words)
{
    if (log->full || log->used + words > log->capacity) {
        log->full = 1;
        return NULL;
    }
    void *at = log->bytes + log->used;
    log->used += words;
    return at;
}

#define TOKEN_WORDS (sizeof(struct diff_token) / sizeof(uint64_t))

static size_t words_of(const struct diff_token *token)
{
    return TOKEN_WORDS + (token->kind == DIFF_BYTES ? (size_t)(token->value + 7) / 8 : 0);
}

void diff_log(struct diff_log *log, const char *what, enum diff_token_kind kind, uint64_t value, uint64_t extra)
{
    struct diff_token *token = grow(log, TOKEN_WORDS);
    if (token)
        *token = (struct diff_token){what, kind, value, extra};
}

void diff_log_bytes(struct diff_log *log, const char *what, const void *bytes, size_t length)
{
    struct diff_token made = {what, DIFF_BYTES, length, 0};
    struct diff_token *token = grow(log, words_of(&made));
    if (!token)
        return;
    *token = made;
    memcpy(token + 1, bytes, length);
}

const struct diff_token *diff_log_next(const struct diff_log *log, size_t *at)
{
    if (*at >= log->used)
        return NULL;
    const struct diff_token *token = (const void *)(log->bytes + *at);
    *at += words_of(token);
    return token;
}
