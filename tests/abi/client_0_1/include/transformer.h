/* libtransformer: transformer inference as an embeddable C library.
 * SPDX-License-Identifier: Apache-2.0
 *
 * This header is the whole public API and its manual.
 *
 * OBJECTS
 * - transformer_model: immutable weights and tokenizer; any number of threads may use one at once.
 * - transformer_context: KV cache, buffers and threads; one call at a time, others in the meantime
 *   get BUSY. Different contexts, of one model too, run in parallel.
 * - transformer_sequence: tokens and their KV pages in a context; its calls are calls on that
 *   context.
 * - transformer_sampler: turns logits into a token; one call at a time.
 * - transformer_adapter: a LoRA adapter of a model, immutable; any number of threads and sequences.
 * - transformer_grammar: what texts there may be, immutable; any number of threads and sequences.
 * - transformer_text_stream: turns tokens into UTF-8 that never splits a character; one call at a
 *   time.
 *
 *   A child keeps the memory of its parent alive, so handles may be destroyed in any order and from
 *   any thread; destroying NULL does nothing. A destroy that meets a running call on its context
 *   takes effect when that call returns. Calls on a sequence whose context was destroyed return
 *   STATE.
 *
 * ERRORS
 *   Every call that can fail returns a transformer_status. On failure outputs are untouched (a
 *   needed count excepted), there is nothing to clean up and the handle stays usable.
 *   transformer_last_error() tells the reason. Any call may return
 *   INVALID_ARGUMENT  a NULL where a pointer is required, a negative count or capacity, a token id
 *                     that is none of the model's, an options struct that breaks the rules below;
 *   UNSUPPORTED       a value of an option that this library does not know;
 *   OUT_OF_MEMORY     from whatever creates, opens, tokenizes, formats or queues something;
 *   BUSY              on a context, or on a sequence in it, another call is running.
 *   A comment below lists what else there is.
 *
 * OPTIONS AND OUTPUT STRUCTS
 *   The first member is struct_size: set it to sizeof the struct. Zero the rest (= {0}): zero is
 *   the default everywhere. A field called a mode is 0 for the default, TRANSFORMER_OFF or
 *   TRANSFORMER_ON. Members are only ever appended. A shorter struct is read as if the rest were
 *   zero; a longer one is accepted if what this library does not know is zero, else it is
 *   UNSUPPORTED; one shorter than its first release or over 4,096 bytes is INVALID_ARGUMENT. NULL
 *   options are all defaults. Into an output struct the library writes at most struct_size bytes,
 *   zeroes what it does not know and keeps struct_size. Strings and arrays in it live as long as
 *   the handle it was asked of. What options point to is used by the call alone or copied, unless
 *   they say otherwise; handles in them are kept alive by what is made with them.
 *
 * THREADS, SIGNALS, CALLBACKS
 *   The library installs no signal handler, never calls exit or abort, prints nothing, and leaves
 *   the process's state alone (but for what cpu_amx of the model's options asks of the kernel).
 *   Callbacks run in the thread that made the call (an allocator's in any), and may use the
 *   model's read-only calls and transformer_context_cancel; any other call on the context that is
 *   running returns BUSY.
 *   Calls that compute do so with round to nearest, denormals kept and exceptions masked, and give
 *   the thread back the floating-point environment it had, flags included; so do the tasks of an
 *   executor. on_text runs in the environment that the thread had. Every other callback (allocator,
 *   reader, log, progress, the executor's run) may run in the call's: it may find rounding to
 *   nearest where the host has set something else, must leave what it finds, and flags it raises
 *   may be lost.
 */
#ifndef TRANSFORMER_H
#define TRANSFORMER_H

#include <stdint.h>

#include "transformer_version.h"

#if defined(__GNUC__)
#define TRANSFORMER_API __attribute__((visibility("default")))
#else
#define TRANSFORMER_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

typedef struct transformer_model transformer_model;
typedef struct transformer_context transformer_context;
typedef struct transformer_sequence transformer_sequence;
typedef struct transformer_sampler transformer_sampler;
typedef struct transformer_text_stream transformer_text_stream;
typedef struct transformer_adapter transformer_adapter;
typedef struct transformer_grammar transformer_grammar;

/* ---- status ---- */

/* 0 is success. Codes are never renumbered; later releases may add some. */
typedef int32_t transformer_status;
enum {
    TRANSFORMER_OK = 0,
    TRANSFORMER_INVALID_ARGUMENT =
        1, /* the call is wrong: a NULL, a bad token id, another context's sequence */
    TRANSFORMER_OUT_OF_MEMORY = 2, /* an allocation was refused, or a thread could not be started */
    TRANSFORMER_IO = 3,            /* a file or reader could not be opened or read */
    TRANSFORMER_FORMAT =
        4, /* a file breaks its format; the message tells file, key or tensor, and offset */
    TRANSFORMER_UNSUPPORTED =
        5, /* well-formed, but not something this library does; the message names it */
    TRANSFORMER_LIMIT = 6,     /* a limit of the context or model is reached; nothing is lost */
    TRANSFORMER_CANCELLED = 7, /* stopped by transformer_context_cancel or by a callback */
    TRANSFORMER_DEVICE = 8,    /* a device failed or was lost */
    TRANSFORMER_NOT_FOUND = 9, /* no such file, key, token or position */
    TRANSFORMER_BUFFER_TOO_SMALL = 10, /* the count that is needed was written */
    TRANSFORMER_STATE = 11,            /* not possible in the handle's present state */
    TRANSFORMER_BUSY = 12,    /* another call on this context (or sampler, or stream) is running */
    TRANSFORMER_INTERNAL = 13 /* a bug in this library */
};

/* Values of a mode. */
enum { TRANSFORMER_DEFAULT = 0, TRANSFORMER_OFF = 1, TRANSFORMER_ON = 2 };

/* Name of a code, "INVALID_ARGUMENT" say; "UNKNOWN" for a number that is no code. Never NULL;
 * static. */
TRANSFORMER_API const char *transformer_status_name(transformer_status status);

/* This thread's last failure as one line of UTF-8, empty if there was none. Valid until the
 * thread's next failing call; a success leaves it as it is. Never NULL. */
TRANSFORMER_API const char *transformer_last_error(void);

/* ---- version and devices ---- */

/* major << 24 | minor << 16 | patch << 8, of the library that is linked. */
TRANSFORMER_API uint32_t transformer_version(void);
/* "0.1.0". Static. */
TRANSFORMER_API const char *transformer_version_string(void);
/* What was built in and what this machine runs, as "key: value" lines: compiler, ISA paths, the
 * path chosen, thread team, CUDA (or why there is none), version of the numbers law. Static, or
 * this thread's until its next call. */
TRANSFORMER_API const char *transformer_build_info(void);

typedef struct transformer_device_details {
    uint64_t struct_size;
    const char *kind;      /* "cpu", or "cuda" */
    const char *name;      /* its own name for itself */
    const char *path;      /* kernels of a model without cpu_amx: "reference", "avx2", ...; of a GPU
                              "sm_80", ... */
    uint64_t memory_bytes; /* in all; 0 where it can't be told */
    uint64_t n_processors; /* those this process may run on; a GPU's multiprocessors */
} transformer_device_details;

/* Number of devices. Device 0 is the CPU, so it is at least 1; GPUs that can be used follow.
 * transformer_build_info says why there are none. Looking for them initialises the CUDA driver,
 * where there is one: a child forked afterwards can't use its GPUs. */
TRANSFORMER_API int32_t transformer_device_count(void);
/* NOT_FOUND  no such device. The strings are static, or this thread's as long as it lives. */
TRANSFORMER_API transformer_status transformer_device_info(int32_t device,
                                                           transformer_device_details *details);

/* ---- what a host may hand in ---- */

/* Memory of an instance. allocate returns size bytes at a multiple of alignment (a power of two, 16
 * to 4096), or NULL; release gets back what allocate gave. Both may be called from any thread,
 * and user must outlive every handle that was made with it, and their children. Frozen for ever. */
typedef struct transformer_allocator {
    void *(*allocate)(void *user, uint64_t size, uint64_t alignment);
    void (*release)(void *user, void *pointer, uint64_t size);
    void *user;
} transformer_allocator;

/* Where a model's files come from when they are not in the file system. name is the path given in
 * the model options, that of another part of a split file, or a folder's and a file's in it. Called
 * only inside the call whose options have it (_open, _estimate, _convert, an adapter's), in the
 * thread that made that call. Frozen for ever.
 *
 * size  bytes of the file, or negative: no such file.
 * read  copies up to n bytes at offset into buffer; returns the bytes copied, fewer than n is an
 *       error, negative too. */
typedef struct transformer_reader {
    int64_t (*size)(void *user, const char *name);
    int64_t (*read)(void *user, const char *name, uint64_t offset, void *buffer, uint64_t n);
    void *user;
} transformer_reader;

/* Threads of the host instead of the library's own. run calls task(argument, i) once for each i in
 * 0 ... n-1, all n at the same time (they wait for each other), and returns when all have returned.
 * n_concurrent: how many it guarantees to run at once, at least 1; no more are asked for. Frozen
 * for ever. */
typedef struct transformer_executor {
    void (*run)(void *user, int32_t n, void (*task)(void *argument, int32_t index), void *argument);
    void *user;
    int32_t n_concurrent;
    int32_t reserved;
} transformer_executor;

/* Levels of log lines. */
enum { TRANSFORMER_LOG_ERROR = 1, TRANSFORMER_LOG_WARNING = 2, TRANSFORMER_LOG_INFO = 3 };
/* One line of UTF-8 without a newline, valid during the call. */
typedef void (*transformer_log_function)(void *user, int32_t level, const char *line);
/* done of total bytes are loaded. Nonzero stops: the call returns CANCELLED. */
typedef int32_t (*transformer_progress_function)(void *user, uint64_t done, uint64_t total);
/* length bytes of UTF-8, not NUL-terminated, valid during the call. Nonzero stops the generation.
 */
typedef int32_t (*transformer_text_function)(void *user, const char *text, uint64_t length);

/* ---- model ---- */

enum { TRANSFORMER_LOAD_MAP = 0, TRANSFORMER_LOAD_READ = 1 };

/* Types that weights can be quantized to. */
enum {
    TRANSFORMER_WEIGHTS_AS_IS = 0,
    TRANSFORMER_WEIGHTS_F32 = 1,
    TRANSFORMER_WEIGHTS_F16 = 2,
    TRANSFORMER_WEIGHTS_BF16 = 3,
    TRANSFORMER_WEIGHTS_Q4_0 = 4,
    TRANSFORMER_WEIGHTS_Q4_1 = 5,
    TRANSFORMER_WEIGHTS_Q5_0 = 6,
    TRANSFORMER_WEIGHTS_Q5_1 = 7,
    TRANSFORMER_WEIGHTS_Q8_0 = 8,
    TRANSFORMER_WEIGHTS_Q2_K = 9,
    TRANSFORMER_WEIGHTS_Q3_K = 10,
    TRANSFORMER_WEIGHTS_Q4_K = 11,
    TRANSFORMER_WEIGHTS_Q5_K = 12,
    TRANSFORMER_WEIGHTS_Q6_K = 13
};

typedef struct transformer_model_options {
    uint64_t struct_size;
    const char *path; /* a GGUF file, or the first part of a split one; or a Hugging Face folder (or
                         config.json in it); with data: its name in messages; with reader: its
                         name, a folder's ends in '/' or is "" */
    const void
        *data; /* or: the file's bytes in memory; they must outlive the model unless copy is ON */
    uint64_t data_size; /* bytes */
    const transformer_reader
        *reader; /* or: read path and the files beside it through this; copied */
    const transformer_allocator *allocator; /* NULL: aligned_alloc and free; copied */
    transformer_progress_function progress; /* NULL: none */
    void *progress_user;
    transformer_log_function log; /* NULL: no log */
    void *log_user;
    int32_t device;     /* 0: the CPU; 1 ... transformer_device_count() - 1: GPUs */
    uint32_t load_mode; /* TRANSFORMER_LOAD_MAP: map the file, which must not shrink while the model
                           is open; _READ: read it */
    uint32_t copy;      /* mode, default OFF: copy what is still needed of data after open */
    uint32_t cpu_amx;   /* mode, default OFF: the CPU's kernels may use AMX; see
                           transformer_model_open */
    uint32_t weight_type; /* TRANSFORMER_WEIGHTS_...: AS_IS: as the file has them; else matrices
                             become this type while they are loaded; see transformer_model_open */
    uint32_t reserved;
} transformer_model_options;

/* Loads a model. One of path, data, or reader with path must be given.
 *
 * With cpu_amx ON, quantized and bf16 weights are multiplied as bf16 by AMX's tiles. For that Linux
 * is asked for a permission, which every thread of the process has from then on and nothing takes
 * back: frames of signals then grow by 8 KiB in threads that use tiles, and an alternate signal
 * stack that couldn't hold one is refused by sigaltstack. UNSUPPORTED where the processor or the
 * kernel has none, with which of the two. transformer_model_estimate asks for nothing.
 *
 * With weight_type every matrix is rounded to that type, whatever the file has it in, and what has
 * no whole blocks in a row to a similar type of smaller ones: Q4_K to Q5_0, Q5_K to Q5_1, Q6_K to
 * Q8_0, Q2_K and Q3_K to Q4_0; all to F16 where rows are no multiple of 32. The head (or the
 * embedding, where they are one) becomes Q6_K instead of a type with fewer bits than Q8_0. Norms,
 * biases, other vectors, routers of experts and tables of positions stay. Quantizing runs in
 * threads of its own, one a processor, which end before the call returns. The same as opening the
 * file that transformer_model_convert writes with this type, bit for bit.
 *
 * NOT_FOUND    no such file or device.
 * IO           the file can't be opened or read.
 * FORMAT       it breaks its format.
 * UNSUPPORTED  a format, architecture, weight type or option this library doesn't have; the message
 *              names it.
 * CANCELLED    progress said so.
 * DEVICE       a GPU failed. */
TRANSFORMER_API transformer_status transformer_model_open(const transformer_model_options *options,
                                                          transformer_model **model);

typedef struct transformer_convert_options {
    uint64_t struct_size;
    const transformer_model_options *model; /* what is read; its weight_type is what is written, its
                                               device is not looked at */
    /* n more bytes of the file. Nonzero stops: CANCELLED. */
    int32_t (*write)(void *user, const void *bytes, uint64_t n);
    void *write_user;
} transformer_convert_options;

/* Writes a model as a GGUF file (v3), front to back, with the metadata that the library has of it.
 * The file opens as the same model, and where llama.cpp knows the family there too: queries and
 * keys have their rows in that format's order. What is written before a failure is no whole file:
 * write to a name of its own and rename it then.
 *
 * Fails as transformer_model_open does. progress of the model's options counts bytes of tensors.
 * CANCELLED  write or progress said so. */
TRANSFORMER_API transformer_status
transformer_model_convert(const transformer_convert_options *options);

typedef struct transformer_model_details {
    uint64_t struct_size;
    const char *format;        /* "GGUF v3" */
    const char *architecture;  /* "llama" */
    const char *name;          /* what the file calls itself; may be empty */
    const char *weight_types;  /* the types and how many tensors have each: "Q4_1 x 210, F32 x 61,
                                  Q8_0 x 1" */
    const int32_t *end_tokens; /* [n_end_tokens] end-of-generation tokens, ascending */
    int64_t n_end_tokens;
    int64_t n_vocab; /* logits per position */
    int64_t n_embd;
    int64_t n_layers;
    int64_t n_heads;        /* of the first layer */
    int64_t n_kv_heads;     /* of the first layer */
    int64_t head_dim;       /* of the first layer */
    int64_t context_length; /* tokens it was trained for */
    int64_t n_parameters;
    uint64_t file_bytes;             /* all parts */
    uint64_t weight_bytes;           /* of all tensors */
    uint64_t weight_bytes_per_token; /* weights read by one decode step of one row */
    uint64_t host_bytes;             /* taken from the allocator now */
    uint32_t has_tokenizer;          /* 0 or 1 */
    int32_t device;
    int64_t
        n_token_types; /* types that a token may have, at least 1; see transformer_append_options */
    int64_t n_labels;  /* numbers of a sequence's score; 0: the model gives none */
    uint32_t has_logits;        /* 0 or 1: an encoder has none, nor has a model with a score head */
    uint32_t pooling;           /* TRANSFORMER_POOLING_..., the model's own */
    uint32_t pooling_normalize; /* TRANSFORMER_OFF or _ON, likewise */
    uint32_t reserved;
    uint32_t needs_source;  /* 0 or 1: an encoder-decoder, whose sequences need a source */
    int32_t start_token;    /* what its decoder begins with; -1: the file doesn't say, or none */
    int64_t n_source_vocab; /* tokens of sources; 0: it takes none */
    int64_t source_context_length; /* tokens of the longest source; 0 likewise */
} transformer_model_details;

TRANSFORMER_API transformer_status transformer_model_info(const transformer_model *model,
                                                          transformer_model_details *details);

/* Metadata of the file: a string as it is, a number or bool as text, an array as its number of
 * elements.
 *
 * buffer  [capacity], NULL with 0 to ask for the length; the text is not NUL-terminated.
 * length  bytes of the text, written on BUFFER_TOO_SMALL too.
 *
 * NOT_FOUND         the file has no such key.
 * BUFFER_TOO_SMALL  over capacity; of the buffer nothing is promised. */
TRANSFORMER_API transformer_status transformer_model_metadata(const transformer_model *model,
                                                              const char *key, char *buffer,
                                                              int64_t capacity, int64_t *length);

/* One more owner; each needs its transformer_model_close. Returns its argument. */
TRANSFORMER_API transformer_model *transformer_model_retain(transformer_model *model);
/* The last owner's close frees the model once no context, sampler, stream, adapter or grammar uses
 * it. NULL does nothing. */
TRANSFORMER_API void transformer_model_close(transformer_model *model);

/* ---- text and tokens ---- */

/* An encoder-decoder may have two vocabularies: one of the sources it reads, one of the text it
 * writes (Marian's separate_vocabs). transformer_tokenize then gives tokens of a source, ids below
 * n_source_vocab for transformer_sequence_set_source; all other calls with tokens here, and
 * everything of the header that turns tokens into text or names one, are about those that the
 * decoder reads and writes, ids below n_vocab. What transformer_tokenize gave is not to be
 * detokenized there. With one vocabulary, as most encoder-decoders have, both are the same. */

typedef struct transformer_tokenize_options {
    uint64_t struct_size;
    uint32_t add_special;   /* mode, default ON: begin and end tokens as the model wants them */
    uint32_t parse_special; /* mode, default OFF: control tokens written out in the text become
                               those tokens */
    const char *second; /* [second_length], or NULL: another text after the first, with the tokens
                           between the two that the model wants: the pair that a cross-encoder is
                           given, query and document */
    int64_t second_length;
    int32_t *types; /* [capacity], or NULL: each token's type, which of the two texts it belongs to
                       as BERT's segments say it; written with tokens, not when counting */
} transformer_tokenize_options;

/* text    [length] UTF-8; invalid bytes become U+FFFD, one per maximal subpart.
 * tokens  [capacity], NULL with capacity 0 to count.
 * count   tokens of the text, written on BUFFER_TOO_SMALL too.
 *
 * STATE             the model has no tokenizer, or one that this library can't do: the message
 *                   tells what is missing. So from every call of this section.
 * BUFFER_TOO_SMALL  over capacity; tokens and types are as they were. */
TRANSFORMER_API transformer_status transformer_tokenize(const transformer_model *model,
                                                        const char *text, int64_t length,
                                                        const transformer_tokenize_options *options,
                                                        int32_t *tokens, int64_t capacity,
                                                        int64_t *count);

typedef struct transformer_detokenize_options {
    uint64_t struct_size;
    uint32_t special; /* mode, default OFF: write control tokens out */
    uint32_t reserved;
} transformer_detokenize_options;

/* The text of tokens [count], as bytes: it is UTF-8 if the tokens spell UTF-8. buffer, capacity,
 * length as in _metadata. */
TRANSFORMER_API transformer_status transformer_detokenize(
    const transformer_model *model, const int32_t *tokens, int64_t count,
    const transformer_detokenize_options *options, char *buffer, int64_t capacity, int64_t *length);

/* The bytes that one token adds in the middle of a text; a control token's own name. */
TRANSFORMER_API transformer_status transformer_token_text(const transformer_model *model,
                                                          int32_t token, char *buffer,
                                                          int64_t capacity, int64_t *length);

enum {
    TRANSFORMER_TOKEN_BEGIN = 1,       /* begin of sequence */
    TRANSFORMER_TOKEN_END = 2,         /* end of sequence */
    TRANSFORMER_TOKEN_END_OF_TURN = 3, /* end of a message */
    TRANSFORMER_TOKEN_UNKNOWN = 4,
    TRANSFORMER_TOKEN_SEPARATOR = 5,
    TRANSFORMER_TOKEN_PADDING = 6,
    TRANSFORMER_TOKEN_CLASSIFY = 7,
    TRANSFORMER_TOKEN_MASK = 8,
    TRANSFORMER_TOKEN_START = 9 /* what the decoder of an encoder-decoder begins with */
};
/* NOT_FOUND  the model names no such token. */
TRANSFORMER_API transformer_status transformer_special_token(const transformer_model *model,
                                                             int32_t kind, int32_t *token);

typedef struct transformer_text_stream_options {
    uint64_t struct_size;
    uint32_t special; /* mode, default OFF: write control tokens out */
    uint32_t reserved;
    const char *const *stop; /* [n_stop], or NULL: strings that end the text; each ends in a NUL, is
                                not empty, UTF-8; copied */
    int64_t n_stop;
} transformer_text_stream_options;

/* With stop strings the stream gives the text before the first of them, and nothing from there on.
 * The first is the one that ends first; of those that end at the same byte the longest, of equal
 * ones the first of the array. What may be the beginning of one is held back until that is decided,
 * however many tokens it takes. Time is linear in the text.
 *
 * STATE             the model has no tokenizer.
 * INVALID_ARGUMENT  a stop string is NULL, empty or no UTF-8; the message gives its index.
 * LIMIT             more than 4,096 stop strings, or 65,536 bytes of them. */
TRANSFORMER_API transformer_status transformer_text_stream_create(
    transformer_model *model, const transformer_text_stream_options *options,
    transformer_text_stream **stream);
/* text [length]: the characters that are complete with this token, maybe none; bytes that can't
 * become a character are U+FFFD. Not NUL-terminated; valid until the stream's next call. */
TRANSFORMER_API transformer_status transformer_text_stream_push(transformer_text_stream *stream,
                                                                int32_t token, const char **text,
                                                                int64_t *length);
/* What is left: what was held back, and an unfinished character as U+FFFD; nothing after a stop
 * string. The stream starts anew. */
TRANSFORMER_API transformer_status transformer_text_stream_finish(transformer_text_stream *stream,
                                                                  const char **text,
                                                                  int64_t *length);
/* Index of the stop string that ended the text, -1: none did. It can be asked until the next push
 * after transformer_text_stream_finish. */
TRANSFORMER_API int32_t transformer_text_stream_stopped(const transformer_text_stream *stream);
TRANSFORMER_API void transformer_text_stream_destroy(transformer_text_stream *stream);

/* ---- context ---- */

enum {
    TRANSFORMER_KV_DEFAULT = 0,
    TRANSFORMER_KV_F32 = 1,
    TRANSFORMER_KV_F16 = 2,
    TRANSFORMER_KV_BF16 = 3,
    TRANSFORMER_KV_Q8_0 = 4 /* int8 with an f16 scale for 32 dims of a head */
};

/* How the hidden states of a sequence become one vector: their mean, or the first or last one. */
enum {
    TRANSFORMER_POOLING_DEFAULT = 0, /* the model's own, if it has one */
    TRANSFORMER_POOLING_NONE = 1,
    TRANSFORMER_POOLING_MEAN = 2,
    TRANSFORMER_POOLING_FIRST = 3,
    TRANSFORMER_POOLING_LAST = 4
};

typedef struct transformer_context_options {
    uint64_t struct_size;
    int64_t
        max_sequence_tokens; /* longest sequence; 0: the model's context length, at most 4,096 */
    int64_t kv_tokens;     /* positions in the KV cache, shared by all sequences, in pages of 64; 0:
                              max_sequence_tokens, or what a step of an encoder needs */
    int64_t max_sequences; /* sequences alive at once; 0: 8 */
    int64_t max_step_tokens; /* rows of one decode step, longer prompts take several steps; 0: 512,
                                or max_sequence_tokens of an encoder if that is more */
    int64_t max_logit_rows;  /* rows of logits one step can keep; 0: max_sequences */
    const transformer_allocator *allocator; /* NULL: the model's */
    const transformer_executor *executor;   /* NULL: threads of the context's own; copied */
    transformer_log_function log;           /* NULL: no log */
    void *log_user;
    int32_t n_threads; /* 0: one for each processor this process may use */
    uint32_t kv_type;  /* TRANSFORMER_KV_...; the default is F16 */
    uint32_t pooling;  /* TRANSFORMER_POOLING_...; a model with a score head has its own only. With
                          MEAN and FIRST a sequence is computed in one step, as an encoder's is */
    uint32_t pooling_normalize; /* mode, default as the model does: divide the pooled vector by its
                                   length */
    int64_t max_source_tokens;  /* of an encoder-decoder: longest source, which one step encodes
                                   whole; the cache has kv_tokens positions for sources besides, or
                                   this many; 0: as long as the model and max_step_tokens allow */
    uint32_t
        prefix_cache;    /* mode, default ON: KV pages of tokens that sequences no longer need are
                            kept while nobody needs the room, and a sequence that begins with the
                            same tokens shares them instead of computing them (to the same bits) */
    uint32_t preemption; /* mode, default OFF: when pages run out, take them from the sequence of
                            the lowest priority, the youngest among equals, instead of refusing
                            one that is higher or older. All tokens of it are then pending again
                            and computed anew once the pages are there, to the same bits; of the
                            logits asked for, those that were kept already are not kept again, but
                            for the last token's */
} transformer_context_options;

typedef struct transformer_memory_estimate {
    uint64_t struct_size;
    uint64_t model_host_bytes;   /* from the allocator, once the model is open */
    uint64_t model_mapped_bytes; /* of the file, mapped meanwhile; the kernel can take these pages
                                    back */
    uint64_t
        context_host_bytes;    /* from the allocator, once the context is created: KV and buffers */
    uint64_t context_kv_bytes; /* the KV part of it, or of device_bytes */
    uint64_t sequence_host_bytes; /* for each sequence */
    uint64_t device_bytes;        /* of model and context on a device that is not the CPU */
    uint64_t source_host_bytes;   /* for each source of max_source_tokens */
} transformer_memory_estimate;

/* What transformer_model_open and transformer_context_create with these options would take. Reads
 * the file's head, no weights. Fails as these do; OUT_OF_MEMORY  also: more bytes than 64 bits can
 * count. */
TRANSFORMER_API transformer_status transformer_model_estimate(
    const transformer_model_options *model_options,
    const transformer_context_options *context_options, transformer_memory_estimate *estimate);

/* LIMIT  an option is over what the model or this library can do. OUT_OF_MEMORY  also: a thread
 * could not be started. */
TRANSFORMER_API transformer_status
transformer_context_create(transformer_model *model, const transformer_context_options *options,
                           transformer_context **context);
TRANSFORMER_API void transformer_context_destroy(transformer_context *context);

/* From any thread or a signal handler. Stops the running decode at the next layer, or else the next
 * decode; that one returns CANCELLED and clears the flag. What earlier steps computed stays
 * computed; the cancelled step's tokens are pending again. */
TRANSFORMER_API void transformer_context_cancel(transformer_context *context);

typedef struct transformer_context_statistics {
    uint64_t struct_size;
    uint64_t host_bytes; /* taken from the allocator now: KV, buffers, sequences */
    uint64_t kv_bytes;
    int64_t kv_pages;       /* in all groups */
    int64_t kv_pages_free;  /* those included that are kept for reuse alone */
    int64_t kv_page_tokens; /* positions in a page */
    int64_t n_sequences;
    int64_t pending_tokens;
    uint64_t steps; /* decode steps that ran to their end */
    uint64_t rows;  /* tokens they computed */
    int64_t n_threads;
    int64_t max_sequence_tokens;
    int64_t max_step_tokens;
    int64_t max_logit_rows;
    int64_t max_source_tokens;     /* 0: the model takes none */
    int64_t kv_pages_cached;       /* of the free ones: kept for reuse */
    uint64_t prefix_lookups;       /* times that pending tokens were looked up: once a step for each
                                      prompt that is a page or more */
    uint64_t prefix_hit_tokens;    /* tokens that were found, and not computed */
    uint64_t prefix_evicted_pages; /* kept pages that were needed for something else */
    uint64_t n_preempted;          /* times that a sequence lost its pages */
    uint64_t step_nanoseconds;     /* of all steps, their planning and sampling included */
    uint64_t step_nanoseconds_median; /* of the last 1,024 steps */
    uint64_t step_nanoseconds_p99;
    uint64_t n_proposed; /* rows that were proposals, of all steps */
    uint64_t n_accepted; /* those of them that sampling chose too */
} transformer_context_statistics;

TRANSFORMER_API transformer_status
transformer_context_stats(transformer_context *context, transformer_context_statistics *statistics);

/* ---- sampler ---- */

/* Frozen for ever. */
typedef struct transformer_logit_bias {
    int32_t token;
    float bias; /* added to the token's logit; -INFINITY forbids it */
} transformer_logit_bias;

/* Applied in this order; zero leaves a filter out. A filter keeps at least one token. */
typedef struct transformer_sampler_options {
    uint64_t struct_size;
    uint64_t seed;                            /* 0 is a seed like any other */
    const transformer_logit_bias *logit_bias; /* [n_logit_bias], copied */
    int64_t n_logit_bias;
    int64_t penalty_window; /* the last tokens of the sequence that the penalties look at; 0: all */
    float repetition_penalty; /* > 0: a positive logit of a seen token is divided by it, a negative
                                 one multiplied */
    float frequency_penalty;  /* subtracted once for each time the token was seen */
    float presence_penalty;   /* subtracted once if the token was seen */
    float temperature; /* 0: greedy, the highest logit, the lowest id among equals; the filters
                          below don't matter then */
    int32_t top_k;     /* the k most likely tokens */
    float
        top_p; /* the fewest most likely tokens whose probabilities sum to at least this, 0 to 1 */
    float min_p; /* tokens at least this times as likely as the likeliest, 0 to 1 */
    uint32_t reserved;
} transformer_sampler_options;

TRANSFORMER_API transformer_status
transformer_sampler_create(transformer_model *model, const transformer_sampler_options *options,
                           transformer_sampler **sampler);
/* A second sampler of the same options. */
TRANSFORMER_API transformer_status transformer_sampler_clone(const transformer_sampler *sampler,
                                                             transformer_sampler **clone);
TRANSFORMER_API void transformer_sampler_destroy(transformer_sampler *sampler);

typedef struct transformer_sample_options {
    uint64_t struct_size;
    uint32_t append; /* mode, default OFF: append the token to the sequence, as
                        transformer_sequence_append does */
    uint32_t reserved;
} transformer_sample_options;

/* Chooses the token after the sequence's last one, from the logits of that position, which the last
 * decode must have computed. The random number is f(seed, the sequence's stream, position): the
 * same whatever else the batch, the threads or the sampler did.
 *
 * STATE             those logits are not there; or what the sequence has is no text of its grammar.
 * INVALID_ARGUMENT  the sampler is another model's.
 * LIMIT             with append, the sequence is full; nothing is appended.
 * BUSY              another call uses this sampler. */
TRANSFORMER_API transformer_status
transformer_sampler_sample(transformer_sampler *sampler, transformer_sequence *sequence,
                           const transformer_sample_options *options, int32_t *token);

/* ---- adapter ---- */

typedef struct transformer_adapter_options {
    uint64_t struct_size;
    const char *path;                 /* a folder as PEFT writes it (adapter_config.json and
                                         adapter_model.safetensors), or a file in it; or a GGUF adapter; with
                                         reader: its name, a folder's ends in '/' or is "" */
    const transformer_reader *reader; /* NULL: the file system; only used by this call */
} transformer_adapter_options;

/* Loads a LoRA adapter of a model: y = W x + b becomes y + scale B (A x) in the layers that it has
 * matrices for, scale being alpha / rank, with use_rslora alpha / sqrt(rank). It is attached to
 * sequences (transformer_sequence_options); sequences of one step may have different ones, or none,
 * whose bits are as if there were no adapters. What it takes comes from the model's allocator, or is
 * the device's that the model is on; the adapter keeps the model alive.
 *
 * FORMAT, IO, NOT_FOUND, OUT_OF_MEMORY.
 * UNSUPPORTED  another method than LoRA on linear layers (DoRA, biases, modules_to_save,
 * embeddings), or a layer that the model doesn't have; the message names it. */
TRANSFORMER_API transformer_status
transformer_adapter_open(transformer_model *model, const transformer_adapter_options *options,
                         transformer_adapter **adapter);
/* It goes once no sequence uses it. NULL does nothing. */
TRANSFORMER_API void transformer_adapter_close(transformer_adapter *adapter);

/* ---- sequence ---- */

typedef struct transformer_sequence_options {
    uint64_t struct_size;
    transformer_sampler *sampler; /* NULL, or: when a decode computes this sequence's last position,
                                     it samples the next token with this and queues it, to be read
                                     by transformer_sequence_tokens; kept alive by the sequence,
                                     which must be the only one to use it while decoding */
    uint64_t stream;              /* names this sequence's random numbers */
    transformer_adapter *adapter; /* NULL, or: of this model, applied to all that is computed for
                                     the sequence and its forks; kept alive by them */
    float adapter_scale;          /* times the adapter's own scale; 0: 1 */
    uint32_t reserved;
    uint64_t cache_domain;  /* KV pages are reused only among sequences of the same domain, so that
                               nobody learns from the time it takes what another has asked; 0 is one
                               like any other */
    int32_t priority;       /* higher goes first, and keeps its pages longer; 0 by default */
    uint32_t lookup_tokens; /* tokens that may be proposed in a step by prompt lookup: what followed
                               the last tokens where the sequence had them before; 0: none. Needs a
                               sampler; see transformer_sequence_propose. Takes 12 to 24 bytes for
                               each of max_sequence_tokens */
} transformer_sequence_options;

/* LIMIT  max_sequences are alive.
 * OUT_OF_MEMORY  also: for steps with the adapter. UNSUPPORTED  it changes what no linear layer
 * alone uses (the embedding, say); the message names it. */
TRANSFORMER_API transformer_status transformer_sequence_create(
    transformer_context *context, const transformer_sequence_options *options,
    transformer_sequence **sequence);
TRANSFORMER_API void transformer_sequence_destroy(transformer_sequence *sequence);

/* From the next decode on. */
TRANSFORMER_API transformer_status transformer_sequence_set_priority(transformer_sequence *sequence,
                                                                     int32_t priority);

enum { TRANSFORMER_LOGITS_LAST = 0, TRANSFORMER_LOGITS_NONE = 1, TRANSFORMER_LOGITS_ALL = 2 };

typedef struct transformer_append_options {
    uint64_t struct_size;
    const uint8_t
        *keep; /* NULL, or [count]: nonzero keeps that position's logits, whatever `logits` says */
    uint32_t logits;     /* TRANSFORMER_LOGITS_...: of the last of these tokens, none, or all */
    uint32_t token_type; /* of these tokens, where the model has types (BERT's segments); else 0 */
} transformer_append_options;

/* Queues tokens after those the sequence has. Nothing is computed until transformer_decode.
 * tokens  [count], ids in 0 ... n_vocab-1; copied.
 *
 * Where tokens see those behind them (an encoder), a sequence is computed in one step: all its
 * tokens become pending again with every append, and its keys and values are given back once they
 * are computed.
 *
 * INVALID_ARGUMENT  an id is out of range, the message gives its index; or the token type.
 * LIMIT             the sequence would pass max_sequence_tokens; an encoder's: max_step_tokens, or
 * max_logit_rows with what is to be kept of it. In all cases nothing is queued. */
TRANSFORMER_API transformer_status
transformer_sequence_append(transformer_sequence *sequence, const int32_t *tokens, int64_t count,
                            const transformer_append_options *options);

typedef struct transformer_source_options {
    uint64_t struct_size;
    uint64_t reserved;
} transformer_source_options;

/* What the encoder of an encoder-decoder is to read; the sequence's own tokens begin with the
 * model's start token. Nothing is computed until a transformer_decode that finds tokens pending:
 * its step encodes the source whole, tokens [n] being rows of that step, and keeps for as long as
 * the sequence and its forks live what the decoder's attention reads of it. Forks share it.
 * tokens  [n], ids in 0 ... n_source_vocab-1, 1 at least; copied.
 * UNSUPPORTED       the model takes no source.
 * STATE             the sequence has one.
 * INVALID_ARGUMENT  an id is out of range; the message gives its index.
 * LIMIT             over max_source_tokens. */
TRANSFORMER_API transformer_status
transformer_sequence_set_source(transformer_sequence *sequence, const int32_t *tokens, int64_t n,
                                const transformer_source_options *options);

typedef struct transformer_fork_options {
    uint64_t struct_size;
    transformer_sampler *sampler; /* as in transformer_sequence_options */
    uint64_t stream;              /* names the fork's random numbers */
} transformer_fork_options;

/* A second sequence of the same tokens, pending ones too, priority and cache_domain. KV pages are
 * shared until one of the two writes into them. The logits that the sequence has can be read and
 * sampled through the fork as well. LIMIT as in _create. */
TRANSFORMER_API transformer_status
transformer_sequence_fork(transformer_sequence *sequence, const transformer_fork_options *options,
                          transformer_sequence **fork);

/* Keeps the first n tokens, computed or pending; the rest is forgotten. An encoder's tokens are
 * then pending again. Where n reaches back behind a sliding window whose KV was given up, the
 * tokens that stay are pending again (to the same bits), and which of their logits to keep is
 * forgotten. INVALID_ARGUMENT  n is negative or over the length. */
TRANSFORMER_API transformer_status transformer_sequence_truncate(transformer_sequence *sequence,
                                                                 int64_t n);

/* tokens [capacity], NULL with 0 to count.   count  all tokens.   n_computed  NULL, or: those of
 * them that are in the KV cache. */
TRANSFORMER_API transformer_status transformer_sequence_tokens(transformer_sequence *sequence,
                                                               int32_t *tokens, int64_t capacity,
                                                               int64_t *count, int64_t *n_computed);

/* Tokens [n] that the host guesses the sequence's own sampler will choose next: a draft model's, or
 * what an editor knows. The next decode that computes the sequence's last token computes as many of
 * them as its rows, max_logit_rows and the free KV pages leave room for, after all that is pending,
 * and samples position by position: while the sampler chooses the token that was guessed, it is
 * queued and computed at once. So a step may queue several tokens, the last of them pending, and
 * the logits of all their positions are kept; the tokens are the same as without proposals. An
 * end-of-generation token is queued as the last of its step. What was guessed wrong, found no room,
 * or follows an append, a truncate or another propose is forgotten; n 0 forgets too. A fork has
 * none of its original's. Proposals of the host come before those of lookup_tokens. None are
 * computed in a context that pools.
 *
 * INVALID_ARGUMENT  an id is out of range; the message gives its index.
 * STATE             the sequence has no sampler of its own.
 * OUT_OF_MEMORY     at the first call for a sequence, which takes room for max_logit_rows tokens.
 */
TRANSFORMER_API transformer_status transformer_sequence_propose(transformer_sequence *sequence,
                                                                const int32_t *tokens, int64_t n);

/* ---- decode ---- */

typedef struct transformer_decode_options {
    uint64_t struct_size;
    int64_t max_tokens; /* rows of this step; 0: the context's max_step_tokens */
} transformer_decode_options;

typedef struct transformer_decode_result {
    uint64_t struct_size;
    int64_t n_rows;    /* tokens computed by this step, those of sources included */
    int64_t n_ready;   /* sequences with nothing pending whose last position this step computed */
    int64_t n_pending; /* sequences that still have pending tokens, refused ones included */
    int64_t n_refused; /* sequences that got no row, for want of KV pages; destroy or truncate some
                          and decode again */
    int64_t n_sampled; /* sequences whose own sampler queued a token; these count as ready, not as
                          pending */
    int64_t n_preempted; /* sequences that lost their pages to others in this step */
    int64_t n_proposed;  /* rows of this step that were proposals */
    int64_t n_accepted;  /* those of them that sampling chose too: tokens that were queued besides
                            the one of each sampled sequence */
} transformer_decode_result;

/* One decode step over every sequence with pending tokens, single tokens and chunks of prompts
 * together. Higher priorities go first, and may leave nothing to lower ones; among equals single
 * tokens go before prompts, which get a row at least, and all take turns. max_tokens bounds the
 * time that prompts add to a step. A row's bits depend on its sequence's tokens alone, not on what
 * shares the step. With nothing pending it returns OK and zeros. Allocates nothing.
 *
 * result  may be NULL.
 *
 * LIMIT      every pending sequence was refused for want of KV pages; the counts are written.
 *            Nothing is lost: truncate or destroy some and go on. Or max_tokens is less than any
 *            source that waits.
 * STATE      nothing can be computed, for what is pending lacks a source.
 * CANCELLED  see transformer_context_cancel.
 * DEVICE     the device failed.
 * After a failure the step's tokens are pending again. */
TRANSFORMER_API transformer_status transformer_decode(transformer_context *context,
                                                      const transformer_decode_options *options,
                                                      transformer_decode_result *result);

/* The logits [count] that follow `position` (0 is the sequence's first token, -1 its last), if the
 * last decode that ran rows computed and kept them. Owned by the context; valid until its next
 * decode, or until the sequence is truncated or destroyed.
 *
 * NOT_FOUND    they were not kept.
 * UNSUPPORTED  the model gives none. */
TRANSFORMER_API transformer_status transformer_sequence_logits(transformer_sequence *sequence,
                                                               int64_t position, const float **row,
                                                               int64_t *count);
/* Frozen for ever. */
typedef struct transformer_token_probability {
    int32_t token;
    float log_probability;
} transformer_token_probability;

/* Natural logarithms of the probabilities that the model gives to tokens after `position`: the log
 * softmax of the logits that transformer_sequence_logits gives for it, before any bias, penalty,
 * temperature or filter of a sampler. tokens [n_tokens], those that are asked for; values
 * [n_tokens], theirs. top [n_top], n_top at most n_vocab: the likeliest tokens, likeliest first, of
 * equal ones the lower id. Either may be NULL with 0. The token that a sampler queued at position p
 * is one after position p - 1.
 * NOT_FOUND         the logits were not kept.
 * INVALID_ARGUMENT  an id is out of range, the message gives its index; or n_top.
 * UNSUPPORTED       the model gives no logits. */
TRANSFORMER_API transformer_status transformer_sequence_log_probabilities(
    transformer_sequence *sequence, int64_t position, const int32_t *tokens, int64_t n_tokens,
    float *values, transformer_token_probability *top, int64_t n_top);

/* Likewise the hidden state [n_embd] after the last norm, of the positions whose logits were kept.
 */
TRANSFORMER_API transformer_status transformer_sequence_embedding(transformer_sequence *sequence,
                                                                  int64_t position,
                                                                  const float **row,
                                                                  int64_t *count);

/* The pooled vector [n_embd] of the sequence, whose last position the last decode must have
 * computed. Owned by the context; valid as logits are.
 *
 * NOT_FOUND    that decode did not.
 * UNSUPPORTED  the context pools nothing: neither the model says how nor its options. */
TRANSFORMER_API transformer_status transformer_sequence_pooled(transformer_sequence *sequence,
                                                               const float **vector,
                                                               int64_t *count);
/* Likewise the score [n_labels] of the model's head: of a cross-encoder or classifier, or of a
 * reward model. As the head gives it, without softmax or sigmoid. UNSUPPORTED  it has none. */
TRANSFORMER_API transformer_status transformer_sequence_score(transformer_sequence *sequence,
                                                              const float **score, int64_t *count);

/* ---- snapshots ---- */

typedef struct transformer_save_options {
    uint64_t struct_size;
    /* n more bytes of the snapshot. Nonzero stops: CANCELLED. */
    int32_t (*write)(void *user, const void *bytes, uint64_t n);
    void *write_user;
    void *buffer;      /* or where it goes */
    uint64_t capacity; /* bytes of buffer */
} transformer_save_options;

/* A sequence as bytes: its tokens, which of them are computed, and their keys and values, so that
 * it goes on after transformer_sequence_restore without computing them again: in another context,
 * process, machine, or on another device. On the device and build that wrote it what follows has
 * the bits that it has without the snapshot. The sequence stays as it is.
 *
 * In it: tokens, their types, which logits were asked for, the source of an encoder-decoder, the
 * number of the random numbers' stream. Not in it: logits that could be read, the sampler and its
 * seed, the adapter's weights. The same sequence gives the same bytes. They are checked against
 * damage, not against malice: who can write a snapshot can write another. Keep them as you keep the
 * text they are of: docs/snapshots.md.
 *
 * options  NULL, or neither write nor buffer: *size is all that is wanted.
 * size     the snapshot's bytes.
 *
 * BUFFER_TOO_SMALL  over capacity; *size is written.
 * CANCELLED         write said so; what was written is no snapshot.
 * DEVICE            a GPU failed. */
TRANSFORMER_API transformer_status transformer_sequence_save(
    transformer_sequence *sequence, const transformer_save_options *options, uint64_t *size);

typedef struct transformer_restore_options {
    uint64_t struct_size;
    const void *data; /* a whole snapshot, and nothing behind it; only read by this call */
    uint64_t data_size;
    /* Or: up to n more bytes into buffer. How many; 0: there are no more; negative: it failed. Not
     * one byte more is asked for than the snapshot has. */
    int64_t (*read)(void *user, void *buffer, uint64_t n);
    void *read_user;
    const transformer_sequence_options *sequence; /* NULL, or: as in transformer_sequence_create,
                                                     but for stream 0, which is the snapshot's.
                                                     adapter and its scale must be those that it
                                                     was computed with */
} transformer_restore_options;

/* A sequence from what transformer_sequence_save wrote. It has KV pages of its own. Logits can be
 * read after its next decode: where all tokens are computed, take back the last one
 * (transformer_sequence_truncate) and append it again. Any bytes may be given: no byte is used
 * before its checksum was found right, and nothing is taken that the context's own limits don't
 * bound. Nothing is created or kept on failure.
 *
 * FORMAT            this is no snapshot, or it was changed or cut; the message has the place.
 * INVALID_ARGUMENT  it is another model's (weights and hyperparameters are compared, not names), of
 *                   another kv_type or adapter, or of a context whose options give this model other
 *                   numbers; the message says which.
 * UNSUPPORTED       it was written by a release whose format or order of additions is another.
 * LIMIT             max_sequences are alive, it is too long for this context, or KV pages are
 *                   short.
 * IO                read failed.
 * DEVICE            a GPU failed. */
TRANSFORMER_API transformer_status transformer_sequence_restore(
    transformer_context *context, const transformer_restore_options *options,
    transformer_sequence **sequence);

/* ---- structured output ---- */

typedef struct transformer_grammar_options {
    uint64_t struct_size;
    const char *json_schema; /* one of these three; UTF-8 that ends in a NUL */
    const char *regex;       /* ECMA-262's, of the whole text */
    const char *ebnf;        /* rules name ::= ...; the text matches the rule root, or the first */
    uint32_t whitespace;     /* mode, default OFF: of a JSON text: between its tokens there may be
                                any white space, else there is none */
    uint32_t reserved;
} transformer_grammar_options;

/* What texts there may be, for transformer_sequence_constrain and transformer_grammar_match.
 * Immutable: any number of threads and sequences may use it at once. It keeps the model alive.
 * docs/structured-output.md says what of the three languages there is.
 *
 * INVALID_ARGUMENT  it is broken, the message tells where; or no text matches it.
 * UNSUPPORTED       a keyword or construct this library doesn't have, the message names it and
 * where it stands; or tokens of the model have no bytes of their own (WordPiece).
 * LIMIT             it is too large.      STATE  the model has no tokenizer. */
TRANSFORMER_API transformer_status
transformer_grammar_create(transformer_model *model, const transformer_grammar_options *options,
                           transformer_grammar **grammar);
/* It goes once no sequence uses it. NULL does nothing. */
TRANSFORMER_API void transformer_grammar_destroy(transformer_grammar *grammar);

enum {
    TRANSFORMER_MATCH_NONE = 0,   /* no text of the grammar begins with this */
    TRANSFORMER_MATCH_PREFIX = 1, /* one does, but this isn't one */
    TRANSFORMER_MATCH_WHOLE = 2   /* it is one; longer ones may begin with it */
};

/* LIMIT  the text nests too deep, or matches in too many ways at once. */
TRANSFORMER_API transformer_status transformer_grammar_match(const transformer_grammar *grammar,
                                                             const char *text, int64_t length,
                                                             int32_t *match);

typedef struct transformer_constraint_options {
    uint64_t struct_size;
    int64_t max_tokens; /* of the text, the end token not counted; 0: what the sequence has room
                           for */
    uint32_t close;     /* mode, default OFF: within max_tokens the text is brought to its end. With
                           OFF max_tokens must be 0 */
    uint32_t reserved;
} transformer_constraint_options;

/* From here on the sequence's tokens are a text of the grammar: whatever samples for it chooses
 * among the tokens that go on with such a text, before all else that a sampler does, and an
 * end-of-generation token exactly where the text may end. A token's text is what
 * transformer_token_text gives; control tokens are no text. Tokens that are appended count as text
 * too: where they are none of the grammar, sampling fails with STATE until they are truncated away.
 * Where the text was ended by an end token, what follows it is free.
 *
 * The grammar is kept alive by the sequence, and the constraint by its forks; truncating to less
 * than what there was at this call lifts it, and so does grammar NULL. A second call replaces it.
 *
 * INVALID_ARGUMENT  the grammar is another model's.
 * LIMIT             with close: no text fits max_tokens for sure; the message tells how many would
 * do. */
TRANSFORMER_API transformer_status
transformer_sequence_constrain(transformer_sequence *sequence, transformer_grammar *grammar,
                               const transformer_constraint_options *options);

/* ---- the ten-line program ---- */

typedef struct transformer_generate_options {
    uint64_t struct_size;
    const char *prompt;    /* UTF-8 */
    int64_t prompt_length; /* bytes; 0: up to the NUL */
    const int32_t *tokens; /* or [n_tokens] instead of prompt */
    int64_t n_tokens;
    const transformer_sampler_options *sampler; /* NULL: greedy */
    int64_t max_tokens;     /* generated ones; 0: until the model ends or the context is full */
    uint32_t add_special;   /* as in transformer_tokenize_options */
    uint32_t parse_special; /* likewise */
    const int32_t *answer;  /* [n_answer] of an encoder-decoder, whose source the prompt is: tokens
                               after its start token, the language to translate into say */
    int64_t n_answer;
    const char *const *stop; /* [n_stop], or NULL: strings that end the text, as in
                                transformer_text_stream_options; on_text gets what is before */
    int64_t n_stop;
    uint32_t lookup_tokens; /* as in transformer_sequence_options */
    uint32_t reserved;
    transformer_context *draft;   /* NULL, or: of a smaller model of the same vocabulary, which
                                     proposes tokens; used as this call's context is, and not the same
                                     one. The text is the same as without */
    transformer_grammar *grammar; /* NULL, or: the generated text is one of it */
    const transformer_constraint_options *constraint; /* NULL, or as in
                                     transformer_sequence_constrain; to be closed within max_tokens
                                     of both, the fewer */
} transformer_generate_options;

enum {
    TRANSFORMER_FINISH_END = 1,     /* the model's end-of-generation token */
    TRANSFORMER_FINISH_LENGTH = 2,  /* max_tokens */
    TRANSFORMER_FINISH_CONTEXT = 3, /* the context is full */
    TRANSFORMER_FINISH_STOPPED = 4, /* on_text said so */
    TRANSFORMER_FINISH_STOP_STRING = 5
};

typedef struct transformer_generate_result {
    uint64_t struct_size;
    int64_t n_prompt_tokens;
    int64_t n_generated_tokens; /* the end token not counted; one that completes a stop string is */
    uint64_t prompt_nanoseconds;   /* until the first token was sampled */
    uint64_t generate_nanoseconds; /* from there on */
    int32_t finish_reason;         /* TRANSFORMER_FINISH_... */
    int32_t reserved;
} transformer_generate_result;

/* Prompt in, text out through a callback: a sequence of its own, tokenized, decoded, sampled, and
 * destroyed at the end.
 *
 * on_text  NULL, or: gets each piece of whole characters, in the thread's own floating-point
 *          environment.
 * result   may be NULL.
 *
 * LIMIT             the prompt doesn't fit the context.
 * STATE             prompt, on_text or stop is given and the model has no tokenizer.
 * INVALID_ARGUMENT  also: draft is the same context, or its model has another vocabulary; the
 *                   message names the first token that differs.
 * Fails as the calls it stands for do. */
TRANSFORMER_API transformer_status transformer_generate(transformer_context *context,
                                                        const transformer_generate_options *options,
                                                        transformer_text_function on_text,
                                                        void *user,
                                                        transformer_generate_result *result);

/* ---- conversations ---- */

/* Frozen for ever. */
typedef struct transformer_chat_message {
    const char *role;    /* "system", "user", "assistant", ...: what the template knows */
    const char *content; /* NULL: none */
} transformer_chat_message;

/* Texts end in a NUL. Invalid UTF-8 in a message becomes U+FFFD; in JSON it is an error. */
typedef struct transformer_chat_options {
    uint64_t struct_size;
    const transformer_chat_message *messages; /* [n_messages] */
    int64_t n_messages;
    const char *messages_json; /* or: a JSON array of objects, for tool calls and content of several
                                  parts */
    const char *tools_json;    /* NULL, or: a JSON array of what the model may call */
    const char *documents_json; /* NULL, or: a JSON array of documents */
    const char *variables_json; /* NULL, or: a JSON object of more variables for the template,
                                   {"enable_thinking":false} say; they come before the others */
    const char *template_name;  /* NULL: the model's template, with tools_json the one for tools if
                                   it has one; or NAME of its tokenizer.chat_template.NAME */
    const char *template_text;  /* or: a template of your own */
    int64_t local_time; /* what strftime_now tells: seconds from 1970-01-01 00:00 to the date and
                           time of day where you are; 0: templates don't get this function and use
                           the date that they name themselves, if any */
    uint32_t add_generation_prompt; /* mode, default ON: end with what begins the model's answer */
    uint32_t reserved;
} transformer_chat_options;

/* Messages as the prompt that the model's own chat template makes of them, or yours. The template
 * is a program in Jinja's language, of which this library has what chat templates use; it reaches
 * nothing but what is given here and the texts of the model's special tokens. The prompt has these
 * tokens written out: tokenize it with add_special OFF and parse_special ON. buffer, capacity,
 * length as in _metadata.
 *
 * NOT_FOUND         the model has no template, or none of this name.
 * INVALID_ARGUMENT  the template refuses the messages, its own words are the message; or JSON is
 * broken, the message tells where.
 * FORMAT            the template is wrong, or asks of the messages what they don't have; the
 * message tells the line.
 * UNSUPPORTED       the template uses what this library doesn't have; the message names it.
 * LIMIT             it took more than 50 million steps, 256 MiB of memory or 64 MiB of text, or
 * nests too deep. */
TRANSFORMER_API transformer_status transformer_chat_format(const transformer_model *model,
                                                           const transformer_chat_options *options,
                                                           char *buffer, int64_t capacity,
                                                           int64_t *length);

#ifdef __cplusplus
}
#endif

#endif
