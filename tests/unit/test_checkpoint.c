/* A checkpoint in each way of opening it: what it says, what it lets go of, and what happens when
 * memory or reading fails. */
#define _GNU_SOURCE
#include "format/checkpoint.h"
#include "gguf_bytes.h"

#include <check.h> /* after ours: it defines a macro fail */
#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define N_PARTS 3

static struct bytes small, parts[N_PARTS];
static char folder[64], small_path[128], part_paths[N_PARTS][128];

/* Part `index`: one tensor; the first has all the metadata. */
static void put_part(struct bytes *b, int index, uint16_t no, uint16_t count, uint32_t n_tensors) {
    char name[16];
    snprintf(name, sizeof name, "part%d", index);
    put_head(b, 3, 1, index == 0 ? 4 : 3);
    if (index == 0) put_key_string(b, "general.architecture", "llama");
    put_key_u16(b, "split.no", no);
    put_key_u16(b, "split.count", count);
    put_key(b, "split.tensors.count", METADATA_I32), put_u32(b, n_tensors);
    put_tensor(b, name, 4, 1 + (uint64_t)index, GGUF_F32, 0);
    put_data(b, 32, 16 * (1 + (size_t)index));
}

static void write_file(const char *path, const struct bytes *b) {
    FILE *to = fopen(path, "wb");
    ck_assert_ptr_nonnull(to);
    ck_assert_uint_eq(fwrite(b->data, 1, b->n, to), b->n);
    ck_assert_int_eq(fclose(to), 0);
}

static void set_up(void) {
    snprintf(folder, sizeof folder, "/tmp/test_checkpoint.XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    put_small_file(&small);
    snprintf(small_path, sizeof small_path, "%s/small.gguf", folder);
    write_file(small_path, &small);
    for (int i = 0; i < N_PARTS; i++) {
        put_part(&parts[i], i, (uint16_t)i, N_PARTS, N_PARTS);
        snprintf(part_paths[i], sizeof part_paths[i], "%s/m-%05d-of-%05d.gguf", folder, i + 1,
                 N_PARTS);
        write_file(part_paths[i], &parts[i]);
    }
}

static void tear_down(void) {
    unlink(small_path);
    for (int i = 0; i < N_PARTS; i++) unlink(part_paths[i]);
    rmdir(folder);
}

static int open_descriptors(void) {
    DIR *all = opendir("/proc/self/fd");
    if (!all) return 0;
    int n = 0;
    while (readdir(all)) n++;
    closedir(all);
    return n;
}

/* ---- a reader that can fail ---- */

static struct faulty_reader {
    long count, fail_at;
    bool for_ever, is_short;
    bool failed;
} faulty;

static const struct bytes *find_file(const char *name) {
    if (strcmp(name, small_path) == 0) return &small;
    for (int i = 0; i < N_PARTS; i++)
        if (strcmp(name, part_paths[i]) == 0) return &parts[i];
    return NULL;
}

static bool fails_now(void) {
    faulty.count++;
    bool now = faulty.fail_at && (faulty.count == faulty.fail_at ||
                                  (faulty.for_ever && faulty.count > faulty.fail_at));
    faulty.failed = faulty.failed || now;
    return now;
}

static int64_t reader_size(void *user, const char *name) {
    (void)user;
    const struct bytes *file = find_file(name);
    return file ? (int64_t)file->n : -1;
}

static int64_t reader_read(void *user, const char *name, uint64_t offset, void *buffer,
                           uint64_t n) {
    (void)user;
    const struct bytes *file = find_file(name);
    ck_assert(file && offset <= file->n && n <= file->n - offset);
    memcpy(buffer, file->data + offset, n);
    if (fails_now()) return faulty.is_short ? (int64_t)n - 1 : -1;
    return (int64_t)n;
}

static const transformer_reader reader = {.size = reader_size, .read = reader_read};

/* ---- the ways to open a file ---- */

enum {
    MODE_MAP,
    MODE_READ,
    MODE_READER,
    MODE_SPLIT_MAP,
    MODE_SPLIT_READ,
    MODE_SPLIT_READER,
    MODE_MEMORY,
    MODE_COPY,
    MODES
};

static struct checkpoint_options options_of(int mode) {
    bool is_split = mode >= MODE_SPLIT_MAP && mode <= MODE_SPLIT_READER;
    struct checkpoint_options options = {.path = is_split ? part_paths[0] : small_path};
    if (mode == MODE_READ || mode == MODE_SPLIT_READ) options.read = true;
    if (mode == MODE_READER || mode == MODE_SPLIT_READER) options.reader = &reader;
    if (mode == MODE_MEMORY || mode == MODE_COPY)
        options.data = small.data, options.data_size = small.n, options.copy = mode == MODE_COPY;
    return options;
}

/* Opens, reads every tensor in pieces of 10 bytes, finishes and closes. */
static status use(struct memory *memory, int mode) {
    struct checkpoint_options options = options_of(mode);
    struct checkpoint *opened = NULL;
    status result = checkpoint_open(memory, &options, &opened);
    if (result != OK) {
        ck_assert_ptr_null(opened);
        return result;
    }
    for (size_t i = 0; result == OK && i < checkpoint_tensor_count(opened); i++) {
        const struct tensor *tensor = checkpoint_tensor_at(opened, i);
        for (uint64_t at = 0; result == OK && at < tensor->bytes; at += 10) {
            uint8_t scratch[10];
            size_t n = tensor->bytes - at < 10 ? (size_t)(tensor->bytes - at) : 10;
            const void *data;
            result = checkpoint_data(opened, tensor, at, n, scratch, &data);
            uint8_t first = i == 1 ? 32 : i == 2 ? 160 : 0;
            if (mode >= MODE_SPLIT_MAP && mode <= MODE_SPLIT_READER) first = 0;
            for (size_t k = 0; result == OK && k < n; k++)
                ck_assert_uint_eq(((const uint8_t *)data)[k], (uint8_t)(first + at + k));
        }
        checkpoint_drop(opened, tensor, 0, tensor->bytes);
    }
    if (result == OK) checkpoint_finish_loading(opened);
    checkpoint_close(opened);
    return result;
}

/* ---- what it says ---- */

static void check_numbers(const struct checkpoint *c) {
    static const struct {
        const char *key;
        int64_t value;
    } integers[] = {{"a.u8", 200}, {"a.i8", -5},          {"a.u16", 60000},    {"a.i16", -2},
                    {"a.i32", -3}, {"a.u32", 4000000000}, {"a.i64", INT64_MIN}};
    for (size_t i = 0; i < sizeof integers / sizeof *integers; i++) {
        int64_t value = 0;
        ck_assert_int_eq(checkpoint_read_i64(c, integers[i].key, NULL, &value), OK);
        ck_assert_int_eq(value, integers[i].value);
    }
    static const char *const not_integers[] = {"a.u64",  "a.f32", "a.f64",  "a.eps",
                                               "a.bool", "a.nan", "a.none", "general.architecture"};
    for (size_t i = 0; i < sizeof not_integers / sizeof *not_integers; i++) {
        int64_t value = 77;
        bool found;
        ck_assert_int_eq(checkpoint_read_i64(c, not_integers[i], &found, &value), FORMAT);
        ck_assert_ptr_nonnull(strstr(status_text(), not_integers[i]));
        ck_assert_ptr_nonnull(strstr(status_text(), "offset"));
        ck_assert_int_eq(value, 77);
    }
    float number = 0;
    ck_assert_int_eq(checkpoint_read_f32(c, "a.f32", NULL, &number), OK);
    ck_assert(number == 1.5f);
    ck_assert_int_eq(checkpoint_read_f32(c, "a.u16", NULL, &number), OK);
    ck_assert(number == 60000.0f);
    ck_assert_int_eq(checkpoint_read_f32(c, "a.eps", NULL, &number), OK);
    ck_assert(number == 1e-6f);
    static const char *const not_floats[] = {"a.f64", "a.nan", "a.bool", "a.u64", "a.numbers"};
    for (size_t i = 0; i < sizeof not_floats / sizeof *not_floats; i++)
        ck_assert_int_eq(checkpoint_read_f32(c, not_floats[i], NULL, &number), FORMAT);
}

static void check_metadata(const struct checkpoint *c) {
    check_numbers(c);
    bool flag = false, found = true;
    ck_assert_int_eq(checkpoint_read_bool(c, "a.bool", &found, &flag), OK);
    ck_assert(flag && found);
    ck_assert_int_eq(checkpoint_read_bool(c, "a.u8", NULL, &flag), FORMAT);
    struct text text;
    ck_assert_int_eq(checkpoint_read_text(c, "general.architecture", NULL, &text), OK);
    ck_assert(text.length == 5 && memcmp(text.data, "llama", 5) == 0);
    ck_assert_int_eq(checkpoint_read_text(c, "a.strings", NULL, &text), FORMAT);

    int64_t value = 5;
    ck_assert_int_eq(checkpoint_read_i64(c, "a.missing", &found, &value), OK);
    ck_assert(!found && value == 5);
    ck_assert_int_eq(checkpoint_read_i64(c, "a.missing", NULL, &value), FORMAT);
    ck_assert_ptr_nonnull(strstr(status_text(), "'a.missing' is missing"));

    const struct metadata *array = checkpoint_metadata(c, "a.numbers");
    ck_assert_uint_eq(array->count, 3);
    ck_assert_int_eq(checkpoint_array_i64(c, array, 1, &value), OK);
    ck_assert_int_eq(value, -1);
    float number;
    ck_assert_int_eq(checkpoint_array_f32(c, array, 2, &number), OK);
    ck_assert(number == 7.0f);
    array = checkpoint_metadata(c, "a.floats");
    ck_assert_int_eq(checkpoint_array_f32(c, array, 1, &number), OK);
    ck_assert(number == -1e9f);
    ck_assert_int_eq(checkpoint_array_i64(c, array, 0, &value), FORMAT);
    array = checkpoint_metadata(c, "a.strings");
    ck_assert_int_eq(checkpoint_array_i64(c, array, 0, &value), FORMAT);
    const uint8_t *cursor = array->values;
    static const char *const strings[] = {"one", "", "three"};
    for (uint64_t i = 0; i < array->count; i++) {
        text = checkpoint_next_string(&cursor);
        ck_assert_uint_eq(text.length, strlen(strings[i]));
        ck_assert(memcmp(text.data, strings[i], text.length) == 0);
    }
    ck_assert_int_eq(checkpoint_array_i64(c, checkpoint_metadata(c, "a.u8"), 0, &value), FORMAT);
    ck_assert_uint_eq(checkpoint_metadata(c, "a.none")->count, 0);
    ck_assert_ptr_null(checkpoint_metadata(c, "a."));
    ck_assert_ptr_nonnull(checkpoint_metadata_at(c, 17));
    ck_assert_ptr_null(checkpoint_metadata_at(c, 18));
}

START_TEST(says_the_same_in_every_mode) {
    for (int mode = 0; mode < MODES; mode++) {
        if (mode >= MODE_SPLIT_MAP && mode <= MODE_SPLIT_READER) continue;
        struct memory memory;
        memory_init(&memory, NULL);
        struct checkpoint_options options = options_of(mode);
        struct bytes *mine = malloc(sizeof *mine); /* gone before the metadata is looked at again */
        *mine = small;
        if (options.data) options.data = mine->data;
        char path[128];
        snprintf(path, sizeof path, "%s", options.path);
        options.path = path;
        struct checkpoint *c;
        ck_assert_int_eq(checkpoint_open(&memory, &options, &c), OK);
        memset(path, 'x', 10);
        ck_assert_str_eq(checkpoint_name(c), small_path);
        ck_assert_str_eq(checkpoint_format(c), "GGUF v3");
        ck_assert_uint_eq(checkpoint_file_bytes(c), small.n);
        ck_assert_uint_eq(checkpoint_mapped_bytes(c), mode == MODE_MAP ? small.n : 0);
        check_metadata(c);
        ck_assert_uint_eq(checkpoint_tensor_count(c), 3);
        const struct tensor *tensor = checkpoint_tensor(c, "second");
        ck_assert_ptr_eq(tensor, checkpoint_tensor_at(c, 1));
        ck_assert_int_eq(tensor->type, WEIGHT_Q8_0);
        ck_assert_int_eq(tensor->n_dims, 2);
        ck_assert_int_eq(tensor->dims[0], 32);
        ck_assert_int_eq(tensor->dims[1], 3);
        ck_assert_int_eq(tensor->dims[2], 1);
        ck_assert_uint_eq(tensor->bytes, 102);
        ck_assert_ptr_null(checkpoint_tensor(c, "secon"));
        ck_assert_ptr_null(checkpoint_tensor_at(c, 3));
        checkpoint_finish_loading(c);
        if (mode != MODE_MEMORY) memset(mine, 0, sizeof *mine);
        check_metadata(c);
        const void *data;
        uint8_t scratch[10];
        ck_assert_int_eq(checkpoint_data(c, tensor, 0, 10, scratch, &data), INTERNAL);
        checkpoint_close(c);
        ck_assert_uint_eq(memory.bytes, 0);
        free(mine);
    }
}
END_TEST

START_TEST(gives_the_data_in_every_mode) {
    int before = open_descriptors();
    for (int mode = 0; mode < MODES; mode++) {
        struct memory memory;
        memory_init(&memory, NULL);
        ck_assert_msg(use(&memory, mode) == OK, "mode %d: %s", mode, status_text());
        ck_assert_uint_eq(memory.bytes, 0);
    }
    ck_assert_int_eq(open_descriptors(), before);
    checkpoint_close(NULL);
}
END_TEST

START_TEST(refuses_bytes_beyond_a_tensor) {
    struct memory memory;
    memory_init(&memory, NULL);
    struct checkpoint_options options = options_of(MODE_MEMORY);
    struct checkpoint *c;
    ck_assert_int_eq(checkpoint_open(&memory, &options, &c), OK);
    const struct tensor *tensor = checkpoint_tensor(c, "first");
    const void *data;
    ck_assert_int_eq(checkpoint_data(c, tensor, 0, 33, NULL, &data), INTERNAL);
    ck_assert_int_eq(checkpoint_data(c, tensor, 33, 0, NULL, &data), INTERNAL);
    ck_assert_int_eq(checkpoint_data(c, tensor, 32, 0, NULL, &data), OK);
    checkpoint_close(c);
}
END_TEST

/* A head of more than one chunk, so that reading it starts anew; then a mapped one lets its data
 * go.
 */
START_TEST(large_heads_and_data) {
    size_t head = 700000, data_bytes = 1 << 20;
    static struct bytes begin, entry;
    put_head(&begin, 3, 1, 2);
    put_key(&begin, "long", METADATA_STRING), put_u64(&begin, head);
    entry.n = 0;
    put_key_u32(&entry, "last", 42);
    put_tensor(&entry, "weight", 1024, 256, GGUF_F32, 0);
    size_t whole_bytes = (begin.n + head + entry.n + 31) / 32 * 32 + data_bytes;
    uint8_t *whole = calloc(whole_bytes, 1);
    memcpy(whole, begin.data, begin.n);
    memset(whole + begin.n, 'x', head);
    memcpy(whole + begin.n + head, entry.data, entry.n);
    for (size_t i = 0; i < data_bytes; i++) whole[whole_bytes - data_bytes + i] = (uint8_t)(i / 7);
    FILE *to = fopen(small_path, "wb");
    ck_assert_uint_eq(fwrite(whole, 1, whole_bytes, to), whole_bytes);
    fclose(to);
    for (int mode = 0; mode <= MODE_READ; mode++) {
        struct memory memory;
        memory_init(&memory, NULL);
        struct checkpoint_options options = options_of(mode);
        struct checkpoint *c;
        ck_assert_msg(checkpoint_open(&memory, &options, &c) == OK, "%s", status_text());
        const struct tensor *tensor = checkpoint_tensor(c, "weight");
        uint8_t *scratch = malloc(data_bytes);
        for (int again = 0; again < 2; again++) {
            const void *data;
            ck_assert_int_eq(checkpoint_data(c, tensor, 1, data_bytes - 1, scratch, &data), OK);
            ck_assert(memcmp(data, whole + whole_bytes - data_bytes + 1, data_bytes - 1) == 0);
            checkpoint_drop(c, tensor, 1, data_bytes - 1);
        }
        if (mode == MODE_READ) ck_assert_uint_lt(memory.bytes, head + 160000);
        checkpoint_finish_loading(c);
        ck_assert_uint_le(checkpoint_mapped_bytes(c), head + 65536);
        struct text text;
        int64_t last = 0;
        ck_assert_int_eq(checkpoint_read_text(c, "long", NULL, &text), OK);
        ck_assert_int_eq(checkpoint_read_i64(c, "last", NULL, &last), OK);
        ck_assert_int_eq(last, 42);
        for (size_t i = 0; i < text.length; i++) ck_assert_int_eq(text.data[i], 'x');
        checkpoint_close(c);
        ck_assert_uint_eq(memory.bytes, 0);
        free(scratch);
    }
    free(whole);
}
END_TEST

/* ---- paths that are no files ---- */

static void open_fails(const struct checkpoint_options *options, status code, const char *first,
                       const char *second) {
    struct memory memory;
    memory_init(&memory, NULL);
    struct checkpoint *opened = NULL;
    int before = open_descriptors();
    status result = checkpoint_open(&memory, options, &opened);
    ck_assert_msg(result == code, "status %d, expected %d: %s", result, code,
                  result ? status_text() : "");
    ck_assert_msg(strstr(status_text(), first) && strstr(status_text(), second),
                  "'%s' and '%s' in: %s", first, second, status_text());
    ck_assert_ptr_null(opened);
    ck_assert_uint_eq(memory.bytes, 0);
    ck_assert_int_eq(open_descriptors(), before);
}

START_TEST(paths_that_cannot_be_opened) {
    char path[160];
    for (int read = 0; read < 2; read++) {
        struct checkpoint_options options = {.path = path, .read = read};
        snprintf(path, sizeof path, "%s/missing.gguf", folder);
        open_fails(&options, NOT_FOUND, "missing.gguf", "No such file");
        snprintf(path, sizeof path, "%s/below", small_path);
        open_fails(&options, NOT_FOUND, "below", "");
        options.path = folder;
        open_fails(&options, NOT_FOUND, folder, "no config.json");
        options.path = "/dev/null";
        open_fails(&options, IO, "/dev/null", "not a regular file");
        options.path = path;
        snprintf(path, sizeof path, "%s/pipe", folder);
        ck_assert_int_eq(mkfifo(path, 0600), 0);
        open_fails(&options, IO, "pipe", "not a regular file");
        unlink(path);
        struct bytes *empty = calloc(1, sizeof *empty);
        write_file(small_path, empty);
        free(empty);
        options.path = small_path;
        open_fails(&options, FORMAT, "small.gguf", "is empty");
    }
    if (geteuid() == 0) {
        printf("skipped: a file that may not be read, because root may read every file\n");
    } else {
        ck_assert_int_eq(chmod(small_path, 0), 0);
        struct checkpoint_options options = {.path = small_path};
        open_fails(&options, IO, "small.gguf", "Permission");
    }
    struct checkpoint_options nothing = {0};
    open_fails(&nothing, INVALID_ARGUMENT, "path", "data");
}
END_TEST

START_TEST(a_file_that_shrinks_while_it_is_read) {
    struct memory memory;
    memory_init(&memory, NULL);
    struct checkpoint_options options = options_of(MODE_READ);
    struct checkpoint *c;
    ck_assert_int_eq(checkpoint_open(&memory, &options, &c), OK);
    ck_assert_int_eq(truncate(small_path, (off_t)small.n - 20), 0);
    uint8_t scratch[102];
    const void *data;
    ck_assert_int_eq(checkpoint_data(c, checkpoint_tensor(c, "second"), 0, 102, scratch, &data),
                     OK);
    ck_assert_int_eq(checkpoint_data(c, checkpoint_tensor(c, "third"), 0, 6, scratch, &data), IO);
    ck_assert_ptr_nonnull(strstr(status_text(), "small.gguf: ends at offset"));
    checkpoint_close(c);
}
END_TEST

/* ---- split files ---- */

START_TEST(parts_become_one_table) {
    for (int mode = MODE_SPLIT_MAP; mode <= MODE_SPLIT_READER; mode++) {
        struct memory memory;
        memory_init(&memory, NULL);
        struct checkpoint_options options = options_of(mode);
        struct checkpoint *c;
        ck_assert_msg(checkpoint_open(&memory, &options, &c) == OK, "%s", status_text());
        ck_assert_uint_eq(checkpoint_tensor_count(c), N_PARTS);
        ck_assert_uint_eq(checkpoint_file_bytes(c), parts[0].n + parts[1].n + parts[2].n);
        for (int i = 0; i < N_PARTS; i++) {
            char name[16];
            snprintf(name, sizeof name, "part%d", i);
            const struct tensor *tensor = checkpoint_tensor(c, name);
            ck_assert_int_eq(tensor->part, i);
            ck_assert_int_eq(tensor->dims[1], 1 + i);
        }
        ck_assert_ptr_nonnull(checkpoint_metadata(c, "general.architecture"));
        ck_assert_ptr_null(checkpoint_metadata_at(c, 4));
        checkpoint_finish_loading(c);
        ck_assert_uint_eq(checkpoint_tensor(c, "part2")->name.length, 5);
        checkpoint_close(c);
        ck_assert_uint_eq(memory.bytes, 0);
    }
}
END_TEST

/* Through the reader, so that changing `parts` is enough. */
START_TEST(parts_that_do_not_fit) {
    struct checkpoint_options options = options_of(MODE_SPLIT_READER);
    put_part(&parts[1], 1, 2, N_PARTS, N_PARTS);
    open_fails(&options, FORMAT, "00002-of-00003", "is part 3 of 3");
    put_part(&parts[1], 1, 1, N_PARTS + 1, N_PARTS);
    open_fails(&options, FORMAT, "00002-of-00003", "'split.count' is 4, in the first part 3");
    put_part(&parts[1], 1, 3, N_PARTS, N_PARTS);
    open_fails(&options, FORMAT, "00002-of-00003",
               "'split.no' is 3, but 'split.count' is 3 (value at offset");
    put_part(&parts[1], 0, 1, N_PARTS, N_PARTS);
    open_fails(&options, FORMAT, "00002-of-00003", "'part0' is there twice");
    put_part(&parts[1], 1, 1, N_PARTS, N_PARTS);
    parts[1].n -= 1;
    open_fails(&options, FORMAT, "00002-of-00003", "tensor 'part1' needs 32 bytes");
    parts[1].n = 10;
    open_fails(&options, FORMAT, "00002-of-00003", "offset 8");
    put_part(&parts[1], 1, 1, N_PARTS, N_PARTS);
    put_part(&parts[0], 0, 0, N_PARTS, N_PARTS + 1);
    open_fails(&options, FORMAT, "00001-of-00003", "'split.tensors.count' is 4");
    put_part(&parts[0], 0, 0, N_PARTS, UINT32_MAX);
    open_fails(&options, FORMAT, "00001-of-00003", "'split.tensors.count' is not an integer");
    put_part(&parts[0], 0, 0, N_PARTS - 1, N_PARTS);
    open_fails(&options, INVALID_ARGUMENT, "00001-of-00003", "-00001-of-00002.gguf");
    put_part(&parts[0], 0, 0, N_PARTS, N_PARTS);
    snprintf(part_paths[2], sizeof part_paths[2], "elsewhere");
    open_fails(&options, NOT_FOUND, "00003-of-00003", "reader");
}
END_TEST

START_TEST(parts_opened_wrongly) {
    struct checkpoint_options options = {.path = part_paths[1]};
    open_fails(&options, INVALID_ARGUMENT, "00002-of-00003", "is part 2 of 3");
    options = (struct checkpoint_options){.data = parts[0].data, .data_size = parts[0].n};
    open_fails(&options, UNSUPPORTED, "memory", "3 parts");
    unlink(part_paths[2]);
    options = (struct checkpoint_options){.path = part_paths[0]};
    open_fails(&options, NOT_FOUND, "00003-of-00003", "No such file");
    char other[160];
    snprintf(other, sizeof other, "%s/other.gguf", folder);
    ck_assert_int_eq(rename(part_paths[0], other), 0);
    options.path = other;
    open_fails(&options, INVALID_ARGUMENT, "other.gguf", "its name doesn't end in");
    unlink(other);
}
END_TEST

/* ---- faults ---- */

START_TEST(any_allocation_may_fail) {
    int before = open_descriptors();
    for (int mode = 0; mode < MODES; mode++)
        for (int for_ever = 0; for_ever < 2; for_ever++) {
            bool failed = true;
            for (long n = 1; failed; n++) {
                ck_assert_int_lt(n, 100);
                struct faulty_allocator allocator = {.fail_at = n, .for_ever = for_ever};
                transformer_allocator host = faulty_as_allocator(&allocator);
                struct memory memory;
                memory_init(&memory, &host);
                status result = use(&memory, mode);
                failed = allocator.failed;
                ck_assert_msg(result == (failed ? OUT_OF_MEMORY : OK), "mode %d n %ld: status %d",
                              mode, n, result);
                ck_assert_int_eq(allocator.live, 0);
                ck_assert_uint_eq(memory.bytes, 0);
            }
        }
    ck_assert_int_eq(open_descriptors(), before);
}
END_TEST

START_TEST(any_read_may_fail) {
    for (int mode = MODE_READER; mode <= MODE_SPLIT_READER; mode++) {
        if (mode != MODE_READER && mode != MODE_SPLIT_READER) continue;
        for (int kind = 0; kind < 4; kind++) {
            bool failed = true;
            for (long n = 1; failed; n++) {
                ck_assert_int_lt(n, 100);
                faulty = (struct faulty_reader){
                    .fail_at = n, .for_ever = kind & 1, .is_short = (kind & 2) != 0};
                struct memory memory;
                memory_init(&memory, NULL);
                status result = use(&memory, mode);
                failed = faulty.failed;
                ck_assert_int_eq(result, failed ? IO : OK);
                if (failed) {
                    ck_assert_ptr_nonnull(strstr(status_text(), ".gguf"));
                    ck_assert_ptr_nonnull(strstr(status_text(), "at offset"));
                }
                ck_assert_uint_eq(memory.bytes, 0);
            }
        }
    }
    faulty = (struct faulty_reader){0};
}
END_TEST

static int64_t strange_size;

static int64_t size_strange(void *user, const char *name) {
    (void)user;
    (void)name;
    return strange_size;
}

static int64_t read_strange(void *user, const char *name, uint64_t offset, void *buffer,
                            uint64_t n) {
    (void)user;
    (void)name;
    if (offset >= small.n) return 0;
    uint64_t got = n < small.n - offset ? n : small.n - offset;
    memcpy(buffer, small.data + offset, got);
    return (int64_t)got;
}

START_TEST(readers_with_strange_sizes) {
    transformer_reader strange = {.size = size_strange, .read = read_strange};
    struct checkpoint_options options = {.path = "strange.gguf", .reader = &strange};
    strange_size = -1;
    open_fails(&options, NOT_FOUND, "strange.gguf", "");
    strange_size = INT64_MIN;
    open_fails(&options, NOT_FOUND, "strange.gguf", "");
    strange_size = 0;
    open_fails(&options, FORMAT, "strange.gguf", "is empty");
    strange_size = INT64_MAX;
    open_fails(&options, IO, "strange.gguf", "at offset 0");
    strange_size = (int64_t)small.n + 1;
    open_fails(&options, IO, "strange.gguf", "at offset 0");
    strange_size = (int64_t)small.n - 1;
    open_fails(&options, FORMAT, "strange.gguf", "tensor 'third' needs 6 bytes");
}
END_TEST

int main(void) {
    Suite *suite = suite_create("checkpoint");
    TCase *tests = tcase_create("checkpoint");
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_set_timeout(tests, 120);
    tcase_add_test(tests, says_the_same_in_every_mode);
    tcase_add_test(tests, gives_the_data_in_every_mode);
    tcase_add_test(tests, refuses_bytes_beyond_a_tensor);
    tcase_add_test(tests, large_heads_and_data);
    tcase_add_test(tests, paths_that_cannot_be_opened);
    tcase_add_test(tests, a_file_that_shrinks_while_it_is_read);
    tcase_add_test(tests, parts_become_one_table);
    tcase_add_test(tests, parts_that_do_not_fit);
    tcase_add_test(tests, parts_opened_wrongly);
    tcase_add_test(tests, any_allocation_may_fail);
    tcase_add_test(tests, any_read_may_fail);
    tcase_add_test(tests, readers_with_strange_sizes);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
