/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* Verifying contents: each loose blob against its name, each pack byte by byte. A directory or pack is one job. */
#include "store/verify.h"

#include "core/alloc.h"
#include "platform/fileops.h"
#include "store/namelist.h"
#include "store/pack.h"
#include "store/stream.h"

#include <vrift/error.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

struct job {
    struct vr_crew_job crew; /* first */
    char shard[3];           /* "" for a pack */
    char pack[VR_PACK_NAME_SIZE];
};

/* -- Loose blobs -------------------------------------------------------------------------------------------------- */

/* The digest that a loose file's name says, and whether it is the executable twin. 0 if it is no such name. */
static int parse_name(const char *shard, const char *name, struct vr_digest *digest, int *executable)
{
    char hex[VR_DIGEST_HEX];
    size_t length = strlen(name);
    *executable = length == 64 && strcmp(name + 62, "-x") == 0;
    if (length != 62 && !*executable)
        return 0;
    snprintf(hex, sizeof hex, "%.2s%.62s", shard, name);
    return vr_digest_unhex(hex, digest) == 0;
}

static const char *check_loose(struct vr_verify *verify, int dirfd, const char *name, const struct vr_digest *digest,
                               int executable, uint8_t *buffer)
{
    struct vrift_stat stat;
    struct vr_digest sum;
    int fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0)
        return errno == ENOENT ? NULL : "it cannot be read";
    const char *reason = NULL;
    int32_t error = vr_fileops_stat(fd, "", &stat);
    if (error || (stat.mode & VRIFT_S_IFMT) != VRIFT_S_IFREG) {
        reason = "it is not a file";
    } else {
        struct vr_stream stream = {fd, -1, stat.size, buffer, NULL, NULL, 0};
        error = vr_stream_pass(&stream, &sum);
        if (error)
            reason = "it cannot be read";
        else if (!vr_digest_equal(&sum, digest))
            reason = "its content does not match its name";
        else if ((stat.mode & 07777) != (executable ? 0555u : 0444u))
            reason = executable ? "its mode is not 0555" : "its mode is not 0444";
        vr_crew_count(&verify->crew, 1, stat.size);
    }
    close(fd);
    vr_os_mutex_lock(&verify->lock);
    verify->result.blobs++;
    verify->result.bytes += reason ? 0 : stat.size;
    vr_os_mutex_unlock(&verify->lock);
    return reason;
}

static void verify_shard(struct vr_verify *verify, const char *shard)
{
    struct vr_namelist names = {0};
    struct vr_digest digest;
    char directory[16];
    int executable;
    snprintf(directory, sizeof directory, "objects/%s", shard);
    int fd = openat(verify->store->objects, shard, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) {
        vr_verify_problem(verify, "objects", shard, "it cannot be opened");
        return;
    }
    uint8_t *buffer = vr_alloc(NULL, VR_STREAM_BUFFER);
    int32_t error = buffer ? vr_namelist_read(&names, fd) : -VRIFT_ENOMEM;
    if (error)
        vr_crew_fail(&verify->crew, error, "verify", directory, NULL);
    for (size_t i = 0; !error && i < names.count && !vr_crew_stopped(&verify->crew); i++) {
        const char *name = names.names[i];
        const char *reason = "its name is not one of a blob";
        if (parse_name(shard, name, &digest, &executable))
            reason = check_loose(verify, fd, name, &digest, executable, buffer);
        if (reason)
            error = vr_verify_problem(verify, directory, name, reason);
    }
    vr_namelist_dispose(&names);
    vr_alloc_free(NULL, buffer);
    close(fd);
}

/* -- Packs -------------------------------------------------------------------------------------------------------- */

static void verify_pack(struct vr_verify *verify, const char *name)
{
    struct vr_pack *pack;
    const char *reason = NULL;
    uint64_t blobs = 0, bytes = 0;
    int32_t error = vr_pack_open(verify->store->packs, name, &pack);
    if (error == -VRIFT_ENOENT)
        return;
    if (!error) {
        reason = vr_pack_verify(pack);
        blobs = pack->count;
        bytes = pack->size;
        vr_pack_close(pack);
    } else if (error == -VRIFT_EUCLEAN || error == -VRIFT_EINVAL) {
        reason = "it is damaged";
    } else {
        reason = error == -VRIFT_EOPNOTSUPP ? "it is of a newer version" : "it cannot be read";
    }
    vr_os_mutex_lock(&verify->lock);
    verify->result.packs++;
    verify->result.blobs += blobs;
    verify->result.bytes += bytes;
    vr_os_mutex_unlock(&verify->lock);
    vr_crew_count(&verify->crew, blobs, bytes);
    if (reason)
        vr_verify_problem(verify, "packs", name, reason);
}

/* -- Jobs --------------------------------------------------------------------------------------------------------- */

static void run(struct vr_crew *crew, struct vr_crew_job *base)
{
    union {
        struct vr_crew_job *base;
        struct job *job;
    } of = {base};
    union {
        struct vr_crew *crew;
        struct vr_verify *verify;
    } in = {crew};
    if (!vr_crew_stopped(crew)) {
        if (of.job->shard[0])
            verify_shard(in.verify, of.job->shard);
        else
            verify_pack(in.verify, of.job->pack);
    }
    vr_alloc_free(NULL, of.job);
}

static int32_t push(struct vr_verify *verify, const char *shard, const char *pack)
{
    struct job *job = vr_alloc_zero(NULL, 1, sizeof *job);
    if (!job)
        return vr_crew_fail(&verify->crew, -VRIFT_ENOMEM, "verify", NULL, NULL);
    snprintf(job->shard, sizeof job->shard, "%s", shard);
    snprintf(job->pack, sizeof job->pack, "%s", pack);
    vr_crew_push(&verify->crew, &job->crew);
    return 0;
}

static int32_t push_shards(struct vr_verify *verify)
{
    struct vr_namelist names = {0};
    int32_t error = vr_namelist_read(&names, verify->store->objects);
    for (size_t i = 0; !error && i < names.count; i++) {
        const char *name = names.names[i];
        if (strlen(name) == 2 && strspn(name, "0123456789abcdef") == 2)
            error = push(verify, name, "");
        else
            error = vr_verify_problem(verify, "objects", name, "its name is not one of a directory of blobs");
    }
    vr_namelist_dispose(&names);
    return error;
}

static int32_t push_packs(struct vr_verify *verify)
{
    struct vr_namelist names = {0};
    int32_t error = vr_namelist_read(&names, verify->store->packs);
    for (size_t i = 0; !error && i < names.count; i++) {
        if (strlen(names.names[i]) < VR_PACK_NAME_SIZE)
            error = push(verify, "", names.names[i]);
        else
            error = vr_verify_problem(verify, "packs", names.names[i], "its name is not one of a pack");
    }
    vr_namelist_dispose(&names);
    return error;
}

int32_t vr_verify_blobs(struct vr_verify *verify)
{
    verify->crew.run = run;
    int32_t error = push_shards(verify);
    if (!error)
        error = push_packs(verify);
    int32_t worked = vr_crew_work(&verify->crew);
    return error ? error : worked;
}
