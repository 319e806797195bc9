/* Every allocation fails in turn, once and from there on, while a vocabulary is opened and a text
 * tokenized. Each time there is a clean status and nothing leaks. */
#include "../unit/tokenizer_folder.h"
#include "faults.h"

#include <check.h> /* after ours: it defines a macro fail */

enum { MOST_CALLS = 100000 };

static const char *const vocabularies[] = {
    "spm-unigram-bytes",
    "spm-bpe",
    "t5",
    "xlm-roberta",
    "marian",
    "marian-separate",
    "m2m-100",
    "bert",
    "gpt2",
    "tiktoken-llama3",
    "tiktoken-qwen",
    "ggml-t5.gguf",
    "qwen2",
    "llama",
    "ggml-plamo2.gguf",
    "ggml-rwkv.gguf",
    "ggml-gemma4.gguf",
    "ggml-whitespace.gguf",
    "ggml-hybriddna.gguf",
};

/* Opens a vocabulary and tokenizes a text. */
static status use_vocabulary(const char *name, const transformer_allocator *allocator) {
    static const char text[] =
        "Hello  w\xc3\xb6rld e\xcc\x81 \xef\xbc\xa1 foo_bar 12 <dna>ACGT\xff\n";
    struct tokenizer_folder opened;
    char path[1024];
    int32_t ids[256];
    size_t n;
    snprintf(path, sizeof path, "%s/tests/goldens/data/vocabularies/%s", SOURCE_ROOT, name);
    status result = tokenizer_folder_open_in(&opened, path, allocator);
    if (result != OK) return result;
    struct tokenize_flags flags = {true, true};
    result = tokenizer_encode(opened.tokenizer, &opened.memory,
                              (struct text){text, sizeof text - 1}, flags, ids, 256, &n);
    tokenizer_folder_close(&opened);
    return result;
}

START_TEST(each_allocation_of_a_vocabulary) {
    struct faulty_memory memory = {0};
    transformer_allocator allocator = faulty_memory_allocator(&memory);
    int64_t n = 1;
    for (; n < MOST_CALLS; n++) {
        fault_arm(&memory.fault, n, _i & 1);
        status result = use_vocabulary(vocabularies[_i / 2], &allocator);
        ck_assert_int_eq(memory.live, 0);
        if (!memory.fault.struck) {
            ck_assert_msg(result == OK, "%s: %s", vocabularies[_i / 2], transformer_last_error());
            break;
        }
        ck_assert_msg(result == OUT_OF_MEMORY, "%s: allocation %d gave %d: %s",
                      vocabularies[_i / 2], (int)n, (int)result, transformer_last_error());
    }
    ck_assert_int_gt(n, 3);
    ck_assert_int_lt(n, MOST_CALLS);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("fault vocabularies");
    TCase *faults = tcase_create("faults");
    tcase_set_timeout(faults, 300);
    tcase_add_loop_test(faults, each_allocation_of_a_vocabulary, 0,
                        2 * (int)(sizeof vocabularies / sizeof *vocabularies));
    suite_add_tcase(suite, faults);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
