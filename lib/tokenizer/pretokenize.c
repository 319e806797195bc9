#include "tokenizer/pretokenize.h"

#include <string.h>

#include "tokenizer/character.h"
#include "tokenizer/match.h"
#include "tokenizer/utf8.h"

enum { MOST_ALTERNATIVES = 8 };

/* How runs of digits are cut into threes, counted from the right. */
enum digit_groups {
    GROUPS_NONE,
    GROUPS_CUT,    /* (?=(\d{3})+(?!\d)): cuts between groups only */
    GROUPS_ALL,    /* each group is a piece, of all numbers */
    GROUPS_ISOLATE /* \d{1,3}(?=(?:\d{3})*\b): each group is a piece; only before a word's end */
};

struct pretokenize_step {
    match alternatives[MOST_ALTERNATIVES]; /* tried in this order; what none matches is kept as it
                                              is */
    enum digit_groups groups;              /* or this */
};

#define END_OF_STEPS             \
    {                            \
        .alternatives = { NULL } \
    }

/* ---- rules: each is a published tokenizer's own, as its regular expressions say ---- */

#define GPT2_WORDS                     \
    {                                  \
        .alternatives = {              \
            match_contraction_lower,   \
            match_space_letters,       \
            match_space_numbers,       \
            match_space_others,        \
            match_spaces_before_space, \
            match_spaces               \
        }                              \
    }
#define DIGITS_ALONE                     \
    {                                    \
        .alternatives = { match_number } \
    }

static const struct pretokenize_step gpt2[] = {GPT2_WORDS, END_OF_STEPS};
static const struct pretokenize_step digits_gpt2[] = {DIGITS_ALONE, GPT2_WORDS, END_OF_STEPS};
static const struct pretokenize_step unnamed[] = {
    {.alternatives = {match_punctuation}},    GPT2_WORDS,   {.alternatives = {match_numbers}},
    {.alternatives = {match_ascii_digits_3}}, END_OF_STEPS,
};
static const struct pretokenize_step falcon[] = {
    {.alternatives = {match_punctuation_backtick}},
    GPT2_WORDS,
    {.alternatives = {match_ascii_digits_3}},
    END_OF_STEPS,
};
static const struct pretokenize_step llama3[] = {
    {.alternatives = {match_contraction, match_letters_after_any, match_numbers_3,
                      match_others_newlines, match_newlines, match_spaces_before_space,
                      match_spaces}},
    END_OF_STEPS,
};
#define QWEN2_WORDS                    \
    {                                  \
        .alternatives = {              \
            match_contraction,         \
            match_letters_after_any,   \
            match_number,              \
            match_others_newlines,     \
            match_newlines,            \
            match_spaces_before_space, \
            match_spaces               \
        }                              \
    }
static const struct pretokenize_step qwen2[] = {QWEN2_WORDS, END_OF_STEPS};
static const struct pretokenize_step laguna[] = {
    {.alternatives = {match_line}},
    QWEN2_WORDS,
    END_OF_STEPS,
};
static const struct pretokenize_step qwen35[] = {
    {.alternatives = {match_contraction, match_letters_marks_after_any, match_number,
                      match_non_marks_newlines, match_newlines, match_spaces_before_space,
                      match_spaces}},
    END_OF_STEPS,
};
static const struct pretokenize_step ufakzeka[] = {
    {.alternatives = {match_letters_after_any, match_number, match_others_newlines, match_newlines,
                      match_spaces_before_space, match_spaces}},
    END_OF_STEPS,
};
static const struct pretokenize_step seed_coder[] = {
    {.alternatives = {match_contraction, match_letters_after_any, match_number, match_space_others,
                      match_newlines, match_spaces_before_space, match_spaces}},
    END_OF_STEPS,
};
static const struct pretokenize_step minicpm5[] = {
    {.alternatives = {match_numbers_3}},
    {.alternatives = {match_contraction, match_letters_after_any, match_numbers,
                      match_others_newlines, match_newlines, match_spaces_before_space,
                      match_spaces}},
    END_OF_STEPS,
};
static const struct pretokenize_step jais2[] = {
    {.alternatives = {match_contraction, match_letters_after_any, match_numbers_3,
                      match_others_newlines, match_newlines, match_spaces_halving}},
    END_OF_STEPS,
};
static const struct pretokenize_step exaone_moe[] = {
    {.alternatives = {match_contraction, match_phrase, match_number, match_others_newline_slash,
                      match_newlines, match_spaces_before_space, match_spaces}},
    END_OF_STEPS,
};
static const struct pretokenize_step deepseek_llm[] = {
    {.alternatives = {match_newline}},
    {.alternatives = {match_space_any_cased_letters}},
    {.alternatives = {match_space_any_ascii_wide_punctuation}},
    {.alternatives = {match_spaces_at_end}},
    {.alternatives = {match_cjk_wide}},
    {.alternatives = {match_numbers}},
    END_OF_STEPS,
};
static const struct pretokenize_step deepseek_coder[] = {
    {.alternatives = {match_newline}},
    {.alternatives = {match_space_any_letters}},
    {.alternatives = {match_space_any_punctuation}},
    {.alternatives = {match_cjk_wide}},
    DIGITS_ALONE,
    END_OF_STEPS,
};
static const struct pretokenize_step deepseek_v3[] = {
    {.alternatives = {match_numbers_3}},
    {.alternatives = {match_cjk_kana}},
    {.alternatives = {match_ascii_punctuation_word, match_letters_marks_after_other,
                      match_punctuation_symbols_newlines, match_newlines, match_spaces_before_space,
                      match_spaces}},
    END_OF_STEPS,
};
static const struct pretokenize_step spark2_5[] = {
    {.alternatives = {match_numbers_3}},
    {.alternatives = {match_cjk_kana}},
    {.alternatives = {match_ascii_punctuation_word, match_letters_marks_after_other,
                      match_punctuation_symbols, match_newline, match_spaces_before_space,
                      match_spaces}},
    DIGITS_ALONE,
    END_OF_STEPS,
};
static const struct pretokenize_step youtu[] = {
    {.alternatives = {match_korean_or_punctuation_or_bopomofo_or_cjk}},
    {.alternatives = {match_cased_contraction, match_number, match_others_newlines_slashes,
                      match_newlines, match_spaces_before_space, match_spaces}},
    END_OF_STEPS,
};
static const struct pretokenize_step tekken[] = {
    {.alternatives = {match_cased, match_number, match_others_newlines_slashes, match_newlines,
                      match_spaces_before_space, match_spaces}},
    END_OF_STEPS,
};
#define GPT4O_WORDS                        \
    {                                      \
        .alternatives = {                  \
            match_cased_contraction,       \
            match_numbers_3,               \
            match_others_newlines_slashes, \
            match_newlines,                \
            match_spaces_before_space,     \
            match_spaces                   \
        }                                  \
    }
static const struct pretokenize_step gpt4o[] = {GPT4O_WORDS, END_OF_STEPS};
static const struct pretokenize_step tiny_aya[] = {
    {.groups = GROUPS_ISOLATE},
    GPT4O_WORDS,
    END_OF_STEPS,
};
static const struct pretokenize_step kimi_k2[] = {
    {.alternatives = {match_han, match_cased_contraction_not_han, match_numbers_3,
                      match_others_newlines, match_newlines, match_spaces_before_space,
                      match_spaces}},
    END_OF_STEPS,
};
static const struct pretokenize_step superbpe[] = {
    {.alternatives = {match_numbers}},
    {.groups = GROUPS_CUT},
    END_OF_STEPS,
};
static const struct pretokenize_step bloom[] = {
    {.alternatives = {match_not_sentence_end}},
    END_OF_STEPS,
};
static const struct pretokenize_step viking[] = {
    {.alternatives = {match_not_sentence_end}},
    DIGITS_ALONE,
    END_OF_STEPS,
};
static const struct pretokenize_step chameleon[] = {
    {.alternatives = {match_sentinel}},
    {.alternatives = {match_image}},
    {.alternatives = {match_tab_or_spaces}},
    DIGITS_ALONE,
    {.alternatives = {match_punctuation_single}},
    GPT2_WORDS,
    END_OF_STEPS,
};

static const struct pretokenize_step lines[] = {
    {.alternatives = {match_line}},
    END_OF_STEPS,
};
static const struct pretokenize_step one_word[] = {END_OF_STEPS};
static const struct pretokenize_step afmoe[] = {
    {.groups = GROUPS_ALL},
    {.alternatives = {match_asian}},
    {.alternatives = {match_ascii_punctuation_word, match_letters_marks_after_other,
                      match_punctuation_symbols_newlines, match_newlines, match_spaces_before_space,
                      match_spaces}},
    END_OF_STEPS,
};

enum { WHOLE_WORDS = 1, BEGIN = 2, RAW = 4, MARKS = 8, NEWLINES = 16, BETWEEN_SPACES = 32 };
#define RULE(name_, steps_, flags)                                                               \
    {                                                                                            \
        .name = (name_), .steps = (steps_), .whole_words = ((flags)&WHOLE_WORDS) != 0,           \
        .begin = ((flags)&BEGIN) != 0, .raw = ((flags)&RAW) != 0, .marks = ((flags)&MARKS) != 0, \
        .newlines = ((flags)&NEWLINES) != 0, .between_spaces = ((flags)&BETWEEN_SPACES) != 0,    \
    }

static const struct pretokenizer names[] = {
    RULE("default", unnamed, 0),
    RULE("gpt-2", gpt2, 0),
    RULE("phi-2", gpt2, 0),
    RULE("mpt", gpt2, 0),
    RULE("olmo", gpt2, 0),
    RULE("jais", gpt2, 0),
    RULE("trillion", gpt2, 0),
    RULE("granite-docling", gpt2, 0),
    RULE("exaone4", gpt2, 0),
    RULE("gigachat", gpt2, 0),
    RULE("a.x-4.0", gpt2, 0),
    RULE("mellum", gpt2, 0),
    RULE("modern-bert", gpt2, 0),
    RULE("roberta-bpe", gpt2, 0),
    RULE("jina-es", gpt2, 0),
    RULE("jina-de", gpt2, 0),
    RULE("jina-v1-en", gpt2, 0),
    RULE("jina-v2-es", gpt2, 0),
    RULE("jina-v2-de", gpt2, 0),
    RULE("jina-v2-code", gpt2, 0),
    RULE("smollm", digits_gpt2, 0),
    RULE("starcoder", digits_gpt2, 0),
    RULE("refact", digits_gpt2, 0),
    RULE("command-r", digits_gpt2, 0),
    RULE("codeshell", digits_gpt2, 0),
    RULE("exaone", digits_gpt2, 0),
    RULE("minerva-7b", digits_gpt2, 0),
    RULE("mellum2", digits_gpt2, 0),
    RULE("falcon", falcon, 0),
    RULE("llama3", llama3, WHOLE_WORDS | BEGIN),
    RULE("llama-v3", llama3, WHOLE_WORDS | BEGIN),
    RULE("llama-bpe", llama3, WHOLE_WORDS | BEGIN),
    RULE("falcon3", llama3, WHOLE_WORDS | BEGIN),
    RULE("falcon-h1", llama3, WHOLE_WORDS | BEGIN),
    RULE("pixtral", llama3, WHOLE_WORDS | BEGIN),
    RULE("midm-2.0", llama3, WHOLE_WORDS | BEGIN),
    RULE("lfm2", llama3, WHOLE_WORDS | BEGIN),
    RULE("jina-v5-nano", llama3, WHOLE_WORDS | BEGIN),
    RULE("dbrx", llama3, 0),
    RULE("smaug-bpe", llama3, 0),
    RULE("chatglm-bpe", llama3, 0),
    RULE("glm4", llama3, 0),
    RULE("qwen2", qwen2, 0),
    RULE("deepseek-r1-qwen", qwen2, 0),
    RULE("kormo", qwen2, 0),
    RULE("f2llmv2", qwen2, 0),
    RULE("megrez", qwen2, 0),
    RULE("stablelm2", qwen2, 0),
    RULE("hunyuan", qwen2, 0),
    RULE("solar-open", qwen2, 0),
    RULE("grok-2", qwen2, 0),
    RULE("bailingmoe", qwen2, 0), /* written with possessive quantifiers, which match the same */
    RULE("bailingmoe2", qwen2, 0),
    RULE("llada-moe", qwen2, 0),
    RULE("qwen35", qwen35, 0),
    RULE("ufakzeka", ufakzeka, 0),
    RULE("seed-coder", seed_coder, 0),
    RULE("minicpm5", minicpm5, WHOLE_WORDS),
    RULE("laguna", laguna, 0),
    RULE("jais-2", jais2, 0),
    RULE("exaone-moe", exaone_moe, 0),
    RULE("deepseek-llm", deepseek_llm, 0),
    RULE("deepseek-coder", deepseek_coder, 0),
    RULE("deepseek-v3", deepseek_v3, 0),
    RULE("hunyuan-dense", deepseek_v3, 0),
    RULE("joyai-llm", deepseek_v3, 0),
    RULE("hy_v4", deepseek_v3, 0),
    RULE("spark2_5", spark2_5, 0),
    RULE("youtu", youtu, WHOLE_WORDS),
    RULE("tekken", tekken, WHOLE_WORDS | BEGIN),
    RULE("gpt-4o", gpt4o, 0),
    RULE("llama4", gpt4o, 0),
    RULE("kanana2", gpt4o, 0),
    RULE("talkie", gpt4o, 0),
    RULE("minimax-m2", gpt4o, 0),
    RULE("granite-embed-multi-97m", gpt4o, WHOLE_WORDS),
    RULE("tiny_aya", tiny_aya, 0),
    RULE("cohere2moe", tiny_aya, 0),
    RULE("kimi-k2", kimi_k2, 0),
    RULE("superbpe", superbpe, 0),
    RULE("bloom", bloom, 0),
    RULE("poro-chat", bloom, 0),
    RULE("gpt3-finnish", bloom, 0),
    RULE("viking", viking, 0),
    RULE("chameleon", chameleon, BEGIN),
    RULE("glm5", llama3, WHOLE_WORDS),
    RULE("afmoe", afmoe, 0),
    RULE("gemma4", lines, RAW | MARKS | NEWLINES | BEGIN),
    RULE("granite-embed-multi-311m", lines, RAW | MARKS | NEWLINES | BEGIN),
    RULE("sarvam-moe", lines, RAW | MARKS),
    RULE("whitespace", one_word, RAW | BETWEEN_SPACES),
};

const struct pretokenizer *pretokenize_find(struct text name) {
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strlen(names[i].name) == name.length &&
            memcmp(names[i].name, name.data, name.length) == 0)
            return &names[i];
    return NULL;
}

const struct pretokenizer *pretokenize_at(size_t index) {
    return index < sizeof names / sizeof *names ? &names[index] : NULL;
}

/* ---- splitting ---- */

struct splitter {
    const uint8_t *text;
    pretokenize_word word;
    void *user;
};

static status split(const struct splitter *splitter, const struct pretokenize_step *step,
                    size_t begin, size_t end);

static status split_unless_empty(const struct splitter *splitter,
                                 const struct pretokenize_step *step, size_t begin, size_t end) {
    return begin < end ? split(splitter, step, begin, end) : OK;
}

/* End of the run of digits, or of another class; *n of them. */
static size_t digits_end(const uint8_t *text, size_t at, size_t end, unsigned class, size_t *n) {
    for (*n = 0; at < end; ++*n) {
        unsigned bytes;
        if (!(character_class(utf8_decode(text + at, &bytes)) & class)) break;
        at += bytes;
    }
    return at;
}

static bool is_word_at(const uint8_t *text, size_t at, size_t end) {
    unsigned bytes;
    return at < end &&
           character_class(utf8_decode(text + at, &bytes)) & (LETTER | MARK | NUMBER | CONNECT);
}

static status split_digit_groups(const struct splitter *splitter,
                                 const struct pretokenize_step *step, size_t begin, size_t end) {
    const uint8_t *text = splitter->text;
    bool isolate = step->groups != GROUPS_CUT;
    unsigned class = step->groups == GROUPS_ALL ? NUMBER : DIGIT;
    size_t kept = begin, at = begin;
    while (at < end) {
        size_t n_digits;
        size_t run_end = digits_end(text, at, end, class, &n_digits);
        if (n_digits == 0) {
            at += utf8_length(text[at]);
            continue;
        }
        if (step->groups == GROUPS_ISOLATE && is_word_at(text, run_end, end)) {
            at = run_end;
            continue;
        }
        for (size_t left = n_digits; at < run_end; left--) {
            bool cut = left % 3 == 0 || (isolate && left == n_digits);
            if (cut) {
                TRY(split_unless_empty(splitter, step + 1, kept, at));
                kept = at;
            }
            at += utf8_length(text[at]);
        }
        if (isolate) {
            TRY(split(splitter, step + 1, kept, run_end));
            kept = run_end;
        }
    }
    return split_unless_empty(splitter, step + 1, kept, end);
}

static status split(const struct splitter *splitter, const struct pretokenize_step *step,
                    size_t begin, size_t end) {
    if (step->groups != GROUPS_NONE) return split_digit_groups(splitter, step, begin, end);
    if (!step->alternatives[0]) return splitter->word(splitter->user, begin, end);
    const struct piece piece = {splitter->text, begin, end};
    size_t kept = begin, at = begin;
    while (at < end) {
        size_t matched = at;
        for (const match *alternative = step->alternatives; *alternative && matched == at;
             alternative++)
            matched = (*alternative)(&piece, at);
        if (matched == at) {
            at += utf8_length(splitter->text[at]);
            continue;
        }
        TRY(split_unless_empty(splitter, step + 1, kept, at));
        TRY(split(splitter, step + 1, at, matched));
        kept = at = matched;
    }
    return split_unless_empty(splitter, step + 1, kept, end);
}

status pretokenize_split(const struct pretokenizer *pretokenizer, const uint8_t *text,
                         size_t length, pretokenize_word word, void *user) {
    const struct splitter splitter = {text, word, user};
    return split_unless_empty(&splitter, pretokenizer->steps, 0, length);
}
