/* The one place of the version. SPDX-License-Identifier: Apache-2.0 */
#ifndef TRANSFORMER_VERSION_H
#define TRANSFORMER_VERSION_H

#define TRANSFORMER_VERSION_MAJOR 0
#define TRANSFORMER_VERSION_MINOR 1
#define TRANSFORMER_VERSION_PATCH 0
#define TRANSFORMER_VERSION_TEXT "0.1.0"

/* The number in the SONAME: libtransformer.so.ABI. It changes only if a released symbol or struct
 * member ever has to go. */
#define TRANSFORMER_ABI_NUMBER 0

#endif
