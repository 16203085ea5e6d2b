/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* Namespaces. */
#ifndef VR_NS_H
#define VR_NS_H

#include "core/object.h"

/* The root of the topmost mount on a namespace's root, held. */
void vr_ns_root(vrift_ns *ns, struct vr_path *out);

#endif
