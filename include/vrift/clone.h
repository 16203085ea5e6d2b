/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * The copy ladder outside any store: clone (FICLONE), kernel copy (copy_file_range), plain copy, or hard links.
 */
#ifndef VRIFT_CLONE_H
#define VRIFT_CLONE_H

#include <vrift/types.h>
#include <vrift/store.h>

VRIFT_BEGIN_DECLS

/**
 * Copies a file or a tree on the host, by the best rung of the ladder, keeping every attribute.
 *
 * mode, owner (where privilege allows; without it the set-id bits go with the owner), times, xattrs, holes and hard
 * links within the tree come along. With VRIFT_LINK_HARDLINK files share their inodes with src, with VRIFT_LINK_COPY
 * they share no blocks.
 *
 * @param src a file, symlink, special file or directory
 * @param dest must not exist; an empty directory counts as absent
 * @param options NULL for defaults
 * @param[out] out what was copied and how; may be NULL
 * @return 0; -VRIFT_EEXIST, -VRIFT_ENOTEMPTY; -VRIFT_EINVAL for a dest inside src; -VRIFT_ESTALE if a file
 * changed while it was copied; -VRIFT_ENOSPC; what progress returned; vrift_error_detail() says more. After an error dest is gone again.
 * Thread safety: any thread.
 * @since 0.1
 */
VRIFT_API int32_t vrift_clone_tree(const char *src, const char *dest, const struct vrift_checkout_options *options,
                                   struct vrift_checkout_result *out);

/**
 * Tells what copying between two places can use.
 *
 * @param src_dir,dest_dir existing directories; a temporary file is made in each and removed
 * @param[out] out for each rung 1 in its count if it works, else its error
 * @return 0; the errors of making a file.
 * Thread safety: any thread.
 * @since 0.1
 */
VRIFT_API int32_t vrift_clone_probe(const char *src_dir, const char *dest_dir, struct vrift_rungs *out);

VRIFT_END_DECLS

#endif
