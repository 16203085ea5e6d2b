/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* What the running kernel is set to, for tests that compare it with an instance of ours. */
#ifndef VR_TEST_KERNEL_H
#define VR_TEST_KERNEL_H

#include <stdint.h>

/* Its fs.protected_... settings as VRIFT_PROTECT_..., for struct vrift_vfs_options; ours by default where it has none. */
uint32_t kernel_protection(void);

#endif
