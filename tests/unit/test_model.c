/* Where a model may come from, what it says about itself, and how opening it fails or is stopped.
 */
#define _GNU_SOURCE
#include "api_fixture.h"

#include <sys/stat.h>
#include <unistd.h>

/* What tells that a model is the right one: logits. */
static float *logits_of(transformer_model *model) {
    transformer_context *context = fixture_context(model, NULL);
    transformer_sequence *sequence = fixture_prompt(context, model, 1, 20, TRANSFORMER_LOGITS_LAST);
    fixture_decode(context);
    float *row = fixture_logits(sequence, -1);
    transformer_sequence_destroy(sequence);
    transformer_context_destroy(context);
    return row;
}

static transformer_model *open_with(transformer_model_options options) {
    transformer_model *model = NULL;
    options.struct_size = sizeof options;
    ok(transformer_model_open(&options, &model));
    return model;
}

static transformer_status try_open(transformer_model_options options) {
    transformer_model *model = NULL;
    options.struct_size = sizeof options;
    transformer_status status = transformer_model_open(&options, &model);
    ck_assert((model != NULL) == (status == TRANSFORMER_OK));
    transformer_model_close(model);
    return status;
}

static transformer_model_details info(const transformer_model *model) {
    transformer_model_details details = {.struct_size = sizeof details};
    ok(transformer_model_info(model, &details));
    return details;
}

/* ---- a reader ---- */

struct files {
    const char *folder; /* in front of names */
    int64_t n_reads, fail_at, short_at;
    uint64_t end;        /* of the last read */
    int64_t n_ascending; /* reads that begin behind the one before */
};

static FILE *open_file(const struct files *files, const char *name) {
    char path[4096];
    snprintf(path, sizeof path, "%s%s", files->folder, name);
    return fopen(path, "rb");
}

static int64_t file_size(void *user, const char *name) {
    FILE *file = open_file(user, name);
    if (!file) return -1;
    fseek(file, 0, SEEK_END);
    int64_t size = ftell(file);
    fclose(file);
    return size;
}

static int64_t file_read(void *user, const char *name, uint64_t offset, void *buffer, uint64_t n) {
    struct files *files = user;
    files->n_reads++;
    if (files->n_reads == files->fail_at) return -1;
    files->n_ascending += offset >= files->end;
    files->end = offset + n;
    FILE *file = open_file(files, name);
    ck_assert_ptr_nonnull(file);
    fseek(file, (long)offset, SEEK_SET);
    int64_t got = (int64_t)fread(buffer, 1, (size_t)n, file);
    fclose(file);
    return files->n_reads == files->short_at ? got - 1 : got;
}

START_TEST(every_way_of_opening) {
    const char *path = fixture_path(_i ? "quantized/llama-q4_1" : "small/gemma3-mqa");
    transformer_model *model = fixture_open_path(path);
    int64_t n = fixture_n_vocab(model);
    float *row = logits_of(model);
    transformer_model_close(model);

    model =
        open_with((transformer_model_options){.path = path, .load_mode = TRANSFORMER_LOAD_READ});
    fixture_same(logits_of(model), row, n, "read");
    transformer_model_close(model);

    size_t size;
    void *bytes = fixture_read_file(path, &size);
    model = open_with((transformer_model_options){.data = bytes, .data_size = size});
    fixture_same(logits_of(model), row, n, "from memory");
    transformer_model_close(model);

    /* A copy: the host's bytes may go. */
    model = open_with(
        (transformer_model_options){.data = bytes, .data_size = size, .copy = TRANSFORMER_ON});
    memset(bytes, 0xEE, size);
    fixture_same(logits_of(model), row, n, "copied from memory");
    if (info(model).has_tokenizer) {
        int32_t tokens[64];
        char text[64];
        int64_t count, length;
        ok(transformer_tokenize(model, "some text", 9, NULL, tokens, 64, &count));
        ok(transformer_detokenize(model, tokens, count, NULL, text, 64, &length));
        ck_assert_int_eq(length, 9);
        ck_assert_mem_eq(text, "some text", 9);
    }
    char architecture[8];
    int64_t length;
    ok(transformer_model_metadata(model, "general.architecture", architecture, 8, &length));
    ck_assert_mem_eq(architecture, _i ? "llama" : "gemma3", (size_t)length);
    transformer_model_close(model);

    struct files files = {.folder = ""};
    transformer_reader reader = {.size = file_size, .read = file_read, .user = &files};
    model = open_with((transformer_model_options){.path = path, .reader = &reader});
    int64_t n_reads = files.n_reads;
    ck_assert_int_gt(n_reads, 0);
    fixture_same(logits_of(model), row, n, "through a reader");
    ck_assert_int_eq(files.n_reads, n_reads); /* called inside open only */
    transformer_model_close(model);

    for (int64_t at = 1; at <= n_reads; at += 1 + n_reads / 20) {
        files = (struct files){.folder = "", .fail_at = at};
        expect(TRANSFORMER_IO,
               try_open((transformer_model_options){.path = path, .reader = &reader}));
        files = (struct files){.folder = "", .short_at = at};
        expect(TRANSFORMER_IO,
               try_open((transformer_model_options){.path = path, .reader = &reader}));
    }
    files = (struct files){.folder = "/nonexistent"};
    expect(TRANSFORMER_NOT_FOUND,
           try_open((transformer_model_options){.path = path, .reader = &reader}));
}
END_TEST

/* Once the weights are read, each lies behind the one before: what is read ahead is used, and pages
 * of a mapped file that are dropped are not wanted again. */
START_TEST(weights_in_the_order_of_the_file) {
    const char *path = fixture_path(_i ? "quantized/llama-q4_1" : "small/gemma3-mqa");
    struct files files = {.folder = ""};
    transformer_reader reader = {.size = file_size, .read = file_read, .user = &files};
    transformer_model *model =
        open_with((transformer_model_options){.path = path, .reader = &reader});
    ck_assert_int_gt(files.n_ascending, 10);
    ck_assert_msg(files.n_ascending >= files.n_reads - 4, "%lld of %lld reads lie behind the last",
                  (long long)files.n_ascending, (long long)files.n_reads);
    transformer_model_close(model);
}
END_TEST

/* ---- split files, made here from a whole one ---- */

struct writer {
    uint8_t *bytes;
    size_t n;
};

static void put(struct writer *to, const void *from, size_t n) {
    memcpy(to->bytes + to->n, from, n);
    to->n += n;
}

static void put_u64(struct writer *to, uint64_t value) {
    put(to, &value, sizeof value);
}

static void put_number(struct writer *to, const char *key, uint32_t kind, uint32_t value) {
    put_u64(to, strlen(key));
    put(to, key, strlen(key));
    put(to, &kind, sizeof kind);
    put(to, &value, kind == 2 ? 2 : 4); /* u16 or i32 */
}

static uint64_t get_u64(const uint8_t **at) {
    uint64_t value;
    memcpy(&value, *at, sizeof value);
    *at += sizeof value;
    return value;
}

static uint32_t get_u32(const uint8_t **at) {
    uint32_t value;
    memcpy(&value, *at, sizeof value);
    *at += sizeof value;
    return value;
}

static void skip_value(const uint8_t **at, uint32_t kind) {
    static const uint8_t bytes_of[] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
    if (kind == 8) {
        uint64_t n = get_u64(at);
        *at += n;
    } else if (kind == 9) {
        uint32_t element = get_u32(at);
        for (uint64_t n = get_u64(at); n > 0; n--) skip_value(at, element);
    } else {
        *at += bytes_of[kind];
    }
}

struct tensor_head {
    const uint8_t *begin, *offset_at, *end;
    uint64_t offset, bytes;
};

/* Part `index` of `count`: every count-th tensor; the metadata is in the first. */
static struct writer make_part(const uint8_t *whole, size_t size, uint32_t index, uint32_t count) {
    const uint8_t *at = whole + 8;
    uint64_t n_tensors = get_u64(&at), n_keys = get_u64(&at);
    const uint8_t *keys = at;
    for (uint64_t i = 0; i < n_keys; i++) {
        uint64_t n = get_u64(&at);
        at += n;
        skip_value(&at, get_u32(&at));
    }
    const uint8_t *end_of_keys = at;
    struct tensor_head heads[512];
    ck_assert_uint_le(n_tensors, 512);
    for (uint64_t i = 0; i < n_tensors; i++) {
        heads[i].begin = at;
        uint64_t n = get_u64(&at);
        at += n;
        uint32_t n_dims = get_u32(&at);
        at += 8 * n_dims + 4;
        heads[i].offset_at = at;
        heads[i].offset = get_u64(&at);
        heads[i].end = at;
    }
    const uint8_t *data = whole + ((size_t)(at - whole) + 31) / 32 * 32;
    uint64_t data_size = (uint64_t)(whole + size - data), n_mine = 0, offset = 0;
    for (uint64_t i = 0; i < n_tensors; i++) {
        uint64_t end = data_size;
        for (uint64_t j = 0; j < n_tensors; j++)
            if (heads[j].offset > heads[i].offset && heads[j].offset < end) end = heads[j].offset;
        heads[i].bytes = end - heads[i].offset;
        n_mine += i % count == index;
    }
    struct writer part = {.bytes = fixture_take(size + 4096)};
    put(&part, whole, 8);
    put_u64(&part, n_mine);
    put_u64(&part, 3 + (index == 0 ? n_keys : 0));
    if (index == 0) put(&part, keys, (size_t)(end_of_keys - keys));
    put_number(&part, "split.no", 2, index);
    put_number(&part, "split.count", 2, count);
    put_number(&part, "split.tensors.count", 5, (uint32_t)n_tensors);
    for (uint64_t i = index; i < n_tensors; i += count) {
        put(&part, heads[i].begin, (size_t)(heads[i].offset_at - heads[i].begin));
        put_u64(&part, offset);
        offset += (heads[i].bytes + 31) / 32 * 32;
    }
    while (part.n % 32) put(&part, "", 1);
    for (uint64_t i = index; i < n_tensors; i += count) {
        put(&part, data + heads[i].offset, (size_t)heads[i].bytes);
        while (part.n % 32) put(&part, "", 1);
    }
    return part;
}

START_TEST(split_files) {
    enum { N_PARTS = 3 };
    char folder[] = "/tmp/test_model.XXXXXX", paths[N_PARTS][128];
    ck_assert_ptr_nonnull(mkdtemp(folder));
    const char *whole_path = fixture_path("small/gemma3-mqa");
    size_t size;
    uint8_t *whole = fixture_read_file(whole_path, &size);
    uint64_t file_bytes = 0;
    for (uint32_t i = 0; i < N_PARTS; i++) {
        struct writer part = make_part(whole, size, i, N_PARTS);
        snprintf(paths[i], sizeof paths[i], "%s/m-%05u-of-%05u.gguf", folder, i + 1, N_PARTS);
        FILE *file = fopen(paths[i], "wb");
        ck_assert_ptr_nonnull(file);
        ck_assert_uint_eq(fwrite(part.bytes, 1, part.n, file), part.n);
        fclose(file);
        file_bytes += part.n;
    }
    transformer_model *model = fixture_open_path(whole_path);
    float *row = logits_of(model);
    int64_t n = fixture_n_vocab(model), n_parameters = info(model).n_parameters;
    transformer_model_close(model);
    for (uint32_t mode = TRANSFORMER_LOAD_MAP; mode <= TRANSFORMER_LOAD_READ; mode++) {
        model = open_with((transformer_model_options){.path = paths[0], .load_mode = mode});
        fixture_same(logits_of(model), row, n, "split");
        ck_assert_int_eq(info(model).n_parameters, n_parameters);
        ck_assert_uint_eq(info(model).file_bytes, file_bytes);
        transformer_model_close(model);
    }
    /* The reader is asked for the other parts by their names. */
    struct files files = {.folder = folder};
    transformer_reader reader = {.size = file_size, .read = file_read, .user = &files};
    model =
        open_with((transformer_model_options){.path = strrchr(paths[0], '/'), .reader = &reader});
    fixture_same(logits_of(model), row, n, "split, through a reader");
    transformer_model_close(model);
    unlink(paths[1]);
    expect(TRANSFORMER_NOT_FOUND, try_open((transformer_model_options){.path = paths[0]}));
    ck_assert_ptr_nonnull(strstr(transformer_last_error(), "m-00002-of-00003"));
    unlink(paths[0]);
    unlink(paths[2]);
    rmdir(folder);
}
END_TEST

/* ---- callbacks ---- */

struct progress {
    uint64_t n_calls, done, total, stop_at;
};

static int32_t on_progress(void *user, uint64_t done, uint64_t total) {
    struct progress *progress = user;
    ck_assert_uint_ge(done, progress->done);
    ck_assert_uint_le(done, total);
    if (progress->n_calls) ck_assert_uint_eq(total, progress->total);
    progress->done = done;
    progress->total = total;
    return ++progress->n_calls == progress->stop_at;
}

START_TEST(progress_and_cancel) {
    struct counting counting;
    counting_init(&counting);
    struct progress progress = {0};
    transformer_model_options options = {.path = fixture_path("small/gemma3-mqa"),
                                         .allocator = &counting.allocator,
                                         .progress = on_progress,
                                         .progress_user = &progress};
    transformer_model_close(open_with(options));
    ck_assert_uint_gt(progress.n_calls, 3);
    ck_assert_uint_eq(progress.done, progress.total); /* the last call says all */
    uint64_t n_calls = progress.n_calls;
    for (uint64_t at = 1; at <= n_calls; at++) {
        progress = (struct progress){.stop_at = at};
        expect(TRANSFORMER_CANCELLED, try_open(options));
        ck_assert_uint_eq(progress.n_calls, at);
        ck_assert_int_eq(counting.n_live, 0);
    }
}
END_TEST

struct lines {
    int n;
};

static void on_log(void *user, int32_t level, const char *line) {
    ck_assert(level >= TRANSFORMER_LOG_ERROR && level <= TRANSFORMER_LOG_INFO);
    ck_assert_ptr_null(strchr(line, '\n'));
    ck_assert_uint_gt(strlen(line), 0);
    ((struct lines *)user)->n++;
}

START_TEST(log_lines) {
    struct lines lines = {0};
    transformer_model_options options = {
        .path = fixture_path("small/llama-gqa"), .log = on_log, .log_user = &lines};
    transformer_model_close(open_with(options));
    ck_assert_int_gt(lines.n, 0);
}
END_TEST

START_TEST(all_through_the_allocator) {
    struct counting counting;
    counting_init(&counting);
    transformer_allocator *copied = fixture_take(sizeof *copied);
    *copied = counting.allocator;
    transformer_model *model = open_with(
        (transformer_model_options){.path = fixture_path("small/llama-gqa"), .allocator = copied});
    memset(copied, 0, sizeof *copied); /* the struct was copied */
    ck_assert_uint_eq(info(model).host_bytes, counting.bytes);
    ck_assert_uint_gt(counting.bytes, info(model).weight_bytes);
    uint64_t before = counting.bytes;
    transformer_text_stream *stream = NULL;
    ok(transformer_text_stream_create(model, NULL, &stream));
    ck_assert_uint_gt(counting.bytes, before);
    transformer_sampler *sampler =
        fixture_sampler(model, (transformer_sampler_options){.temperature = 1, .top_k = 3});
    transformer_context *context = fixture_context(model, NULL); /* the model's allocator */
    ck_assert_uint_gt(counting.bytes, before + 100000);
    int64_t count;
    ok(transformer_tokenize(model, "Hello world", 11, NULL, NULL, 0, &count));
    transformer_text_stream_destroy(stream);
    transformer_sampler_destroy(sampler);
    transformer_context_destroy(context);
    ck_assert_uint_eq(counting.bytes, before);
    transformer_model_close(model);
    ck_assert_uint_eq(counting.bytes, 0);
    ck_assert_int_eq(counting.n_live, 0);
}
END_TEST

/* ---- what it says ---- */

START_TEST(info_fields) {
    transformer_model *model = fixture_open("small/llama-gqa");
    transformer_model_details d = info(model);
    struct stat file;
    ck_assert_int_eq(stat(fixture_path("small/llama-gqa"), &file), 0);
    ck_assert_str_eq(d.format, "GGUF v3");
    ck_assert_str_eq(d.architecture, "llama");
    ck_assert_ptr_nonnull(d.name);
    ck_assert_ptr_nonnull(strstr(d.weight_types, "F32 x "));
    ck_assert_int_eq(d.n_vocab, 380);
    ck_assert_int_eq(d.n_embd, 48);
    ck_assert_int_eq(d.n_layers, 2);
    ck_assert_int_eq(d.n_heads % d.n_kv_heads, 0);
    ck_assert_int_gt(d.n_heads, d.n_kv_heads);
    ck_assert_int_gt(d.head_dim, 0);
    ck_assert_int_eq(d.context_length, 2048);
    ck_assert_uint_eq(d.file_bytes, (uint64_t)file.st_size);
    ck_assert_uint_eq(d.weight_bytes, 4 * (uint64_t)d.n_parameters);
    ck_assert_uint_lt(d.weight_bytes_per_token, d.weight_bytes); /* one row of the embedding */
    ck_assert_uint_eq(d.has_tokenizer, 1);
    ck_assert_int_eq(d.device, 0);
    ck_assert_int_gt(d.n_end_tokens, 0);
    for (int64_t i = 0; i < d.n_end_tokens; i++) {
        ck_assert(d.end_tokens[i] >= 0 && d.end_tokens[i] < d.n_vocab);
        if (i > 0) ck_assert_int_lt(d.end_tokens[i - 1], d.end_tokens[i]);
    }
    transformer_model_close(model);
    model = fixture_open("small/qwen2-mha");
    d = info(model);
    ck_assert_uint_eq(d.has_tokenizer, 0);
    ck_assert_int_eq(d.n_end_tokens, 0);
    int64_t count;
    int32_t token;
    transformer_text_stream *stream = NULL;
    expect(TRANSFORMER_STATE, transformer_tokenize(model, "a", 1, NULL, NULL, 0, &count));
    expect(TRANSFORMER_STATE, transformer_detokenize(model, NULL, 0, NULL, NULL, 0, &count));
    expect(TRANSFORMER_STATE, transformer_token_text(model, 0, NULL, 0, &count));
    expect(TRANSFORMER_STATE, transformer_special_token(model, TRANSFORMER_TOKEN_END, &token));
    expect(TRANSFORMER_STATE, transformer_text_stream_create(model, NULL, &stream));
    transformer_model_close(model);
}
END_TEST

START_TEST(metadata) {
    transformer_model *model = fixture_open("small/llama-gqa");
    char text[32];
    int64_t length = -1;
    memset(text, '#', sizeof text);
    ok(transformer_model_metadata(model, "general.architecture", NULL, 0, &length));
    ck_assert_int_eq(length, 5);
    ok(transformer_model_metadata(model, "general.architecture", text, 5, &length));
    ck_assert_mem_eq(text, "llama#", 6); /* no NUL */
    ok(transformer_model_metadata(model, "llama.block_count", text, 32, &length));
    ck_assert_int_eq(length, 1);
    ck_assert_mem_eq(text, "2", 1);
    ok(transformer_model_metadata(model, "tokenizer.ggml.tokens", text, 32, &length));
    ck_assert_mem_eq(text, "380", (size_t)length); /* an array: its elements */
    ok(transformer_model_metadata(model, "llama.attention.layer_norm_rms_epsilon", text, 31,
                                  &length));
    text[length] = 0;
    ck_assert_float_eq_tol((float)atof(text), 1e-5f, 9.9e-6f);
    length = -1;
    expect(TRANSFORMER_NOT_FOUND,
           transformer_model_metadata(model, "no.such.key", text, 32, &length));
    ck_assert_int_eq(length, -1);
    transformer_model_close(model);
}
END_TEST

START_TEST(what_is_no_model) {
    size_t size;
    const char *path = fixture_path("small/llama-gqa");
    uint8_t *bytes = fixture_read_file(path, &size);
    struct counting counting;
    counting_init(&counting);
    expect(TRANSFORMER_NOT_FOUND,
           try_open((transformer_model_options){.path = "/nonexistent/x.gguf"}));
    for (size_t n = 0; n < size; n = n * 2 + 1)
        expect(TRANSFORMER_FORMAT,
               try_open((transformer_model_options){
                   .data = bytes, .data_size = n, .allocator = &counting.allocator}));
    ck_assert_int_eq(counting.n_live, 0);
    ck_assert_ptr_nonnull(strstr(transformer_last_error(), "memory"));
    bytes[0] = 'X';
    expect(TRANSFORMER_FORMAT, try_open((transformer_model_options){
                                   .data = bytes, .data_size = size, .path = "my name"}));
    ck_assert_ptr_nonnull(strstr(transformer_last_error(), "my name"));
}
END_TEST

START_TEST(path_of_kernels) {
    transformer_model_options options = {.path = fixture_path("small/llama-gqa")};
    setenv("TRANSFORMER_CPU", "nonsense", 1);
    expect(TRANSFORMER_UNSUPPORTED, try_open(options));
    ck_assert_ptr_nonnull(strstr(transformer_last_error(), "nonsense"));
    setenv("TRANSFORMER_CPU", "reference", 1);
    ok(try_open(options));
    transformer_device_details details = {.struct_size = sizeof details};
    ok(transformer_device_info(0, &details));
    ck_assert_str_eq(details.kind, "cpu");
    ck_assert_str_eq(details.path, "reference");
    ck_assert_uint_gt(details.n_processors, 0);
    int32_t n_devices = transformer_device_count();
    ck_assert_int_ge(n_devices, 1);
    expect(TRANSFORMER_NOT_FOUND, transformer_device_info(n_devices, &details));
    expect(TRANSFORMER_NOT_FOUND, transformer_device_info(-1, &details));
    ck_assert_ptr_nonnull(strstr(transformer_build_info(), transformer_version_string()));
    ck_assert_ptr_nonnull(strstr(transformer_build_info(), "\ncuda: "));
    ck_assert_uint_eq(transformer_version(), TRANSFORMER_VERSION_MAJOR << 24 |
                                                 TRANSFORMER_VERSION_MINOR << 16 |
                                                 TRANSFORMER_VERSION_PATCH << 8);
}
END_TEST

static transformer_status estimate_with(transformer_model_options options) {
    transformer_memory_estimate estimate = {.struct_size = sizeof estimate};
    options.struct_size = sizeof options;
    return transformer_model_estimate(&options, NULL, &estimate);
}

/* Where AMX isn't there, the message says what is missing; nobody gets it unasked. */
START_TEST(amx) {
    transformer_model_options options = {.path = fixture_path("small/llama-gqa"),
                                         .cpu_amx = TRANSFORMER_ON};
    unsetenv("TRANSFORMER_CPU");
    transformer_device_details details = {.struct_size = sizeof details};
    ok(transformer_device_info(0, &details));
    ck_assert_str_ne(details.path, "avx512_amx");
    transformer_status opened = try_open(options);
    if (opened != TRANSFORMER_OK) {
        ck_assert_int_eq(opened, TRANSFORMER_UNSUPPORTED);
        ck_assert_ptr_nonnull(strstr(transformer_last_error(), "AMX"));
        puts("skipped: decoding with AMX, this machine has none");
    } else {
        ok(estimate_with(options));
    }
    setenv("TRANSFORMER_CPU", "avx512_amx", 1);
    ck_assert_int_eq(try_open((transformer_model_options){.path = options.path}), opened);
    if (opened != TRANSFORMER_OK)
        ck_assert(strstr(transformer_last_error(), "avx512_amx") ||
                  strstr(transformer_last_error(), "AMX"));
    setenv("TRANSFORMER_CPU", "reference", 1); /* what is forced is taken */
    ok(try_open(options));
    ok(estimate_with(options));
}
END_TEST

FIXTURE_MAIN("model", 300, LOOP(every_way_of_opening, 2), LOOP(weights_in_the_order_of_the_file, 2),
             CASE(split_files), CASE(progress_and_cancel), CASE(log_lines),
             CASE(all_through_the_allocator), CASE(info_fields), CASE(metadata),
             CASE(what_is_no_model), CASE(path_of_kernels), CASE(amx))
