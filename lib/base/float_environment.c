#include "base/float_environment.h"

void float_environment_enter(fenv_t *saved) {
    fegetenv(saved);
    fesetenv(FE_DFL_ENV);
}

void float_environment_leave(const fenv_t *saved) {
    fesetenv(saved);
}
