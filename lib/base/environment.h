/* The one place that reads the environment, for the debugging variables that docs/debugging.md
 * lists. */
#ifndef BASE_ENVIRONMENT_H
#define BASE_ENVIRONMENT_H

/* name without its TRANSFORMER_ prefix; NULL if it is not set or the process runs with raised
 * privileges. */
const char *environment_read(const char *name);

#endif
