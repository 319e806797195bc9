/* What a host does first: the library that is linked is the one whose header it was built with. */
#include <stdio.h>
#include <string.h>
#include <transformer.h>

int main(void) {
    transformer_model *model = NULL;
    transformer_model_options options = {.struct_size = sizeof options, .path = "no such file"};
    int ok = transformer_version() == ((uint32_t)TRANSFORMER_VERSION_MAJOR << 24 |
                                       (uint32_t)TRANSFORMER_VERSION_MINOR << 16 |
                                       (uint32_t)TRANSFORMER_VERSION_PATCH << 8) &&
             strcmp(transformer_version_string(), TRANSFORMER_VERSION_TEXT) == 0 &&
             transformer_device_count() >= 1 &&
             transformer_model_open(&options, &model) == TRANSFORMER_NOT_FOUND && !model &&
             strlen(transformer_last_error()) > 0;
    printf("%s: %s\n", transformer_version_string(), transformer_last_error());
    return ok ? 0 : 1;
}
