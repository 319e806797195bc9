/* A model, a Hugging Face folder say, as a GGUF file. */
#define _POSIX_C_SOURCE 200809L
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "arguments.h"
#include "console.h"

struct output {
    FILE *file;
    int error; /* errno of the write that failed */
};

static int32_t write_bytes(void *user, const void *bytes, uint64_t n) {
    struct output *output = user;
    if (fwrite(bytes, 1, (size_t)n, output->file) == n) return 0;
    output->error = errno;
    return 1;
}

/* The status of what the file holds; error: of the file. */
static transformer_status write_to(const transformer_model_options *model, struct output *output) {
    const transformer_convert_options options = {
        .struct_size = sizeof options, .model = model, .write = write_bytes, .write_user = output};
    transformer_status status = transformer_model_convert(&options);
    if (status == TRANSFORMER_OK && fflush(output->file) != 0) output->error = errno;
    return status;
}

static void finish(const char *path, const struct output *output, transformer_status status) {
    if (output->error) console_fail("%s: %s", path, strerror(output->error));
    console_require(status);
}

/* To a name of its own first: the file is whole or not there. */
static void convert_to_file(const transformer_model_options *model, const char *path) {
    size_t length = strlen(path);
    char *partial = console_allocate(NULL, length + 6, 1);
    memcpy(partial, path, length);
    memcpy(partial + length, ".part", 6);
    struct output output = {.file = fopen(partial, "wbx")};
    if (!output.file) console_fail("%s: %s", partial, strerror(errno));
    transformer_status status = write_to(model, &output);
    if (status == TRANSFORMER_OK && !output.error && fsync(fileno(output.file)) != 0)
        output.error = errno;
    if (fclose(output.file) != 0 && !output.error) output.error = errno;
    if (status == TRANSFORMER_OK && !output.error && rename(partial, path) != 0)
        output.error = errno;
    if (status != TRANSFORMER_OK || output.error) remove(partial);
    free(partial);
    finish(path, &output, status);
}

/* A device, a pipe, a link: the name must stay what it is. */
static void convert_to_device(const transformer_model_options *model, const char *path) {
    struct output output = {.file = fopen(path, "wb")};
    if (!output.file) console_fail("%s: %s", path, strerror(errno));
    transformer_status status = write_to(model, &output);
    if (fclose(output.file) != 0 && !output.error) output.error = errno;
    finish(path, &output, status);
}

static void convert(const transformer_model_options *model, const char *path) {
    struct stat info;
    /* of a link's own: /dev/stdout is one, whatever it leads to */
    bool is_file = lstat(path, &info) != 0 || S_ISREG(info.st_mode);
    if (is_file)
        convert_to_file(model, path);
    else
        convert_to_device(model, path);
}

int main(int argc, char **argv) {
    transformer_model_options options = {.struct_size = sizeof options};
    const char *path = NULL;
    const struct argument table[] = {
        {"--model", ARGUMENT_FILE, &options.path, "a Hugging Face folder or a GGUF file", 1},
        {"--output", ARGUMENT_TEXT, &path,
         "the GGUF file to write; a file is replaced, a device or pipe written to", 1},
        {"--type", ARGUMENT_WEIGHTS, &options.weight_type,
         "of the matrices; default: as they are, or what holds them exactly", 0},
        {0}};
    arguments_read(argc, argv, "Writes a model as a GGUF file.", table);
    if (console_has_terminal()) {
        options.progress = console_progress;
        options.progress_user = (void *)"converting";
    }
    convert(&options, path);
    console_flush();
    return 0;
}
