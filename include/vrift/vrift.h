/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* All of libvrift. Each header also stands alone. Start with vfs.h, task.h and fs.h; stores begin in store.h. */
#ifndef VRIFT_VRIFT_H
#define VRIFT_VRIFT_H

#include <vrift/common.h>
#include <vrift/version.h>
#include <vrift/error.h>
#include <vrift/types.h>
#include <vrift/backend.h>
#include <vrift/vfs.h>
#include <vrift/mount.h>
#include <vrift/task.h>
#include <vrift/fs.h>
#include <vrift/file.h>
#include <vrift/map.h>
#include <vrift/watch.h>
#include <vrift/wait.h>
#include <vrift/lock.h>
#include <vrift/backends.h>
#include <vrift/store.h>
#include <vrift/snapshot.h>
#include <vrift/workspace.h>
#include <vrift/clone.h>

#endif
