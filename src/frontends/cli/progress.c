/* SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "cli/progress.h"

#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include <vrift/error.h>

#include "cli/interrupt.h"
#include "cli/output.h"

#define PATIENCE_NS 1000000000u /* no bar before */
#define REDRAW_NS   100000000u

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

void vr_progress_begin(struct vr_progress *progress, const char *verb)
{
    memset(progress, 0, sizeof *progress);
    progress->verb = verb;
    progress->terminal = isatty(STDERR_FILENO) == 1;
    progress->started_ns = now_ns();
    vr_interrupt_catch();
}

static int terminal_width(void)
{
    struct winsize size;
    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) < 0 || size.ws_col == 0)
        return 80;
    return size.ws_col > 200 ? 200 : size.ws_col;
}

static void draw(const struct vr_progress *progress, const struct vrift_progress *now)
{
    char text[256], done[32], total[32], bar[64] = "";
    double part = -1;
    if (now->bytes_total)
        part = (double)now->bytes_done / (double)now->bytes_total;
    else if (now->files_total)
        part = (double)now->files_done / (double)now->files_total;
    if (part >= 0) {
        int filled = part > 1 ? 20 : (int)(part * 20);
        snprintf(bar, sizeof bar, " [%.*s%.*s] %3d%%", filled, "####################", 20 - filled,
                 "....................", part > 1 ? 100 : (int)(part * 100));
    }
    vr_output_size(now->bytes_done, done);
    int length = snprintf(text, sizeof text, "%s%s %llu files, %s", progress->verb, bar,
                          (unsigned long long)now->files_done, done);
    if (now->bytes_total && length > 0 && (size_t)length < sizeof text)
        snprintf(text + length, sizeof text - (size_t)length, " of %s", vr_output_size(now->bytes_total, total));
    fprintf(stderr, "\r\033[K%.*s", terminal_width() - 1, text);
}

int32_t vr_progress_step(const struct vrift_progress *now, void *payload)
{
    struct vr_progress *progress = payload;
    if (vr_interrupt_signal())
        return -VRIFT_ECANCELED;
    if (!progress->terminal)
        return 0;
    uint64_t time = now_ns();
    if (time - progress->started_ns < PATIENCE_NS || (progress->drawn && time - progress->drawn_ns < REDRAW_NS))
        return 0;
    draw(progress, now);
    progress->drawn = true;
    progress->drawn_ns = time;
    return 0;
}

double vr_progress_end(struct vr_progress *progress)
{
    if (progress->drawn)
        fputs("\r\033[K", stderr);
    progress->drawn = false;
    return (double)(now_ns() - progress->started_ns) / 1e9;
}
