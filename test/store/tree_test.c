/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* One directory has one encoding, and nothing else is read as one. */
#include "support/check.h"

#include "store/bytes.h"
#include "store/links.h"
#include "store/snapobject.h"
#include "store/tree.h"
#include "store/xattrs.h"

static struct vr_tree_entry regular(const char *name, uint64_t size)
{
    struct vr_tree_entry entry = {.name = name, .name_length = (uint32_t)strlen(name), .type = VRIFT_DT_REG};
    entry.mode = 0644;
    entry.mtime.sec = -5;
    entry.mtime.nsec = 999999999;
    entry.size = size;
    memset(entry.digest.bytes, size ? 7 : 0, VR_DIGEST_SIZE);
    return entry;
}

/* Encodes regular files with these names in this order, unchecked. */
static struct vr_str encode_unchecked(const char *const *names, const size_t *lengths, uint32_t count)
{
    struct vr_str text = VR_STR_INIT;
    vr_str_append(&text, "VRTREE\1\0\0\0\0\0", 12);
    vr_bytes_put32(&text, count);
    for (uint32_t i = 0; i < count; i++) {
        struct vr_tree_entry entry = regular("", 1);
        entry.name = names[i];
        entry.name_length = (uint32_t)lengths[i];
        check_ok(vr_tree_encode_entry(&entry, 0, &text));
    }
    return text;
}

static int32_t read_through(const void *bytes, size_t length)
{
    struct vr_tree_reader reader;
    struct vr_tree_entry entry;
    int32_t error = vr_tree_open(&reader, bytes, length);
    while (!error && (error = vr_tree_next(&reader, &entry)) == 1)
        error = 0;
    return error;
}

static void a_tree_is_sorted_and_reads_back(void **state)
{
    (void)state;
    struct vr_tree tree;
    struct vr_str text = VR_STR_INIT;
    struct vr_tree_reader reader;
    struct vr_tree_entry entry = regular("b", 3);
    vr_tree_init(&tree, 0);
    check_ok(vr_tree_add(&tree, &entry));
    entry = regular("a.b", 0);
    check_ok(vr_tree_add(&tree, &entry));
    entry = regular("a", 1);
    check_ok(vr_tree_add(&tree, &entry));
    check_ok(vr_tree_encode(&tree, &text));
    check_ok(vr_tree_open(&reader, text.data, text.length));
    static const char *const order[] = {"a", "a.b", "b"};
    for (int i = 0; i < 3; i++) {
        assert_int_equal(vr_tree_next(&reader, &entry), 1);
        assert_int_equal(entry.name_length, strlen(order[i]));
        assert_memory_equal(entry.name, order[i], entry.name_length);
        assert_int_equal(entry.mtime.sec, -5);
        assert_int_equal(entry.mtime.nsec, 999999999);
    }
    assert_int_equal(vr_tree_next(&reader, &entry), 0);
    assert_non_null(vr_tree_find(&tree, "a.b", 3));
    assert_null(vr_tree_find(&tree, "a.", 2));
    vr_tree_dispose(&tree);
    vr_str_dispose(&text);
}

static void a_name_twice_or_a_name_that_cannot_be_is_not_encoded(void **state)
{
    (void)state;
    static const char *const bad[] = {"", ".", "..", "a/b"};
    struct vr_tree tree;
    struct vr_str text = VR_STR_INIT;
    struct vr_tree_entry entry = regular("a", 1);
    vr_tree_init(&tree, 0);
    check_ok(vr_tree_add(&tree, &entry));
    check_ok(vr_tree_add(&tree, &entry));
    check_error(-VRIFT_EEXIST, vr_tree_encode(&tree, &text));
    vr_tree_dispose(&tree);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        vr_tree_init(&tree, 0);
        entry = regular(bad[i], 1);
        check_ok(vr_tree_add(&tree, &entry));
        vr_str_truncate(&text, 0);
        check_error(-VRIFT_EINVAL, vr_tree_encode(&tree, &text));
        vr_tree_dispose(&tree);
    }
    vr_str_dispose(&text);
}

static void what_is_not_canonical_is_refused(void **state)
{
    (void)state;
    static char long_name[256];
    memset(long_name, 'x', sizeof long_name);
    const struct {
        const char *names[2];
        size_t lengths[2];
        uint32_t count;
        int32_t answer;
    } cases[] = {
        {{"a", "b"}, {1, 1}, 2, 0},
        {{"a", "a.b"}, {1, 3}, 2, 0},
        {{long_name, NULL}, {255, 0}, 1, 0},
        {{"\xff\n\x01", NULL}, {3, 0}, 1, 0},
        {{NULL, NULL}, {0, 0}, 0, 0},
        {{"b", "a"}, {1, 1}, 2, -VRIFT_EUCLEAN},
        {{"a", "a"}, {1, 1}, 2, -VRIFT_EUCLEAN},
        {{"a.b", "a"}, {3, 1}, 2, -VRIFT_EUCLEAN},
        {{".", NULL}, {1, 0}, 1, -VRIFT_EUCLEAN},
        {{"..", NULL}, {2, 0}, 1, -VRIFT_EUCLEAN},
        {{"a/b", NULL}, {3, 0}, 1, -VRIFT_EUCLEAN},
        {{"a\0b", NULL}, {3, 0}, 1, -VRIFT_EUCLEAN},
        {{"", NULL}, {0, 0}, 1, -VRIFT_EUCLEAN},
        {{long_name, NULL}, {256, 0}, 1, -VRIFT_EUCLEAN},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct vr_str text = encode_unchecked(cases[i].names, cases[i].lengths, cases[i].count);
        assert_int_equal(read_through(text.data, text.length), cases[i].answer);
        vr_str_append(&text, "", 1); /* a byte left over */
        assert_int_equal(read_through(text.data, text.length), -VRIFT_EUCLEAN);
        for (size_t length = 0; length < text.length - 1; length++)
            assert_int_equal(read_through(text.data, length), -VRIFT_EUCLEAN);
        vr_str_dispose(&text);
    }
}

static void a_newer_version_is_told_from_damage(void **state)
{
    (void)state;
    const char *name = "a";
    const size_t length = 1;
    struct vr_str text = encode_unchecked(&name, &length, 1);
    text.data[6] = 2;
    assert_int_equal(read_through(text.data, text.length), -VRIFT_EOPNOTSUPP);
    text.data[6] = 1;
    text.data[8] = 2; /* an unknown flag */
    assert_int_equal(read_through(text.data, text.length), -VRIFT_EUCLEAN);
    text.data[8] = 0;
    assert_int_equal(read_through(text.data, text.length), 0);
    vr_str_dispose(&text);
}

static void a_list_of_xattrs_has_one_form(void **state)
{
    (void)state;
    static const uint8_t good[] = {2, 0, 0, 0, 1, 0, 'a', 1, 0, 0, 0, 'x', 1, 0, 'b', 0, 0, 0, 0};
    uint8_t bad[sizeof good];
    char text[8];
    check_ok(vr_xattrs_check(good, sizeof good));
    assert_int_equal(vr_xattrs_get(good, sizeof good, "a", text, sizeof text), 1);
    assert_int_equal(vr_xattrs_get(good, sizeof good, "b", text, sizeof text), 0);
    check_error(-VRIFT_ENODATA, vr_xattrs_get(good, sizeof good, "c", text, sizeof text));
    assert_int_equal(vr_xattrs_list(good, sizeof good, text, sizeof text), 4);
    assert_memory_equal(text, "a\0b", 4);
    check_error(-VRIFT_ERANGE, vr_xattrs_list(good, sizeof good, text, 3));
    for (size_t length = 0; length < sizeof good; length++)
        check_error(-VRIFT_EUCLEAN, vr_xattrs_check(good, length));
    memcpy(bad, good, sizeof good);
    bad[14] = 'a'; /* twice */
    check_error(-VRIFT_EUCLEAN, vr_xattrs_check(bad, sizeof bad));
    bad[14] = 'A'; /* out of order */
    check_error(-VRIFT_EUCLEAN, vr_xattrs_check(bad, sizeof bad));
    bad[14] = 'b';
    bad[0] = 3; /* more are announced */
    check_error(-VRIFT_EUCLEAN, vr_xattrs_check(bad, sizeof bad));
}

static int32_t count_link(uint32_t group, const char *path, size_t length, void *payload)
{
    (void)path;
    (void)length;
    *(uint32_t *)payload = *(uint32_t *)payload * 10 + group + 1;
    return 0;
}

static void links_have_one_form_whatever_the_order_they_were_met_in(void **state)
{
    (void)state;
    struct vr_links one = {0}, other = {0};
    struct vr_str first = VR_STR_INIT, second = VR_STR_INIT;
    uint32_t groups = 0;
    check_ok(vr_links_add(&one, 7, "z", 1));
    check_ok(vr_links_add(&one, 3, "m", 1));
    check_ok(vr_links_add(&one, 7, "a/b", 3));
    check_ok(vr_links_add(&one, 9, "single", 6));
    check_ok(vr_links_add(&one, 3, "k", 1));
    check_ok(vr_links_add(&other, 1, "k", 1));
    check_ok(vr_links_add(&other, 2, "a/b", 3));
    check_ok(vr_links_add(&other, 2, "z", 1));
    check_ok(vr_links_add(&other, 1, "m", 1));
    check_ok(vr_links_encode(&one, &first));
    check_ok(vr_links_encode(&other, &second));
    assert_int_equal(first.length, second.length);
    assert_memory_equal(first.data, second.data, first.length);
    check_ok(vr_links_read(first.data, first.length, count_link, &groups));
    assert_int_equal(groups, 1122);
    for (size_t length = 0; length < first.length; length++)
        check_error(-VRIFT_EUCLEAN, vr_links_read(first.data, length, count_link, &groups));
    vr_links_dispose(&one);
    vr_links_dispose(&other);
    vr_str_dispose(&first);
    vr_str_dispose(&second);
}

static void a_snapshot_object_reads_back_and_nothing_shorter_does(void **state)
{
    (void)state;
    struct vr_snapobject object = {.has_links = 1, .entries = 1, .directories = 1}, got;
    struct vr_str text = VR_STR_INIT;
    object.root.type = VRIFT_DT_DIR;
    object.root.name = "";
    object.root.mode = 01777;
    object.root.mtime.sec = INT64_MIN;
    memset(object.root.digest.bytes, 3, VR_DIGEST_SIZE);
    memset(object.links.bytes, 4, VR_DIGEST_SIZE);
    check_ok(vr_snapobject_encode(&object, &text));
    check_ok(vr_snapobject_decode(text.data, text.length, &got));
    assert_int_equal(got.root.mode, 01777);
    assert_true(got.root.mtime.sec == INT64_MIN);
    assert_memory_equal(&got.links, &object.links, sizeof got.links);
    for (size_t length = 0; length < text.length; length++)
        check_error(-VRIFT_EUCLEAN, vr_snapobject_decode(text.data, length, &got));
    text.data[6] = 9;
    check_error(-VRIFT_EOPNOTSUPP, vr_snapobject_decode(text.data, text.length, &got));
    vr_str_dispose(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_tree_is_sorted_and_reads_back),
        cmocka_unit_test(a_name_twice_or_a_name_that_cannot_be_is_not_encoded),
        cmocka_unit_test(what_is_not_canonical_is_refused),
        cmocka_unit_test(a_newer_version_is_told_from_damage),
        cmocka_unit_test(a_list_of_xattrs_has_one_form),
        cmocka_unit_test(links_have_one_form_whatever_the_order_they_were_met_in),
        cmocka_unit_test(a_snapshot_object_reads_back_and_nothing_shorter_does),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
