/* SPDX-License-Identifier: Apache-2.0 OR MIT */
#include <vrift/version.h>

#include <stdio.h>

int main(void)
{
    printf("vrift %s\n", vrift_version_string());
    return 0;
}
