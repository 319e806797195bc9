/* The words of pre-tokenization rules: each function is one alternative of a regular expression,
 * matched at a position as a backtracking engine would, but without backtracking over a run. They
 * return the end of the match, or the position itself for none.
 *
 * piece  the bytes [begin, end) of text that the regular expression sees; end is its "$". */
#ifndef TOKENIZER_MATCH_H
#define TOKENIZER_MATCH_H

#include <stddef.h>
#include <stdint.h>

struct piece {
    const uint8_t *text;
    size_t begin, end;
};

typedef size_t (*match)(const struct piece *piece, size_t at);

/* 's|'t|'re|'ve|'m|'ll|'d */
size_t match_contraction_lower(const struct piece *piece, size_t at);
/* (?i:'s|'t|'re|'ve|'m|'ll|'d) */
size_t match_contraction(const struct piece *piece, size_t at);
/*  ?\p{L}+ */
size_t match_space_letters(const struct piece *piece, size_t at);
/*  ?\p{N}+ */
size_t match_space_numbers(const struct piece *piece, size_t at);
/*  ?[^\s\p{L}\p{N}]+ */
size_t match_space_others(const struct piece *piece, size_t at);
/* \s+(?!\S) */
size_t match_spaces_before_space(const struct piece *piece, size_t at);
/* \s+ */
size_t match_spaces(const struct piece *piece, size_t at);
/* [^\r\n\p{L}\p{N}]?\p{L}+ */
size_t match_letters_after_any(const struct piece *piece, size_t at);
/* [^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+ */
size_t match_letters_marks_after_any(const struct piece *piece, size_t at);
/* [^\r\n\p{L}\p{N}]?(?:\p{L}\p{M}*(?: \p{L}\p{M}*)*)+ */
size_t match_phrase(const struct piece *piece, size_t at);
/* \p{N} */
size_t match_number(const struct piece *piece, size_t at);
/* \p{N}{1,3} */
size_t match_numbers_3(const struct piece *piece, size_t at);
/* \p{N}+ */
size_t match_numbers(const struct piece *piece, size_t at);
/* [0-9][0-9][0-9] */
size_t match_ascii_digits_3(const struct piece *piece, size_t at);
/*  ?[^\s\p{L}\p{N}]+[\r\n]* */
size_t match_others_newlines(const struct piece *piece, size_t at);
/*  ?[^\s\p{L}\p{N}]+[\r\n/]* */
size_t match_others_newlines_slashes(const struct piece *piece, size_t at);
/*  ?[^\s\p{L}\p{N}]+[\r\n/]? */
size_t match_others_newline_slash(const struct piece *piece, size_t at);
/*  ?[^\s\p{L}\p{M}\p{N}]+[\r\n]* */
size_t match_non_marks_newlines(const struct piece *piece, size_t at);
/* \s*[\r\n]+, and what is the same, \s*[\r\n] */
size_t match_newlines(const struct piece *piece, size_t at);
/* [\r\n] */
size_t match_newline(const struct piece *piece, size_t at);
/* [^\n]+|[\n]+ */
size_t match_line(const struct piece *piece, size_t at);
/* [^\r\n\p{L}\p{N}]?U*L+|[^\r\n\p{L}\p{N}]?U+L*; U = [\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}],
 * L = [\p{Ll}\p{Lm}\p{Lo}\p{M}] */
size_t match_cased(const struct piece *piece, size_t at);
/* the same, each with (?i:'s|'t|'re|'ve|'m|'ll|'d)? behind it */
size_t match_cased_contraction(const struct piece *piece, size_t at);
/* the same, with U and L without \p{Han} */
size_t match_cased_contraction_not_han(const struct piece *piece, size_t at);
/* \p{Han}+ */
size_t match_han(const struct piece *piece, size_t at);
/* [\p{P}$+<=>^~|]+ */
size_t match_punctuation(const struct piece *piece, size_t at);
/* [\p{P}$+<=>^~|`]+ */
size_t match_punctuation_backtick(const struct piece *piece, size_t at);
/* [\p{P}!-/:-@\[-`{-~] */
size_t match_punctuation_single(const struct piece *piece, size_t at);
/* \s?\p{L}+ */
size_t match_space_any_letters(const struct piece *piece, size_t at);
/* \s?\p{P}+ */
size_t match_space_any_punctuation(const struct piece *piece, size_t at);
/* \s?C+; C = the letters of the table in match.c */
size_t match_space_any_cased_letters(const struct piece *piece, size_t at);
/* \s?[!-/:-~\uff01-\uff0f\uff1a-\uff5e\u2018-\u201f\u3000-\u3002]+ */
size_t match_space_any_ascii_wide_punctuation(const struct piece *piece, size_t at);
/* \s+$ */
size_t match_spaces_at_end(const struct piece *piece, size_t at);
/* [\u4e00-\u9fa5\u0800-\u4e00\uac00-\ud7ff]+ */
size_t match_cjk_wide(const struct piece *piece, size_t at);
/* [\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+ */
size_t match_cjk_kana(const struct piece *piece, size_t at);
/* the blocks of the table in match.c, + */
size_t match_asian(const struct piece *piece, size_t at);
/* [\uac00-\ud7a3\u3131-\u318e]+|[the table in match.c]+|[\u3105-\u312f]+|
 * [\u4e00-\u9fa5\u3040-\u30ff]+ */
size_t match_korean_or_punctuation_or_bopomofo_or_cjk(const struct piece *piece, size_t at);
/* [!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+ */
size_t match_ascii_punctuation_word(const struct piece *piece, size_t at);
/* [^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+ */
size_t match_letters_marks_after_other(const struct piece *piece, size_t at);
/*  ?[\p{P}\p{S}]+[\r\n]* */
size_t match_punctuation_symbols_newlines(const struct piece *piece, size_t at);
/*  ?[\p{P}\p{S}]+ */
size_t match_punctuation_symbols(const struct piece *piece, size_t at);
/*  ?[^(\s|.,!?\u2026\u3002\uff0c\u3001\u0964\u06d4\u060c)]+ */
size_t match_not_sentence_end(const struct piece *piece, size_t at);
/* \s{512}(?!\S)|\s{256}(?!\S)| ... |\s{4}(?!\S)|\s{1,2}(?!\S)|\s{1} */
size_t match_spaces_halving(const struct piece *piece, size_t at);
/* <sentinel:[0-9]+> */
size_t match_sentinel(const struct piece *piece, size_t at);
/* (IMGIMG)((A|B|C|D|E|F|G|H|I){1,4})Z */
size_t match_image(const struct piece *piece, size_t at);
/* [\t\n]|    |   */
size_t match_tab_or_spaces(const struct piece *piece, size_t at);

#endif
