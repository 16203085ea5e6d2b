/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * The layout of every public struct on 64-bit hosts, frozen for the soname's life. An input struct may grow at its end
 * (its size here with it); an output struct may only turn spare fields into named ones.
 */
#include <vrift/vrift.h>

#define FROZEN(type, bytes) _Static_assert(sizeof(void *) != 8 || sizeof(struct type) == (bytes), "layout of " #type)
#define FROZEN_AT(type, field, at)                                                                                     \
    _Static_assert(sizeof(void *) != 8 || offsetof(struct type, field) == (at), "layout of " #type "." #field)

FROZEN(vrift_allocator, 40);
FROZEN(vrift_backend_ops, 312);
FROZEN(vrift_capability, 16);
FROZEN(vrift_change, 528);
FROZEN(vrift_checkout_options, 40);
FROZEN(vrift_checkout_result, 152);
FROZEN(vrift_consistency, 16);
FROZEN(vrift_create, 64);
FROZEN(vrift_cred_options, 32);
FROZEN(vrift_digest, 36);
FROZEN(vrift_dir_entry, 40);
FROZEN(vrift_dirent, 24);
FROZEN(vrift_entry, 304);
FROZEN(vrift_error_detail, 4392);
FROZEN(vrift_host_options, 24);
FROZEN(vrift_import_options, 32);
FROZEN(vrift_import_result, 160);
FROZEN(vrift_iovec, 16);
FROZEN(vrift_key, 40);
FROZEN(vrift_map_place, 48);
FROZEN(vrift_map_range, 32);
FROZEN(vrift_mem_options, 32);
FROZEN(vrift_name, 16);
FROZEN(vrift_node, 48);
FROZEN(vrift_notice, 48);
FROZEN(vrift_open_how, 24);
FROZEN(vrift_overlay_layer, 16);
FROZEN(vrift_overlay_options, 40);
FROZEN(vrift_problem, 16);
FROZEN(vrift_progress, 32);
FROZEN(vrift_ref, 48);
FROZEN(vrift_rungs, 48);
FROZEN(vrift_setattr, 72);
FROZEN(vrift_snapshot_entry, 32);
FROZEN(vrift_snapshot_info, 192);
FROZEN(vrift_stat, 256);
FROZEN(vrift_statfs, 128);
FROZEN(vrift_store_options, 16);
FROZEN(vrift_store_stats, 128);
FROZEN(vrift_task_options, 24);
FROZEN(vrift_timespec, 16);
FROZEN(vrift_verify_options, 40);
FROZEN(vrift_verify_result, 128);
FROZEN(vrift_vfs_options, 40);
FROZEN(vrift_vfs_stats, 128);
FROZEN(vrift_watch_event, 48);
FROZEN(vrift_watch_options, 8);
FROZEN(vrift_workspace_info, 104);

FROZEN_AT(vrift_stat, mode, 64);
FROZEN_AT(vrift_stat, atime, 88);
FROZEN_AT(vrift_stat, digest, 152);
FROZEN_AT(vrift_stat, attributes, 184);
FROZEN_AT(vrift_stat, spare, 192);
FROZEN_AT(vrift_backend_ops, touch, sizeof(struct vrift_backend_ops) - sizeof(void *));
