/* Says what a model file is and what memory it takes. */
#include <stdio.h>

#include "arguments.h"
#include "console.h"
#include "model.h"

static void print_count(const char *name, int64_t value) {
    printf("%-22s %lld\n", name, (long long)value);
}

static void print_text(const char *name, const char *value) {
    printf("%-22s %s\n", name, value && *value ? value : "-");
}

static void print_bytes(const char *name, uint64_t bytes) {
    printf("%-22s %llu (%.1f MiB)\n", name, (unsigned long long)bytes,
           (double)bytes / (1024.0 * 1024.0));
}

static void print_file(const transformer_model_details *d) {
    print_text("format", d->format);
    print_text("architecture", d->architecture);
    print_text("name", d->name);
    print_text("weight types", d->weight_types);
    print_count("parameters", d->n_parameters);
    print_count("vocabulary", d->n_vocab);
    print_count("embedding", d->n_embd);
    print_count("layers", d->n_layers);
    print_count("heads", d->n_heads);
    print_count("KV heads", d->n_kv_heads);
    print_count("head size", d->head_dim);
    print_count("context length", d->context_length);
    print_text("tokenizer", d->has_tokenizer ? "yes" : "no");
    printf("%-22s", "end tokens");
    for (int64_t i = 0; i < d->n_end_tokens; i++) printf(" %d", (int)d->end_tokens[i]);
    printf("%s\n", d->n_end_tokens ? "" : " -");
    print_bytes("file", d->file_bytes);
    print_bytes("weights", d->weight_bytes);
    print_bytes("read for each token", d->weight_bytes_per_token);
}

static void print_memory(const transformer_memory_estimate *e, int64_t n_context) {
    if (n_context)
        printf("\nmemory for a context of %lld tokens\n", (long long)n_context);
    else
        printf("\nmemory for a context of the default size\n");
    print_bytes("model", e->model_host_bytes);
    print_bytes("model, mapped", e->model_mapped_bytes);
    print_bytes("context", e->context_host_bytes);
    if (e->device_bytes) print_bytes("on the device", e->device_bytes);
    print_bytes("of it KV cache", e->context_kv_bytes);
    print_bytes("each sequence", e->sequence_host_bytes);
}

int main(int argc, char **argv) {
    const char *path = NULL;
    int64_t n_context = 0;
    int32_t n_threads = 0, device = 0;
    uint32_t kv_type = TRANSFORMER_KV_F16;
    const struct argument table[] = {
        {"--model", ARGUMENT_FILE, &path, "a GGUF file or a Hugging Face folder", 1},
        {"--context", ARGUMENT_COUNT, &n_context,
         "tokens to hold, default 0: the model's context length, at most 4096", 0},
        {"--threads", ARGUMENT_INT32, &n_threads, "default 0: one for each processor", 0},
        {"--device", ARGUMENT_DEVICE, &device, "default cpu", 0},
        {"--kv", ARGUMENT_KV, &kv_type, "type of the KV cache, default f16", 0},
        {0}};
    arguments_read(argc, argv, "Prints what a model file is, and the memory it would take.", table);

    transformer_model_options model_options = {
        .struct_size = sizeof model_options, .path = path, .device = device};
    transformer_context_options context_options = {.struct_size = sizeof context_options,
                                                   .max_sequence_tokens = n_context,
                                                   .n_threads = n_threads,
                                                   .kv_type = kv_type};
    transformer_memory_estimate estimate = {.struct_size = sizeof estimate};
    console_require(transformer_model_estimate(&model_options, &context_options, &estimate));
    transformer_model *model = model_open(path, 0);
    transformer_model_details details = model_details(model);
    print_file(&details);
    print_memory(&estimate, n_context);
    console_flush();
    transformer_model_close(model);
    return 0;
}
