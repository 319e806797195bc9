/* Errors: a code that travels up by TRY, and one line of text kept for the thread at the place that
 * knows the reason. */
#ifndef BASE_STATUS_H
#define BASE_STATUS_H

#include <inttypes.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "transformer.h"

typedef transformer_status status;

#define OK TRANSFORMER_OK
#define INVALID_ARGUMENT TRANSFORMER_INVALID_ARGUMENT
#define OUT_OF_MEMORY TRANSFORMER_OUT_OF_MEMORY
#define IO TRANSFORMER_IO
#define FORMAT TRANSFORMER_FORMAT
#define UNSUPPORTED TRANSFORMER_UNSUPPORTED
#define LIMIT TRANSFORMER_LIMIT
#define CANCELLED TRANSFORMER_CANCELLED
#define DEVICE TRANSFORMER_DEVICE
#define NOT_FOUND TRANSFORMER_NOT_FOUND
#define BUFFER_TOO_SMALL TRANSFORMER_BUFFER_TOO_SMALL
#define STATE TRANSFORMER_STATE
#define BUSY TRANSFORMER_BUSY
#define INTERNAL TRANSFORMER_INTERNAL

/* Records the message as this thread's last error, cut at a character border to fit, control
 * characters replaced. Returns code. */
status fail(status code, const char *format, ...) __attribute__((format(printf, 2, 3), cold));

/* This thread's last error. */
const char *status_text(void);

/* Around what may fail without being a failure of the call: the last error stays the one it was. */
enum { STATUS_TEXT_BYTES = 1024 };
void status_save(char text[STATUS_TEXT_BYTES]);
void status_restore(const char text[STATUS_TEXT_BYTES]);

/* Returns from the calling function on failure. */
#define TRY(call)                                  \
    do {                                           \
        status try_status_ = (call);               \
        if (try_status_ != OK) return try_status_; \
    } while (0)

/* Jumps to the function's one exit on failure, with `result` set. */
#define TRY_OR_EXIT(call)            \
    do {                             \
        result = (call);             \
        if (result != OK) goto exit; \
    } while (0)

#endif
