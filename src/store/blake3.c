/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * The tree of BLAKE3 and the choice of a kernel.
 *
 * Written from the specification: "BLAKE3: one function, fast everywhere", Jack O'Connor,
 * Jean-Philippe Aumasson, Samuel Neves, Zooko Wilcox-O'Hearn, sections 2.1 (tree structure) to 2.6.
 *
 * The complete subtrees hashed so far are a binary counter: bit L of the number of chunks set means one
 * subtree of 2^L chunks whose chaining value is kept in slot L. Adding n chunks is an addition with carry
 * to that counter, done one level at a time for all chunks together, so that the parents of a level are
 * independent inputs of one batch, as wide as the kernel.
 *
 * Parents may be computed only when they are known not to be the root, which has a flag of its own.
 * Hence: a first chunk stays in `tail` until a byte follows it; and when an update ends on a power of two
 * of chunks, at least 2, the two halves stay unmerged (`held`) in the slots L and L + 1 until a byte
 * follows. Both slots together are exactly the block of their parent.
 */
#include "store/blake3_kernel.h"

#include <stdatomic.h>

/* Chunks hashed before their parents are. Large enough for the batches of the lower levels to be full
 * ones, and the chaining values still take only 4 KiB of the stack. */
enum { BATCH_CHUNKS = 128 };

static const uint32_t iv[8] = {
    VR_BLAKE3_IV0, VR_BLAKE3_IV1, VR_BLAKE3_IV2, VR_BLAKE3_IV3,
    VR_BLAKE3_IV4, VR_BLAKE3_IV5, VR_BLAKE3_IV6, VR_BLAKE3_IV7,
};

static const uint8_t zero_chunk[VR_BLAKE3_CHUNK_LEN];

/* Best kernel last. */
static const struct vr_blake3_kernel *const kernels[] = {
    &vr_blake3_kernel_portable,
#if defined(__x86_64__)
    &vr_blake3_kernel_sse41,
    &vr_blake3_kernel_avx2,
    &vr_blake3_kernel_avx512,
#endif
};

enum { KERNELS = sizeof kernels / sizeof kernels[0] };

static bool cpu_runs(const struct vr_blake3_kernel *kernel)
{
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (kernel == &vr_blake3_kernel_sse41) {
        return __builtin_cpu_supports("sse4.1");
    }
    if (kernel == &vr_blake3_kernel_avx2) {
        return __builtin_cpu_supports("avx2");
    }
    if (kernel == &vr_blake3_kernel_avx512) {
        return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("avx512f") &&
               __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
    }
#endif
    return kernel == &vr_blake3_kernel_portable;
}

/* Threads that race here all store the same value, hence no ordering is needed. */
static const struct vr_blake3_kernel *best_kernel(void)
{
    static _Atomic(const struct vr_blake3_kernel *) chosen;
    const struct vr_blake3_kernel *kernel = atomic_load_explicit(&chosen, memory_order_relaxed);

    if (kernel == NULL) {
        size_t i = KERNELS - 1;

        while (!cpu_runs(kernels[i])) {
            i--;
        }
        kernel = kernels[i];
        atomic_store_explicit(&chosen, kernel, memory_order_relaxed);
    }
    return kernel;
}

static const struct vr_blake3_kernel *kernel_named(const char *name)
{
    for (size_t i = 0; i < KERNELS; i++) {
        if (strcmp(kernels[i]->name, name) == 0) {
            return cpu_runs(kernels[i]) ? kernels[i] : NULL;
        }
    }
    return NULL;
}

/* A chunk of any length up to 1024, even 0. `extra` goes on its last block. */
static void hash_chunk(const struct vr_blake3_kernel *kernel, const uint8_t *in, size_t len, uint64_t counter,
                       uint32_t extra, uint8_t out[VR_BLAKE3_OUT_LEN])
{
    uint32_t cv[8];
    uint8_t block[VR_BLAKE3_BLOCK_LEN] = {0};
    size_t blocks = len / VR_BLAKE3_BLOCK_LEN;
    size_t rest = len % VR_BLAKE3_BLOCK_LEN;
    struct vr_blake3_flags flags = {0, VR_BLAKE3_CHUNK_START, VR_BLAKE3_CHUNK_END | extra};
    bool padded = rest != 0 || len == 0;

    memcpy(cv, iv, sizeof cv);
    if (blocks > 0) {
        struct vr_blake3_flags head = {0, flags.first, padded ? 0 : flags.last};

        kernel->compress(cv, in, blocks, VR_BLAKE3_BLOCK_LEN, counter, head);
        flags.first = 0;
    }
    if (padded) {
        if (rest > 0) {
            memcpy(block, in + blocks * VR_BLAKE3_BLOCK_LEN, rest);
        }
        kernel->compress(cv, block, 1, (uint32_t)rest, counter, flags);
    }
    vr_blake3_store_cv(out, cv);
}

/* `out` may be part of `block`. */
static void hash_parent(const struct vr_blake3_kernel *kernel, const uint8_t block[VR_BLAKE3_BLOCK_LEN], uint32_t extra,
                        uint8_t out[VR_BLAKE3_OUT_LEN])
{
    uint32_t cv[8];
    struct vr_blake3_flags flags = {VR_BLAKE3_PARENT | extra, 0, 0};

    memcpy(cv, iv, sizeof cv);
    kernel->compress(cv, block, 1, VR_BLAKE3_BLOCK_LEN, 0, flags);
    vr_blake3_store_cv(out, cv);
}

static uint8_t *slot(struct vr_blake3 *h, unsigned level)
{
    return h->cv + (size_t)level * VR_BLAKE3_OUT_LEN;
}

static const uint8_t *const_slot(const struct vr_blake3 *h, unsigned level)
{
    return h->cv + (size_t)level * VR_BLAKE3_OUT_LEN;
}

static unsigned lowest_bit(uint64_t value)
{
    return (unsigned)__builtin_ctzll(value);
}

/*
 * Adds n whole chunks, 1 to BATCH_CHUNKS. `at_end`: no byte is known to follow them, so that the node
 * above all chunks, if there is exactly one, has to be left open.
 */
static void add_chunks(struct vr_blake3 *h, const uint8_t *in, size_t stride, size_t n, bool at_end)
{
    uint8_t room[(BATCH_CHUNKS + 1) * VR_BLAKE3_OUT_LEN];
    /* The nodes of a level, with room before them for the left sibling of the first one. */
    uint8_t *const nodes = room + VR_BLAKE3_OUT_LEN;
    const uint64_t total = h->chunks + n;
    uint64_t index = h->chunks;
    struct vr_blake3_batch batch = {
        .in = in,
        .stride = stride,
        .blocks = VR_BLAKE3_CHUNK_LEN / VR_BLAKE3_BLOCK_LEN,
        .count = n,
        .key = iv,
        .counter = h->chunks,
        .counter_step = 1,
        .flags = {0, VR_BLAKE3_CHUNK_START, VR_BLAKE3_CHUNK_END},
        .out = nodes,
    };

    h->kernel->hash_many(&batch);

    batch.stride = VR_BLAKE3_BLOCK_LEN;
    batch.blocks = 1;
    batch.counter = 0;
    batch.counter_step = 0;
    batch.flags = (struct vr_blake3_flags){VR_BLAKE3_PARENT, 0, 0};

    for (unsigned level = 0; n > 0; level++) {
        uint8_t *first = nodes;

        if (index & 1) {
            first = room;
            memcpy(first, slot(h, level), VR_BLAKE3_OUT_LEN);
            n++;
        }
        if (at_end && total == (uint64_t)2 << level) {
            memcpy(slot(h, level), first, VR_BLAKE3_BLOCK_LEN);
            h->held = true;
            break;
        }
        if (n & 1) {
            memcpy(slot(h, level), first + (n - 1) * VR_BLAKE3_OUT_LEN, VR_BLAKE3_OUT_LEN);
        }
        n /= 2;
        index /= 2;
        if (n > 0) {
            batch.in = first;
            batch.count = n;
            h->kernel->hash_many(&batch);
        }
    }
    h->chunks = total;
}

/* A stride of 0 means `len` zero bytes, with `in` the zero chunk. */
static void absorb(struct vr_blake3 *h, const uint8_t *in, uint64_t len, size_t stride)
{
    if (len == 0) {
        return;
    }
    if (h->held) {
        unsigned level = lowest_bit(h->chunks);

        hash_parent(h->kernel, slot(h, level - 1), 0, slot(h, level));
        h->held = false;
    }
    if (h->tail_len > 0) {
        size_t take = VR_BLAKE3_CHUNK_LEN - h->tail_len;

        if (take > len) {
            take = (size_t)len;
        }
        memcpy(h->tail + h->tail_len, in, take);
        h->tail_len += take;
        in += stride == 0 ? 0 : take;
        len -= take;
        if (len == 0) {
            return;
        }
        add_chunks(h, h->tail, VR_BLAKE3_CHUNK_LEN, 1, false);
        h->tail_len = 0;
    }
    while (len > VR_BLAKE3_CHUNK_LEN || (len == VR_BLAKE3_CHUNK_LEN && h->chunks > 0)) {
        uint64_t whole = len / VR_BLAKE3_CHUNK_LEN;
        size_t n = whole < BATCH_CHUNKS ? (size_t)whole : BATCH_CHUNKS;

        len -= (uint64_t)n * VR_BLAKE3_CHUNK_LEN;
        add_chunks(h, in, stride, n, len == 0);
        in += n * stride;
    }
    if (len > 0) {
        memcpy(h->tail, in, (size_t)len);
        h->tail_len = (size_t)len;
    }
}

static void start(struct vr_blake3 *h, const struct vr_blake3_kernel *kernel)
{
    h->kernel = kernel;
    h->chunks = 0;
    h->tail_len = 0;
    h->held = false;
}

static void hash_with(const struct vr_blake3_kernel *kernel, const void *data, size_t len, uint8_t *out)
{
    if (len <= VR_BLAKE3_CHUNK_LEN) {
        hash_chunk(kernel, data, len, 0, VR_BLAKE3_ROOT, out);
    } else {
        struct vr_blake3 h;

        start(&h, kernel);
        absorb(&h, data, len, VR_BLAKE3_CHUNK_LEN);
        vr_blake3_final(&h, out);
    }
}

void vr_blake3_init(struct vr_blake3 *h)
{
    start(h, best_kernel());
}

void vr_blake3_update(struct vr_blake3 *h, const void *data, size_t len)
{
    absorb(h, data, len, VR_BLAKE3_CHUNK_LEN);
}

void vr_blake3_update_zeros(struct vr_blake3 *h, uint64_t count)
{
    absorb(h, zero_chunk, count, 0);
}

void vr_blake3_final(const struct vr_blake3 *h, uint8_t out[VR_BLAKE3_OUT_LEN])
{
    uint8_t block[VR_BLAKE3_BLOCK_LEN];
    uint8_t *const right = block + VR_BLAKE3_OUT_LEN;
    uint64_t left = h->chunks;

    if (left == 0) {
        hash_chunk(h->kernel, h->tail, h->tail_len, 0, VR_BLAKE3_ROOT, out);
        return;
    }
    if (h->held) {
        hash_parent(h->kernel, const_slot(h, lowest_bit(left) - 1), VR_BLAKE3_ROOT, out);
        return;
    }
    if (h->tail_len > 0) {
        hash_chunk(h->kernel, h->tail, h->tail_len, h->chunks, 0, right);
    } else {
        /* Not held, hence at least two subtrees: one is the rightmost, and one is left of it. */
        memcpy(right, const_slot(h, lowest_bit(left)), VR_BLAKE3_OUT_LEN);
        left &= left - 1;
    }
    while (left != 0) {
        memcpy(block, const_slot(h, lowest_bit(left)), VR_BLAKE3_OUT_LEN);
        left &= left - 1;
        hash_parent(h->kernel, block, left == 0 ? VR_BLAKE3_ROOT : 0, right);
    }
    memcpy(out, right, VR_BLAKE3_OUT_LEN);
}

void vr_blake3_hash(const void *data, size_t len, uint8_t out[VR_BLAKE3_OUT_LEN])
{
    hash_with(best_kernel(), data, len, out);
}

const char *vr_blake3_kernel(void)
{
    return best_kernel()->name;
}

int vr_blake3_init_with(struct vr_blake3 *h, const char *kernel)
{
    const struct vr_blake3_kernel *found = kernel_named(kernel);

    if (found == NULL) {
        return -1;
    }
    start(h, found);
    return 0;
}

int vr_blake3_hash_with(const char *kernel, const void *data, size_t len, uint8_t out[VR_BLAKE3_OUT_LEN])
{
    const struct vr_blake3_kernel *found = kernel_named(kernel);

    if (found == NULL) {
        return -1;
    }
    hash_with(found, data, len, out);
    return 0;
}
