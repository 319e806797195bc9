/* What every example does with its standard streams. All of it ends the process on failure: exit
 * code 2 where the command line is at fault, 1 for everything else, one line on stderr. */
#ifndef EXAMPLES_CONSOLE_H
#define EXAMPLES_CONSOLE_H

#include <stddef.h>
#include <stdint.h>
#include <transformer.h>

#define PRINTF_LIKE __attribute__((format(printf, 1, 2)))

/* Remembers the program's name and lets a closed pipe be a write error instead of a signal. */
void console_start(const char *program);

PRINTF_LIKE _Noreturn void console_usage_error(const char *format, ...);
PRINTF_LIKE _Noreturn void console_fail(const char *format, ...);
/* Fails with the library's message unless status is TRANSFORMER_OK. */
void console_require(transformer_status status);

/* realloc that fails the program instead of returning NULL. */
void *console_allocate(void *block, size_t count, size_t size);
/* All of a file, or of stdin if path is NULL; a NUL follows. The caller frees it. */
char *console_read(const char *path, int64_t *length);

void console_write(const char *bytes, int64_t length);
/* A dead stdout is found here: every write that printf or putchar hid. */
void console_flush(void);

int console_has_terminal(void); /* is stderr one */
/* A bar on stderr; a transformer_progress_function, its user is the label. */
int32_t console_progress(void *label, uint64_t done, uint64_t total);

double console_seconds(void); /* of a clock that only goes forward */

#endif
