/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* From 600 on: fifos, by descriptors that do not wait. */
#include "oracle/oracle.h"

#define ASK(number, question, result) oracle_note(o, (number), (question), "%s", oracle_word(result))

static int open_at(struct oracle *o, const char *path, uint64_t flags)
{
    return (int)o->calls->openat(o->self, AT, path, flags | VRIFT_O_NONBLOCK, 0644);
}

static void note_count(struct oracle *o, int number, const char *question, int64_t result)
{
    if (result < 0)
        oracle_note(o, number, question, "%s", oracle_word(result));
    else
        oracle_note(o, number, question, "%lld", (long long)result);
}

static void ends(struct oracle *o)
{
    const struct oracle_calls *calls = o->calls;
    char buf[16];
    ASK(600, "open of a fifo for writing without a reader", open_at(o, "p", VRIFT_O_WRONLY));
    int in = open_at(o, "p", VRIFT_O_RDONLY);
    ASK(601, "read of a fifo that nobody has written", calls->read(o->self, in, buf, sizeof buf));
    int out = open_at(o, "p", VRIFT_O_WRONLY);
    ASK(602, "read of a fifo with a writer", calls->read(o->self, in, buf, sizeof buf));
    note_count(o, 603, "write", calls->write(o->self, out, "hello", 5));
    note_count(o, 604, "read of a part", calls->read(o->self, in, buf, 2));
    note_count(o, 605, "read of the rest", calls->read(o->self, in, buf, sizeof buf));
    oracle_note(o, 606, "what was read last", "%.3s", buf);
    note_count(o, 607, "write of nothing", calls->write(o->self, out, "", 0));
    note_count(o, 608, "read of nothing", calls->read(o->self, in, buf, 0));
    ASK(609, "read by the writer", calls->read(o->self, out, buf, 1));
    ASK(610, "write by the reader", calls->write(o->self, in, buf, 1));
    ASK(611, "lseek of a fifo", calls->lseek(o->self, in, 0, VRIFT_SEEK_CUR));
    ASK(612, "lseek of a fifo by a bad whence", calls->lseek(o->self, in, 0, 77));
    ASK(613, "pwrite to a fifo", calls->pwrite(o->self, out, "x", 1, 0));
    ASK(614, "ftruncate of a fifo", calls->ftruncate(o->self, out, 0));
    ASK(615, "fsync of a fifo", calls->sync(o->self, in, 0));
    ASK(616, "getdents of a fifo", calls->getdents(o->self, in, 1024, NULL, 0));
    ASK(617, "F_SETLK WRLCK of a fifo", calls->setlk(o->self, out, 0, VRIFT_F_WRLCK));
    ASK(618, "flock of a fifo", calls->flock(o->self, out, VRIFT_LOCK_EX));
    ASK(619, "truncate of a fifo by name", calls->truncate(o->self, "p", 0));
    calls->write(o->self, out, "left", 4);
    calls->close(o->self, out);
    note_count(o, 620, "read of what a writer left that is gone", calls->read(o->self, in, buf, sizeof buf));
    note_count(o, 621, "read after that", calls->read(o->self, in, buf, sizeof buf));
    out = open_at(o, "p", VRIFT_O_WRONLY | VRIFT_O_APPEND);
    calls->close(o->self, in);
    ASK(622, "write without a reader", calls->write(o->self, out, "x", 1));
    calls->close(o->self, out);
}

static void capacity(struct oracle *o)
{
    const struct oracle_calls *calls = o->calls;
    static char block[70000];
    int both = open_at(o, "p", VRIFT_O_RDWR);
    note_count(o, 630, "write of more than fits", calls->write(o->self, both, block, sizeof block));
    ASK(631, "write of one byte more", calls->write(o->self, both, block, 1));
    note_count(o, 632, "read of 4096 bytes", calls->read(o->self, both, block, 4096));
    note_count(o, 633, "write of 4096 bytes", calls->write(o->self, both, block, 4096));
    note_count(o, 634, "read of much", calls->read(o->self, both, block, sizeof block));
    ASK(635, "read of an empty one", calls->read(o->self, both, block, 1));
    calls->write(o->self, both, "lost", 4);
    calls->close(o->self, both);
    both = open_at(o, "p", VRIFT_O_RDWR);
    ASK(636, "read of what was left when all had closed it", calls->read(o->self, both, block, 1));
    int twin = (int)calls->dup(o->self, both);
    calls->close(o->self, both);
    note_count(o, 637, "write by a dup", calls->write(o->self, twin, "abc", 3));
    oracle_rename(o, "p", "q", 0);
    int other = open_at(o, "q", VRIFT_O_RDONLY);
    note_count(o, 638, "read under another name", calls->read(o->self, other, block, 9));
    oracle_unlink(o, "q");
    note_count(o, 639, "write when its last name is gone", calls->write(o->self, twin, "abc", 3));
    note_count(o, 640, "and read", calls->read(o->self, other, block, 9));
    calls->close(o->self, other);
    calls->close(o->self, twin);
}

static void where_nothing_may_be_written(struct oracle *o)
{
    const struct oracle_calls *calls = o->calls;
    char byte;
    struct vrift_stat before = {.size = 9}, after = {.size = 9};
    calls->mknodat(o->self, AT, "p", VRIFT_S_IFIFO | 0644);
    calls->utimes(o->self, "p", 1000, 1000);
    int both = open_at(o, "p", VRIFT_O_RDWR);
    calls->write(o->self, both, "x", 1);
    calls->statat(o->self, AT, "p", 0, &after);
    oracle_note(o, 641, "mtime and size after a write", "%s %llu", after.mtime.sec == 1000 ? "old" : "new",
                (unsigned long long)after.size);
    oracle_note(o, 642, "atime after a write", "%s", after.atime.sec == 1000 ? "old" : "new");
    calls->read(o->self, both, &byte, 1);
    calls->statat(o->self, AT, "p", 0, &before);
    oracle_note(o, 643, "atime after a read", "%s", before.atime.sec == 1000 ? "old" : "new");
    calls->close(o->self, both);
    calls->remount(o->self, "/base", VRIFT_MOUNT_RDONLY);
    both = open_at(o, "p", VRIFT_O_RDWR);
    ASK(644, "open of a fifo for writing on a read-only mount", both);
    note_count(o, 645, "write to it", calls->write(o->self, both, "x", 1));
    calls->close(o->self, both);
    ASK(646, "open with O_TRUNC there", oracle_open_close(o, "p", VRIFT_O_RDWR | VRIFT_O_TRUNC | VRIFT_O_NONBLOCK, 0));
    calls->remount(o->self, "/base", 0);
    oracle_as_user(o, 1000, 1000);
    ASK(647, "open of another's fifo for writing", oracle_open_close(o, "p", VRIFT_O_RDWR | VRIFT_O_NONBLOCK, 0));
    oracle_as_root(o);
}

void oracle_fifo_questions(struct oracle *o)
{
    oracle_fresh(o);
    o->calls->mknodat(o->self, AT, "p", VRIFT_S_IFIFO | 0644);
    ends(o);
    capacity(o);
    where_nothing_may_be_written(o);
}
