/* SPDX-License-Identifier: Apache-2.0 OR MIT */
#include <vrift/version.h>

uint32_t vrift_version(void)
{
    return VRIFT_VERSION_NUMBER;
}

const char *vrift_version_string(void)
{
    return VRIFT_VERSION_STRING;
}
