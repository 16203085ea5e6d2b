/* SPDX-License-Identifier: Apache-2.0 OR MIT */
#ifndef VR_FUZZ_H
#define VR_FUZZ_H

#include <stddef.h>
#include <stdint.h>

/* Must survive any bytes; aborts if a property that it checks does not hold. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Inputs that were taken for well-formed so far. The driver fails a fuzzer that refuses its own seeds: it tests nothing. */
extern unsigned long vr_fuzz_accepted;

/* Writes well-formed input number `number` and returns its size; 0: there are no more. */
size_t vr_fuzz_seed(uint32_t number, uint8_t *out, size_t capacity);

#endif
