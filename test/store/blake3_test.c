/* SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "support/check.h"

#include "store/blake3.h"

#include <stdlib.h>
#include <string.h>

/* The official test vectors (test_vectors.json of the authors), hash mode, first 32 bytes. Input byte i is
 * i % 251. */
static const struct {
    size_t len;
    const char *hash;
} vectors[] = {
    {0, "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"},
    {1, "2d3adedff11b61f14c886e35afa036736dcd87a74d27b5c1510225d0f592e213"},
    {2, "7b7015bb92cf0b318037702a6cdd81dee41224f734684c2c122cd6359cb1ee63"},
    {3, "e1be4d7a8ab5560aa4199eea339849ba8e293d55ca0a81006726d184519e647f"},
    {4, "f30f5ab28fe047904037f77b6da4fea1e27241c5d132638d8bedce9d40494f32"},
    {5, "b40b44dfd97e7a84a996a91af8b85188c66c126940ba7aad2e7ae6b385402aa2"},
    {6, "06c4e8ffb6872fad96f9aaca5eee1553eb62aed0ad7198cef42e87f6a616c844"},
    {7, "3f8770f387faad08faa9d8414e9f449ac68e6ff0417f673f602a646a891419fe"},
    {8, "2351207d04fc16ade43ccab08600939c7c1fa70a5c0aaca76063d04c3228eaeb"},
    {63, "e9bc37a594daad83be9470df7f7b3798297c3d834ce80ba85d6e207627b7db7b"},
    {64, "4eed7141ea4a5cd4b788606bd23f46e212af9cacebacdc7d1f4c6dc7f2511b98"},
    {65, "de1e5fa0be70df6d2be8fffd0e99ceaa8eb6e8c93a63f2d8d1c30ecb6b263dee"},
    {127, "d81293fda863f008c09e92fc382a81f5a0b4a1251cba1634016a0f86a6bd640d"},
    {128, "f17e570564b26578c33bb7f44643f539624b05df1a76c81f30acd548c44b45ef"},
    {129, "683aaae9f3c5ba37eaaf072aed0f9e30bac0865137bae68b1fde4ca2aebdcb12"},
    {1023, "10108970eeda3eb932baac1428c7a2163b0e924c9a9e25b35bba72b28f70bd11"},
    {1024, "42214739f095a406f3fc83deb889744ac00df831c10daa55189b5d121c855af7"},
    {1025, "d00278ae47eb27b34faecf67b4fe263f82d5412916c1ffd97c8cb7fb814b8444"},
    {2048, "e776b6028c7cd22a4d0ba182a8bf62205d2ef576467e838ed6f2529b85fba24a"},
    {2049, "5f4d72f40d7a5f82b15ca2b2e44b1de3c2ef86c426c95c1af0b6879522563030"},
    {3072, "b98cb0ff3623be03326b373de6b9095218513e64f1ee2edd2525c7ad1e5cffd2"},
    {3073, "7124b49501012f81cc7f11ca069ec9226cecb8a2c850cfe644e327d22d3e1cd3"},
    {4096, "015094013f57a5277b59d8475c0501042c0b642e531b0a1c8f58d2163229e969"},
    {4097, "9b4052b38f1c5fc8b1f9ff7ac7b27cd242487b3d890d15c96a1c25b8aa0fb995"},
    {5120, "9cadc15fed8b5d854562b26a9536d9707cadeda9b143978f319ab34230535833"},
    {5121, "628bd2cb2004694adaab7bbd778a25df25c47b9d4155a55f8fbd79f2fe154cff"},
    {6144, "3e2e5b74e048f3add6d21faab3f83aa44d3b2278afb83b80b3c35164ebeca205"},
    {6145, "f1323a8631446cc50536a9f705ee5cb619424d46887f3c376c695b70e0f0507f"},
    {7168, "61da957ec2499a95d6b8023e2b0e604ec7f6b50e80a9678b89d2628e99ada77a"},
    {7169, "a003fc7a51754a9b3c7fae0367ab3d782dccf28855a03d435f8cfe74605e7817"},
    {8192, "aae792484c8efe4f19e2ca7d371d8c467ffb10748d8a5a1ae579948f718a2a63"},
    {8193, "bab6c09cb8ce8cf459261398d2e7aef35700bf488116ceb94a36d0f5f1b7bc3b"},
    {16384, "f875d6646de28985646f34ee13be9a576fd515f76b5b0a26bb324735041ddde4"},
    {31744, "62b6960e1a44bcc1eb1a611a8d6235b6b4b78f32e7abc4fb4c6cdcce94895c47"},
    {102400, "bc3e3d41a1146b069abffad3c0d44860cf664390afce4d9661f7902e7943e085"},
};

enum { VECTORS = sizeof vectors / sizeof vectors[0] };

/* More than two full batches of the tree logic. */
enum { INPUT_LEN = 300 * 1024 };

static const char *const kernels[] = {"portable", "sse4.1", "avx2", "avx512"};

enum { KERNELS = sizeof kernels / sizeof kernels[0] };

static uint8_t input[INPUT_LEN];
static const uint8_t zeros[INPUT_LEN];

/* Lengths where a chunk, a pair, a vector of any kernel or a batch of chunks ends, and next to them. */
static const size_t borders[] = {
    0,    1,    64,    1023,  1024,  1025,  2047,  2048,   2049,   3072,   4095,   4096,   4097,   8191,
    8192, 8193, 16383, 16384, 16385, 65536, 65537, 131071, 131072, 131073, 262144, 262145, 263168,
};

enum { BORDERS = sizeof borders / sizeof borders[0] };

/* Always the same sequence, so that a failure can be repeated. */
static uint32_t seed;

static uint32_t draw(uint32_t below)
{
    seed = seed * 1664525U + 1013904223U;
    return (uint32_t)(((uint64_t)seed * below) >> 32);
}

static int setup(void **state)
{
    (void)state;
    seed = 1;
    for (size_t i = 0; i < INPUT_LEN; i++) {
        input[i] = (uint8_t)(i % 251);
    }
    return 0;
}

static int runs_here(const char *kernel)
{
    uint8_t out[VR_BLAKE3_OUT_LEN];

    return vr_blake3_hash_with(kernel, "", 0, out) == 0;
}

static void every_official_vector_holds_on_every_kernel(void **state)
{
    (void)state;
    for (size_t k = 0; k < KERNELS; k++) {
        if (!runs_here(kernels[k])) {
            print_message("kernel %s: not on this CPU\n", kernels[k]);
            continue;
        }
        for (size_t i = 0; i < VECTORS; i++) {
            uint8_t out[VR_BLAKE3_OUT_LEN];
            char hex[2 * VR_BLAKE3_OUT_LEN + 1];

            assert_int_equal(vr_blake3_hash_with(kernels[k], input, vectors[i].len, out), 0);
            for (size_t j = 0; j < sizeof out; j++) {
                snprintf(hex + 2 * j, 3, "%02x", out[j]);
            }
            assert_string_equal(hex, vectors[i].hash);
        }
    }
}

static void the_chosen_kernel_is_one_this_cpu_runs(void **state)
{
    (void)state;
    uint8_t chosen[VR_BLAKE3_OUT_LEN];
    uint8_t named[VR_BLAKE3_OUT_LEN];

    vr_blake3_hash(input, 5000, chosen);
    assert_int_equal(vr_blake3_hash_with(vr_blake3_kernel(), input, 5000, named), 0);
    assert_memory_equal(chosen, named, sizeof chosen);
}

static void an_unknown_kernel_is_refused(void **state)
{
    (void)state;
    struct vr_blake3 h;
    uint8_t out[VR_BLAKE3_OUT_LEN];

    assert_int_equal(vr_blake3_hash_with("abacus", input, 1, out), -1);
    assert_int_equal(vr_blake3_init_with(&h, "abacus"), -1);
    assert_int_equal(vr_blake3_hash_with("portable", NULL, 0, out), 0);
}

static void all_kernels_agree_with_the_portable_one(void **state)
{
    (void)state;
    for (int i = 0; i < 300; i++) {
        /* Half of the lengths are small ones, where partial vectors are the rule. */
        size_t len = draw(i % 2 == 0 ? 70001 : 20000);
        size_t from = draw(1000);
        uint8_t expected[VR_BLAKE3_OUT_LEN];

        assert_int_equal(vr_blake3_hash_with("portable", input + from, len, expected), 0);
        for (size_t k = 0; k < KERNELS; k++) {
            uint8_t out[VR_BLAKE3_OUT_LEN];

            if (vr_blake3_hash_with(kernels[k], input + from, len, out) == 0) {
                assert_memory_equal(out, expected, sizeof out);
            }
        }
    }
}

static void pieces_of_one_size_hash_as_the_whole(void **state)
{
    (void)state;
    static const size_t sizes[] = {1, 63, 64, 100, 1023, 1024, 1025, 2048, 3000, 4096, 16384, 65536, 70001};

    for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
        for (size_t b = 0; b < BORDERS; b++) {
            struct vr_blake3 h;
            uint8_t whole[VR_BLAKE3_OUT_LEN];
            uint8_t out[VR_BLAKE3_OUT_LEN];

            vr_blake3_init(&h);
            for (size_t at = 0; at < borders[b]; at += sizes[s]) {
                size_t rest = borders[b] - at;

                vr_blake3_update(&h, input + at, rest < sizes[s] ? rest : sizes[s]);
            }
            vr_blake3_final(&h, out);
            vr_blake3_hash(input, borders[b], whole);
            assert_memory_equal(out, whole, sizeof out);
        }
    }
}

static void odd_pieces_hash_as_the_whole_on_every_kernel(void **state)
{
    (void)state;
    for (size_t k = 0; k < KERNELS; k++) {
        for (int i = 0; runs_here(kernels[k]) && i < 100; i++) {
            struct vr_blake3 h;
            size_t len = draw(INPUT_LEN + 1);
            uint32_t largest = 1U << (4 + draw(14));
            uint8_t whole[VR_BLAKE3_OUT_LEN];
            uint8_t out[VR_BLAKE3_OUT_LEN];

            assert_int_equal(vr_blake3_init_with(&h, kernels[k]), 0);
            for (size_t at = 0; at < len;) {
                size_t n = draw(largest + 1);

                n = n < len - at ? n : len - at;
                vr_blake3_update(&h, input + at, n);
                at += n;
            }
            vr_blake3_final(&h, out);
            vr_blake3_hash(input, len, whole);
            assert_memory_equal(out, whole, sizeof out);
        }
    }
}

static void whole_chunks_in_any_grouping_hash_as_the_whole(void **state)
{
    (void)state;
    for (int i = 0; i < 200; i++) {
        struct vr_blake3 h;
        size_t chunks = draw(INPUT_LEN / VR_BLAKE3_CHUNK_LEN + 1);
        uint8_t whole[VR_BLAKE3_OUT_LEN];
        uint8_t out[VR_BLAKE3_OUT_LEN];

        vr_blake3_init(&h);
        for (size_t at = 0; at < chunks;) {
            size_t n = 1 + draw(i % 2 == 0 ? 4 : 40);

            n = n < chunks - at ? n : chunks - at;
            vr_blake3_update(&h, input + at * VR_BLAKE3_CHUNK_LEN, n * VR_BLAKE3_CHUNK_LEN);
            at += n;
        }
        vr_blake3_final(&h, out);
        vr_blake3_hash(input, chunks * VR_BLAKE3_CHUNK_LEN, whole);
        assert_memory_equal(out, whole, sizeof out);
    }
}

static void a_final_in_the_middle_changes_nothing(void **state)
{
    (void)state;
    struct vr_blake3 h;
    size_t at = 0;

    vr_blake3_init(&h);
    for (size_t b = 0; b < BORDERS; b++) {
        uint8_t whole[VR_BLAKE3_OUT_LEN];
        uint8_t out[VR_BLAKE3_OUT_LEN];

        vr_blake3_update(&h, input + at, borders[b] - at);
        at = borders[b];
        vr_blake3_update(&h, input, 0);
        vr_blake3_final(&h, out);
        vr_blake3_hash(input, at, whole);
        assert_memory_equal(out, whole, sizeof out);
        vr_blake3_final(&h, out);
        assert_memory_equal(out, whole, sizeof out);
    }
}

static void a_hole_hashes_as_its_zeros(void **state)
{
    (void)state;
    for (size_t b = 0; b < BORDERS; b++) {
        struct vr_blake3 h;
        uint8_t whole[VR_BLAKE3_OUT_LEN];
        uint8_t out[VR_BLAKE3_OUT_LEN];

        vr_blake3_init(&h);
        vr_blake3_update_zeros(&h, borders[b]);
        vr_blake3_final(&h, out);
        vr_blake3_hash(zeros, borders[b], whole);
        assert_memory_equal(out, whole, sizeof out);
    }
}

static void a_hole_between_data_hashes_as_its_zeros(void **state)
{
    (void)state;
    static const size_t around[] = {0, 1, 64, 1000, 1023, 1024, 1025, 5000, 16384};
    static uint8_t sparse[INPUT_LEN + 2 * 16384];

    for (size_t k = 0; k < KERNELS; k++) {
        for (size_t b = 0; runs_here(kernels[k]) && b < BORDERS; b++) {
            for (size_t a = 0; a < sizeof around / sizeof around[0]; a++) {
                struct vr_blake3 h;
                size_t before = around[a];
                size_t after = around[draw(sizeof around / sizeof around[0])];
                size_t hole = borders[b];
                uint8_t whole[VR_BLAKE3_OUT_LEN];
                uint8_t out[VR_BLAKE3_OUT_LEN];

                memcpy(sparse, input, before);
                memset(sparse + before, 0, hole);
                memcpy(sparse + before + hole, input, after);
                vr_blake3_hash(sparse, before + hole + after, whole);

                assert_int_equal(vr_blake3_init_with(&h, kernels[k]), 0);
                vr_blake3_update(&h, input, before);
                vr_blake3_update_zeros(&h, hole);
                vr_blake3_update(&h, input, after);
                vr_blake3_final(&h, out);
                assert_memory_equal(out, whole, sizeof out);
            }
        }
    }
}

static void holes_in_pieces_hash_as_one(void **state)
{
    (void)state;
    for (int i = 0; i < 100; i++) {
        struct vr_blake3 h;
        size_t len = draw(INPUT_LEN + 1);
        uint8_t whole[VR_BLAKE3_OUT_LEN];
        uint8_t out[VR_BLAKE3_OUT_LEN];

        vr_blake3_init(&h);
        for (size_t at = 0; at < len;) {
            size_t n = draw(30000);

            n = n < len - at ? n : len - at;
            if (draw(2) == 0) {
                vr_blake3_update_zeros(&h, n);
            } else {
                vr_blake3_update(&h, zeros, n);
            }
            at += n;
        }
        vr_blake3_final(&h, out);
        vr_blake3_hash(zeros, len, whole);
        assert_memory_equal(out, whole, sizeof out);
    }
}

static void the_input_ends_where_its_length_says(void **state)
{
    (void)state;
    /* From the heap, at its exact size: a read beyond the end is seen by the address sanitizer. */
    for (size_t len = 1; len <= 40 * 1024; len += 1 + draw(1500)) {
        for (size_t k = 0; k < KERNELS; k++) {
            uint8_t *exact = malloc(len);
            uint8_t expected[VR_BLAKE3_OUT_LEN];
            uint8_t out[VR_BLAKE3_OUT_LEN];

            assert_non_null(exact);
            memcpy(exact, input, len);
            assert_int_equal(vr_blake3_hash_with("portable", input, len, expected), 0);
            if (vr_blake3_hash_with(kernels[k], exact, len, out) == 0) {
                assert_memory_equal(out, expected, sizeof out);
            }
            free(exact);
        }
    }
}

static void chunk_counters_above_32_bits_agree_on_every_kernel(void **state)
{
    (void)state;
    for (uint64_t before = 0; before < 40; before++) {
        struct vr_blake3 start;
        uint8_t expected[VR_BLAKE3_OUT_LEN] = {0};

        /* As after terabytes of input, with the subtrees made up: the border is crossed at each lane. */
        assert_int_equal(vr_blake3_init_with(&start, "portable"), 0);
        memset(start.cv, 0x5A, sizeof start.cv);
        start.chunks = ((uint64_t)3 << 32) - before;

        for (size_t k = 0; k < KERNELS; k++) {
            struct vr_blake3 h;
            struct vr_blake3 named;
            uint8_t out[VR_BLAKE3_OUT_LEN];

            if (vr_blake3_init_with(&named, kernels[k]) != 0) {
                continue;
            }
            h = start;
            h.kernel = named.kernel;
            vr_blake3_update(&h, input, 40 * 1024 + 100);
            vr_blake3_final(&h, out);
            if (k == 0) {
                memcpy(expected, out, sizeof out);
            }
            assert_memory_equal(out, expected, sizeof out);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_official_vector_holds_on_every_kernel),
        cmocka_unit_test(the_chosen_kernel_is_one_this_cpu_runs),
        cmocka_unit_test(an_unknown_kernel_is_refused),
        cmocka_unit_test(all_kernels_agree_with_the_portable_one),
        cmocka_unit_test(pieces_of_one_size_hash_as_the_whole),
        cmocka_unit_test(odd_pieces_hash_as_the_whole_on_every_kernel),
        cmocka_unit_test(whole_chunks_in_any_grouping_hash_as_the_whole),
        cmocka_unit_test(a_final_in_the_middle_changes_nothing),
        cmocka_unit_test(a_hole_hashes_as_its_zeros),
        cmocka_unit_test(a_hole_between_data_hashes_as_its_zeros),
        cmocka_unit_test(holes_in_pieces_hash_as_one),
        cmocka_unit_test(the_input_ends_where_its_length_says),
        cmocka_unit_test(chunk_counters_above_32_bits_agree_on_every_kernel),
    };

    return cmocka_run_group_tests(tests, setup, NULL);
}
