/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* What is compressed in a pack: that it is, and that nobody can tell. */
#include "support/check.h"
#include "support/storage.h"

#include "store/blob.h"
#include "store/pack.h"
#include "store/seal.h"

#include <vrift/vrift.h>

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static struct vr_pack *make_pack(const void *blob, uint32_t length, int compress)
{
    struct vr_pack_writer writer;
    struct vr_pack *pack = NULL;
    struct vr_digest digest;
    char name[VR_PACK_NAME_SIZE], *directory = temporary_directory();
    int dirfd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int fd = openat(dirfd, "pack", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    vr_digest_of(blob, length, &digest);
    check_ok(vr_pack_writer_init(&writer, fd));
    check_ok(vr_pack_writer_add(&writer, &digest, blob, length, compress));
    check_ok(vr_pack_writer_finish(&writer, name));
    vr_pack_writer_dispose(&writer);
    check_ok(vr_seal(fd, 0600));
    check_ok(vr_pack_open(dirfd, "pack", &pack));
    close(fd);
    close(dirfd);
    remove_temporary_directory(directory); /* the mapping stays */
    return pack;
}

static void a_compressed_record_is_smaller_and_reads_the_same(void **state)
{
    (void)state;
    char text[8000], back[8000];
    struct vr_pack_place place;
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = "names and digests "[i % 18];
    struct vr_pack *pack = make_pack(text, sizeof text, 1);
    check_ok(vr_pack_place(pack, 0, &place));
    assert_int_equal(place.encoding, VR_PACK_ENCODING_ZSTD);
    assert_in_range(place.stored, 1, sizeof text / 4);
    check_ok(vr_pack_read(pack, &place, back));
    assert_memory_equal(back, text, sizeof text);
    vr_pack_close(pack);
    pack = make_pack(text, sizeof text, 0);
    check_ok(vr_pack_place(pack, 0, &place));
    assert_int_equal(place.encoding, VR_PACK_ENCODING_RAW);
    vr_pack_close(pack);
}

/* Stores a tree with many names, and a second tree whose file `node` holds the bytes of the first's root node. */
static void a_file_with_the_content_of_a_tree_node_comes_back(void **state)
{
    (void)state;
    char *directory = temporary_directory(), *first = storage_path(directory, "first");
    char *second = storage_path(directory, "second"), *out = storage_path(directory, "out"), name[32];
    struct vrift_snapshot_info info;
    struct vr_blob node;
    struct vr_digest digest;
    struct vrift_stat st;
    uint64_t entry;
    int32_t fd;
    uint64_t offset;
    assert_int_equal(mkdir(first, 0755) | mkdir(second, 0755), 0);
    for (int i = 0; i < 100; i++) {
        snprintf(name, sizeof name, "file-number-%d", i);
        storage_write(first, name, "x", 1);
    }
    vrift_store *store = storage_make(directory);
    struct vrift_digest id = storage_import(store, first, 1, 0);
    vrift_snapshot *snapshot = storage_open(store, &id);
    check_ok(vrift_snapshot_info(snapshot, &info));
    vrift_snapshot_unref(snapshot);
    memcpy(digest.bytes, info.tree.bytes, sizeof digest.bytes);
    check_ok(vr_blob_load(store, &digest, 1u << 20, &node));
    storage_write(second, "node", node.data, node.length);
    vr_blob_release(&node);

    id = storage_import(store, second, 1, 0);
    snapshot = storage_open(store, &id);
    storage_assert_matches(snapshot, second);
    check_ok(vrift_snapshot_walk(snapshot, "node", &entry));
    check_ok(vrift_snapshot_stat(snapshot, entry, &st));
    check_error(-VRIFT_EOPNOTSUPP, vrift_snapshot_open_blob(snapshot, entry, &fd, &offset));
    assert_int_equal(vrift_snapshot_seek(snapshot, entry, 0, VRIFT_SEEK_HOLE), st.size);
    struct vrift_checkout_options options = {.size = sizeof options, .link = VRIFT_LINK_HARDLINK};
    check_ok(vrift_checkout(snapshot, out, &options, NULL));
    struct vrift_digest again = storage_import(store, second, 1, 0);
    assert_memory_equal(&again, &id, sizeof id);
    storage_assert_sound(store);
    vrift_snapshot_unref(snapshot);
    vrift_store_close(store);
    free(first);
    free(second);
    free(out);
    remove_temporary_directory(directory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_compressed_record_is_smaller_and_reads_the_same),
        cmocka_unit_test(a_file_with_the_content_of_a_tree_node_comes_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
