/* A model file, whatever its format: a table of metadata and a table of named tensor views. Nothing
 * above knows formats. */
#ifndef FORMAT_CHECKPOINT_H
#define FORMAT_CHECKPOINT_H

#include "base/checksum.h"
#include "base/log.h"
#include "base/memory.h"
#include "quant/weight_type.h"

struct checkpoint;

struct checkpoint_options {
    const char *path; /* a GGUF file; or a Hugging Face folder, or a file in it: hf.h */
    const void *data; /* or bytes in memory */
    size_t data_size;
    const transformer_reader *reader; /* or through this */
    bool read;                        /* read files instead of mapping them */
    bool copy; /* data is gone after open: what is still needed (the head with its metadata) is
                  copied */
    struct log log;
    const struct checkpoint *adapter_of; /* it is an adapter of this model: a GGUF file, or a PEFT
                                            folder, or a file in it; only needed while it opens */
};

/* Opens and validates the head of every part. Metadata and names stay valid until checkpoint_close;
 * bytes of tensors can be had until checkpoint_finish_loading. */
status checkpoint_open(struct memory *memory, const struct checkpoint_options *options,
                       struct checkpoint **checkpoint);
/* All weights are loaded: closes files, lets go of mapped tensor pages and read buffers. Metadata
 * stays. */
void checkpoint_finish_loading(struct checkpoint *checkpoint);
void checkpoint_close(struct checkpoint *checkpoint); /* NULL does nothing */

const char *
checkpoint_name(const struct checkpoint *checkpoint); /* for messages: the path, or "memory" */
const char *checkpoint_format(const struct checkpoint *checkpoint); /* "GGUF v3" */
uint64_t checkpoint_file_bytes(const struct checkpoint *checkpoint);
uint64_t checkpoint_mapped_bytes(const struct checkpoint *checkpoint); /* 0 unless mapped */

/* The bytes of another file of a Hugging Face folder, "tokenizer.json" say, in a block of `memory`
 * that the caller gives back; before checkpoint_finish_loading. A GGUF file may have some in its
 * metadata. NOT_FOUND  there is no such file. LIMIT  it has more than `most` bytes. */
status checkpoint_read_file(struct checkpoint *checkpoint, const char *name, uint64_t most,
                            struct memory *memory, void **bytes, size_t *size);

/* The files that a GGUF file may have, and the key of each. */
struct checkpoint_embedded {
    const char *file, *key;
};
extern const struct checkpoint_embedded checkpoint_embedded[];
extern const size_t checkpoint_n_embedded;

/* ---- metadata ---- */

/* Metadata that is in no file: the table's items become the checkpoint's, keys and values stay the
 * caller's, and `name` too. */
struct metadata_table;
status checkpoint_of_metadata(struct memory *memory, const char *name, struct metadata_table *table,
                              struct checkpoint **checkpoint);

enum metadata_kind {
    METADATA_U8,
    METADATA_I8,
    METADATA_U16,
    METADATA_I16,
    METADATA_U32,
    METADATA_I32,
    METADATA_F32,
    METADATA_BOOL,
    METADATA_STRING,
    METADATA_ARRAY,
    METADATA_U64,
    METADATA_I64,
    METADATA_F64
}; /* GGUF's own numbering */

struct text { /* bytes, not NUL-terminated */
    const char *data;
    size_t length;
};

struct metadata {
    struct text key;
    enum metadata_kind kind;
    enum metadata_kind element; /* of an array; never ARRAY */
    uint64_t count;             /* elements of an array, else 1 */
    const uint8_t *values; /* little-endian, unaligned, packed; strings as u64 length + bytes */
};

/* NULL: no such key. */
const struct metadata *checkpoint_metadata(const struct checkpoint *checkpoint, const char *key);
/* In the file's order; NULL past the end. */
const struct metadata *checkpoint_metadata_at(const struct checkpoint *checkpoint, size_t index);

/* A key's value, converted from any numeric kind that holds it exactly. *found tells whether the
 * key is there (may be NULL: then a missing key is FORMAT naming it). A value of a wrong kind or
 * out of the type's range is FORMAT naming key and file. The out parameter is untouched when the
 * key is missing. */
status checkpoint_read_i64(const struct checkpoint *checkpoint, const char *key, bool *found,
                           int64_t *value);
status checkpoint_read_f32(const struct checkpoint *checkpoint, const char *key, bool *found,
                           float *value);
status checkpoint_read_bool(const struct checkpoint *checkpoint, const char *key, bool *found,
                            bool *value);
status checkpoint_read_text(const struct checkpoint *checkpoint, const char *key, bool *found,
                            struct text *value);
/* Of `values`. */
size_t checkpoint_value_bytes(const struct metadata *entry);
/* An array of numbers: element i; the caller has checked i < count. FORMAT if it isn't numeric. */
status checkpoint_array_i64(const struct checkpoint *checkpoint, const struct metadata *array,
                            uint64_t index, int64_t *value);
status checkpoint_array_f32(const struct checkpoint *checkpoint, const struct metadata *array,
                            uint64_t index, float *value);
/* Walks an array of strings. cursor starts at array->values; each call returns one string and moves
 * on. The array was validated at open, so this cannot fail within count. */
struct text checkpoint_next_string(const uint8_t **cursor);

/* ---- tensors ---- */

/* How a tensor's elements are stored, if not as its type says; then checkpoint_data converts. */
enum tensor_form {
    TENSOR_AS_IS,
    TENSOR_F64,
    TENSOR_F32,
    TENSOR_F16,
    TENSOR_BF16,
    /* In no file: row p has sin(p f) for each frequency f, then cos(p f), arXiv:1706.03762. Of n /
     * 2 frequencies number i is 10000^(-2 i / n), or with the ends 10000^(-2 i / (n - 2)). */
    TENSOR_SINUSOID,
    TENSOR_SINUSOID_ENDS,
    TENSOR_CODES /* with scales in tensors of their own: tensor_codes.h */
};
struct tensor_codes;
struct tensor;

/* A stack of matrices that are parts of the blocks of rows of one matrix: of block i the rows from
 * `first` on. Such a tensor is read by whole rows. */
struct tensor_blocks {
    int64_t rows, first;         /* rows of a block; 0: the tensor is as it lies in the file */
    bool transposed;             /* each part, whose rows then are columns of the file's */
    const struct tensor *source; /* that matrix */
};

/* Where the rows of a tensor are stored, if not one after the other. A vector's rows are of one
 * element each. All zero: they are. Types of single elements only, and codes if not transposed. */
struct tensor_layout {
    /* Transposed: [cols][stored_rows], a column of which is a row. 0: not. */
    int64_t stored_rows;
    /* n_groups groups, each of them with parts[0] rows, then parts[1], then parts[2]; the tensor
     * has the first parts of all groups, then their second, then their third. 0: not. */
    int64_t n_groups, parts[3];
    int64_t first_row; /* stored rows, in this order, before the tensor's first: of a view */
};

struct tensor {
    struct text name;
    enum weight_type type;
    enum tensor_form form;
    float add;                        /* to each element of a tensor that is converted */
    const struct tensor_codes *codes; /* of TENSOR_CODES */
    struct tensor_layout layout;
    int64_t head_rows; /* rows of a head, elements of a vector: the second half of them is to lie
                          between those of the first; 0: as they are */
    bool quantized;    /* what all this gives is of type `natural`, and is quantized to `type` */
    enum weight_type natural;
    int n_dims;
    int64_t dims[4]; /* dims[0] is the contiguous one: a weight's input size; unused ones are 1 */
    uint64_t offset; /* in its part's file */
    uint64_t bytes;  /* of its type */
    int part;
    struct tensor_blocks blocks;
    /* Of a tensor whose matrices (or vectors) [n_slices] don't lie one after the other: each as a
     * tensor of its own, all of one shape and type. Offset and part are then the first one's. NULL:
     * they do. */
    struct tensor *slices;
    int64_t n_slices;
};

/* The matrices become tensors of this type, which can be quantized to, or of one near it:
 * weight_choice.h. Before anything has looked at the tensors. */
void checkpoint_quantize(struct checkpoint *checkpoint, enum weight_type type);

size_t checkpoint_tensor_count(const struct checkpoint *checkpoint);
const struct tensor *checkpoint_tensor_at(const struct checkpoint *checkpoint, size_t index);
/* NULL: no such tensor. */
const struct tensor *checkpoint_tensor(const struct checkpoint *checkpoint, const char *name);
/* Whether a stack that is transposed keeps the type, because each element stands alone; else its
 * elements are F32. */
bool checkpoint_transposes(enum weight_type type);
/* Bytes [offset, offset + n) of a tensor: a pointer into the mapped file or the caller's data, or
 * scratch [n] after reading or converting into it; whole elements of a tensor that is converted to
 * F32 from another float, else whole rows. */
status checkpoint_data(struct checkpoint *checkpoint, const struct tensor *tensor, uint64_t offset,
                       size_t n, void *scratch, const void **data);
/* For a backend that loads tensor number `id` of its list, whole and front to back: the same bytes,
 * which are counted into the checksum of what the tensor has if there is room for these. */
status checkpoint_load(struct checkpoint *checkpoint, int id, const struct tensor *tensor,
                       uint64_t offset, size_t n, void *scratch, const void **data);
/* Room for the checksums of n tensors; given back by checkpoint_finish_loading. */
status checkpoint_reserve_checksums(struct checkpoint *checkpoint, int n);
/* Of tensor `id`, which was loaded whole. */
struct checksum checkpoint_checksum(const struct checkpoint *checkpoint, int id);
/* These bytes won't be asked for again: their pages may go. */
void checkpoint_drop(struct checkpoint *checkpoint, const struct tensor *tensor, uint64_t offset,
                     size_t n);

#endif
