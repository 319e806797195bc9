#include "format/hf_quantized.h"

#include <stdio.h>
#include <string.h>

#include "base/checked.h"
#include "base/map.h"
#include "format/hf.h"
#include "format/tensor_codes.h"

/* ---- quantization_config ---- */

/* Members of the object, by what they may say. Those that no table has are refused: they may change
 * the arithmetic. */
enum member_use {
    MEMBER_ANY,   /* nothing about the arithmetic, or the tensors themselves tell it */
    MEMBER_MUST,  /* one of the words in `words`, or null */
    MEMBER_EMPTY, /* null, false, {} or [] */
    MEMBER_BITS,
    MEMBER_GROUP,
    MEMBER_BLOCK,
    MEMBER_GROUPS, /* compressed-tensors' config_groups */
    MEMBER_ZERO    /* GPTQ's checkpoint_format: "gptq" has zeros less 1 */
};

struct member {
    const char *name;
    enum member_use use;
    const char *words;
};

#define END \
    { NULL, MEMBER_ANY, NULL }

static const struct member awq_members[] = {{"bits", MEMBER_BITS, NULL},
                                            {"w_bit", MEMBER_BITS, NULL},
                                            {"group_size", MEMBER_GROUP, NULL},
                                            {"q_group_size", MEMBER_GROUP, NULL},
                                            {"version", MEMBER_MUST, "gemm|GEMM"},
                                            {"format", MEMBER_MUST, "gemm|GEMM"},
                                            {"zero_point", MEMBER_MUST, "true"},
                                            {"sym", MEMBER_ANY, NULL},
                                            {"backend", MEMBER_ANY, NULL},
                                            {"do_fuse", MEMBER_ANY, NULL},
                                            {"exllama_config", MEMBER_ANY, NULL},
                                            {"fuse_max_seq_len", MEMBER_ANY, NULL},
                                            {"modules_to_fuse", MEMBER_ANY, NULL},
                                            {"modules_to_not_convert", MEMBER_ANY, NULL},
                                            END};

static const struct member gptq_members[] = {
    {"bits", MEMBER_BITS, NULL},
    {"group_size", MEMBER_GROUP, NULL},
    {"checkpoint_format", MEMBER_ZERO, NULL},
    {"format", MEMBER_ZERO, NULL},
    {"desc_act", MEMBER_ANY, NULL},
    {"act_group_aware", MEMBER_ANY, NULL},
    {"sym", MEMBER_ANY, NULL},
    {"dynamic", MEMBER_EMPTY, NULL},
    {"adapter", MEMBER_EMPTY, NULL},
    {"is_marlin_format", MEMBER_EMPTY, NULL},
    {"pack_dtype", MEMBER_MUST, "int32"},
    {"rotation", MEMBER_EMPTY, NULL},
    {"backend", MEMBER_ANY, NULL},
    {"batch_size", MEMBER_ANY, NULL},
    {"block_name_to_quantize", MEMBER_ANY, NULL},
    {"cache_block_outputs", MEMBER_ANY, NULL},
    {"damp_percent", MEMBER_ANY, NULL},
    {"dataset", MEMBER_ANY, NULL},
    {"disable_exllama", MEMBER_ANY, NULL},
    {"exllama_config", MEMBER_ANY, NULL},
    {"lm_head", MEMBER_ANY, NULL},
    {"max_input_length", MEMBER_ANY, NULL},
    {"meta", MEMBER_ANY, NULL},
    {"model_file_base_name", MEMBER_ANY, NULL},
    {"model_name_or_path", MEMBER_ANY, NULL},
    {"model_seqlen", MEMBER_ANY, NULL},
    {"module_name_preceding_first_block", MEMBER_ANY, NULL},
    {"modules_in_block_to_quantize", MEMBER_ANY, NULL},
    {"modules_to_not_convert", MEMBER_ANY, NULL},
    {"offload_to_disk", MEMBER_ANY, NULL},
    {"offload_to_disk_path", MEMBER_ANY, NULL},
    {"pad_token_id", MEMBER_ANY, NULL},
    {"static_groups", MEMBER_ANY, NULL},
    {"tokenizer", MEMBER_ANY, NULL},
    {"true_sequential", MEMBER_ANY, NULL},
    {"use_cuda_fp16", MEMBER_ANY, NULL},
    {"use_exllama", MEMBER_ANY, NULL},
    END};

/* What a module's weights are is told by the dtypes and shapes of its tensors. */
static const struct member compressed_members[] = {
    {"format", MEMBER_MUST,
     "dense|float-quantized|int-quantized|naive-quantized|pack-quantized|mixed-precision"},
    {"config_groups", MEMBER_GROUPS, NULL},
    {"ignore", MEMBER_ANY, NULL},
    {"kv_cache_scheme", MEMBER_ANY, NULL},
    {"global_compression_ratio", MEMBER_ANY, NULL},
    {"quantization_status", MEMBER_MUST, "compressed|frozen"},
    {"sparsity_config", MEMBER_EMPTY, NULL},
    {"transform_config", MEMBER_EMPTY, NULL},
    {"version", MEMBER_ANY, NULL},
    {"run_compressed", MEMBER_ANY, NULL},
    END};

static const struct member fp8_members[] = {{"fmt", MEMBER_MUST, "e4m3|float8_e4m3fn"},
                                            {"weight_block_size", MEMBER_BLOCK, NULL},
                                            {"activation_scheme", MEMBER_ANY, NULL},
                                            {"activation_scale_ub", MEMBER_ANY, NULL},
                                            {"scale_fmt", MEMBER_ANY, NULL},
                                            {"dequantize", MEMBER_ANY, NULL},
                                            {"modules_to_not_convert", MEMBER_ANY, NULL},
                                            {"ignored_layers", MEMBER_ANY, NULL},
                                            END};

static const struct member mxfp4_members[] = {
    {"dequantize", MEMBER_ANY, NULL}, {"modules_to_not_convert", MEMBER_ANY, NULL}, END};

static const struct method {
    const char *name;
    enum hf_quantization method;
    const struct member *members;
} methods[] = {
    {"awq", HF_QUANTIZATION_AWQ, awq_members},
    {"gptq", HF_QUANTIZATION_GPTQ, gptq_members},
    {"compressed-tensors", HF_QUANTIZATION_COMPRESSED, compressed_members},
    {"fp8", HF_QUANTIZATION_FP8, fp8_members},
    {"fbgemm_fp8", HF_QUANTIZATION_FP8, fp8_members},
    {"mxfp4", HF_QUANTIZATION_MXFP4, mxfp4_members},
};

static status refuse(const struct hf *hf, struct text name, const struct json_value *value) {
    return fail(UNSUPPORTED, "%s: key 'quantization_config.%.*s' is %.*s, which is not supported",
                hf->config.file, name.length < 60 ? (int)name.length : 60, name.data,
                value->text.length < 60 ? (int)value->text.length : 60, value->text.data);
}

static bool is_word(const struct json_value *value, const char *words) {
    for (;;) {
        size_t n = strcspn(words, "|");
        if (n && n == value->text.length && memcmp(words, value->text.data, n) == 0) return true;
        if (!words[n]) return false;
        words += n + 1;
    }
}

/* {} and [], with white space in them or not. */
static bool is_empty(const struct json_value *value) {
    if (value->kind == JSON_NULL || value->kind == JSON_FALSE) return true;
    if (value->kind != JSON_OBJECT && value->kind != JSON_ARRAY) return false;
    for (size_t i = 1; i + 1 < value->text.length; i++)
        if (!strchr(" \t\r\n", value->text.data[i])) return false;
    return true;
}

/* [rows, columns]; all that has blocks has the same. */
static status read_block(struct hf *hf, struct text name, const struct json_value *value) {
    struct hf_quantized *quantized = &hf->quantized;
    struct json json = {.file = hf->config.file,
                        .bytes = (const uint8_t *)value->text.data,
                        .size = value->text.length};
    int64_t sizes[2];
    struct json_value part;
    bool first = true, more;
    if (value->kind != JSON_ARRAY) return refuse(hf, name, value);
    TRY(json_read(&json, &part));
    for (int i = 0; i < 3; i++) {
        TRY(json_element(&json, &first, &more));
        if (more != (i < 2)) return refuse(hf, name, value);
        if (!more) break;
        TRY(json_read(&json, &part));
        if (!json_to_i64(&part, &sizes[i]) || sizes[i] < 1 || sizes[i] > 65536)
            return refuse(hf, name, value);
    }
    if (quantized->block_rows &&
        (quantized->block_rows != sizes[0] || quantized->block_cols != sizes[1]))
        return refuse(hf, name, value);
    quantized->block_rows = sizes[0];
    quantized->block_cols = sizes[1];
    return OK;
}

/* The member of an object, a JSON_NULL if it has none. */
static status find_member(const struct hf *hf, const struct json_value *object, const char *name,
                          struct json_value *found) {
    struct json json = {.file = hf->config.file,
                        .bytes = (const uint8_t *)object->text.data,
                        .size = object->text.length};
    struct json_value key, value;
    bool first = true, more;
    *found = (struct json_value){.kind = JSON_NULL, .text = {"null", 4}};
    if (object->kind != JSON_OBJECT) return OK;
    TRY(json_read(&json, &value));
    for (;;) {
        TRY(json_member(&json, &first, &more, &key));
        if (!more) return OK;
        TRY(json_read(&json, &value));
        TRY(json_skip(&json, &value));
        if (json_is(&key, name)) *found = value;
    }
}

/* config_groups: of each group's weights the size of blocks. */
static status read_groups(struct hf *hf, struct text name, const struct json_value *object) {
    struct json json = {.file = hf->config.file,
                        .bytes = (const uint8_t *)object->text.data,
                        .size = object->text.length};
    struct json_value key, group, weights, block;
    bool first = true, more;
    if (object->kind != JSON_OBJECT) return refuse(hf, name, object);
    TRY(json_read(&json, &group));
    for (;;) {
        TRY(json_member(&json, &first, &more, &key));
        if (!more) return OK;
        TRY(json_read(&json, &group));
        TRY(json_skip(&json, &group));
        TRY(find_member(hf, &group, "weights", &weights));
        TRY(find_member(hf, &weights, "block_structure", &block));
        if (block.kind != JSON_NULL) TRY(read_block(hf, name, &block));
    }
}

static status read_member(struct hf *hf, const struct member *member, struct text name,
                          const struct json_value *value) {
    struct hf_quantized *quantized = &hf->quantized;
    int64_t number;
    switch (member->use) {
    case MEMBER_ANY:
        return OK;
    case MEMBER_MUST:
        return value->kind == JSON_NULL || is_word(value, member->words) ? OK
                                                                         : refuse(hf, name, value);
    case MEMBER_EMPTY:
        return is_empty(value) ? OK : refuse(hf, name, value);
    case MEMBER_BITS:
        if (!json_to_i64(value, &number) ||
            (number != 4 &&
             (quantized->method != HF_QUANTIZATION_GPTQ || (number != 8 && number != 2))))
            return refuse(hf, name, value);
        quantized->bits = number;
        return OK;
    case MEMBER_GROUP:
        if (!json_to_i64(value, &number) || number < -1 || number == 0)
            return refuse(hf, name, value);
        quantized->group = number;
        return OK;
    case MEMBER_BLOCK:
        return value->kind == JSON_NULL ? OK : read_block(hf, name, value);
    case MEMBER_GROUPS:
        return read_groups(hf, name, value);
    case MEMBER_ZERO:
        if (value->kind == JSON_NULL || json_is(value, "gptq")) return OK;
        if (!json_is(value, "gptq_v2")) return refuse(hf, name, value);
        quantized->zero_add = 0;
        return OK;
    }
    return OK;
}

static status fail_method(const struct hf *hf, const struct json_value *value) {
    if (json_is(value, "bitsandbytes"))
        return fail(UNSUPPORTED,
                    "%s: key 'quantization_config.quant_method' is bitsandbytes, which is not "
                    "supported; save the model with dequantize() of Hugging Face transformers, and "
                    "quantize it with weight_type",
                    hf->config.file);
    return refuse(hf, (struct text){"quant_method", 12}, value);
}

/* Calls for each member of the object but quant_method, which it returns. */
static status walk(struct hf *hf, const struct json_value *object, const struct method *method,
                   struct json_value *name_of_method) {
    struct json json = {.file = hf->config.file,
                        .bytes = (const uint8_t *)object->text.data,
                        .size = object->text.length};
    struct json_value key, value;
    bool first = true, more;
    TRY(json_read(&json, &value));
    for (;;) {
        TRY(json_member(&json, &first, &more, &key));
        if (!more) return OK;
        TRY(json_read(&json, &value));
        TRY(json_skip(&json, &value));
        if (json_is(&key, "quant_method")) {
            *name_of_method = value;
            continue;
        }
        const struct member *member = method ? method->members : NULL;
        while (member && member->name && !json_is(&key, member->name)) member++;
        if (!member) continue;
        if (member->name)
            TRY(read_member(hf, member, key.text, &value));
        else if (value.kind != JSON_NULL)
            return refuse(hf, key.text, &value);
    }
}

status hf_quantized_config(struct hf *hf, const struct json_value *object) {
    struct json_value name = {.kind = JSON_NULL, .text = {"null", 4}};
    const struct method *method = NULL;
    if (object->kind != JSON_OBJECT)
        return fail(FORMAT, "%s: key 'quantization_config' is no object", hf->config.file);
    TRY(walk(hf, object, NULL, &name));
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++)
        if (json_is(&name, methods[i].name)) method = &methods[i];
    if (!method) return fail_method(hf, &name);
    hf->quantized = (struct hf_quantized){.method = method->method, .group = 128};
    if (method->method == HF_QUANTIZATION_AWQ) hf->quantized.bits = 4;
    /* Each field one more, as GPTQModel makes of the first format the second: one addition. */
    if (method->method == HF_QUANTIZATION_GPTQ) hf->quantized.zero_add = 1;
    TRY(walk(hf, object, method, &name));
    if (!hf->quantized.bits && method->method == HF_QUANTIZATION_GPTQ)
        return fail(FORMAT, "%s: key 'quantization_config.bits' is missing", hf->config.file);
    if (hf->quantized.zero_add)
        hf->quantized.zero_add = UINT32_MAX / ((1u << hf->quantized.bits) - 1);
    return OK;
}

/* ---- the tensors ---- */

/* What gathers the tensors of a module: names and shapes as the files have them. */
struct gather {
    struct hf *hf;
    struct map map;
    bool *used; /* [count] it is part of another tensor, or of nothing that is computed here */
};

/* A tensor of the module, NULL if there is none. */
struct part_of {
    const struct tensor *tensor;
    const struct safetensors_dtype *dtype;
};

static const char *name_key(const void *owner, uint32_t index, size_t *length) {
    const struct hf *hf = owner;
    *length = hf->tables.tensors.items[index].name.length;
    return hf->tables.tensors.items[index].name.data;
}

static bool ends_with(struct text name, const char *end) {
    size_t n = strlen(end);
    return name.length > n && memcmp(name.data + name.length - n, end, n) == 0;
}

/* stem + suffix, marked as used. */
static struct part_of find(struct gather *gather, struct text stem, const char *suffix) {
    char name[1100];
    int n = snprintf(name, sizeof name, "%.*s%s", (int)stem.length, stem.data, suffix);
    int64_t at = map_find(&gather->map, gather->hf, name_key, name, (size_t)n);
    if (at < 0) return (struct part_of){NULL, NULL};
    gather->used[at] = true;
    return (struct part_of){&gather->hf->tables.tensors.items[at], gather->hf->tables.dtypes[at]};
}

static status fail_tensor(const struct gather *gather, const struct tensor *tensor,
                          const char *what) {
    return fail(FORMAT, "%s: tensor '%.*s' %s", gather->hf->parts[tensor->part].file.name,
                tensor->name.length < 200 ? (int)tensor->name.length : 200, tensor->name.data,
                what);
}

static bool has_dtype(struct part_of part, const char *name) {
    return strcmp(part.dtype->name, name) == 0;
}

static struct codes_place place_of(struct part_of part) {
    return (struct codes_place){part.tensor->part, part.tensor->offset, part.tensor->bytes};
}

/* dims[1] x dims[0], the latter contiguous. */
static bool has_shape(struct part_of part, int64_t lines, int64_t columns) {
    const struct tensor *tensor = part.tensor;
    return tensor->n_dims == 2 && tensor->dims[0] == columns && tensor->dims[1] == lines;
}

static status take_scales(const struct gather *gather, struct part_of scales, const char *stem_of,
                          const struct tensor *codes_tensor, struct tensor_codes *codes) {
    if (!scales.tensor) return fail_tensor(gather, codes_tensor, stem_of);
    if (!scales.dtype->readable || scales.tensor->form != TENSOR_AS_IS)
        return fail(UNSUPPORTED, "%s: tensor '%.*s' has dtype %s",
                    gather->hf->parts[scales.tensor->part].file.name,
                    scales.tensor->name.length < 200 ? (int)scales.tensor->name.length : 200,
                    scales.tensor->name.data, scales.dtype->name);
    codes->scale_type = scales.tensor->type;
    codes->scales = place_of(scales);
    return OK;
}

/* g_idx, I32 [n_cols]: taken into the arena unless it says column / group. */
static status take_order(struct gather *gather, struct part_of order, struct tensor_codes *codes) {
    struct hf *hf = gather->hf;
    int32_t piece[1024];
    int32_t *groups = NULL;
    bool plain = true;
    if (!order.tensor) return OK;
    if (!has_dtype(order, "I32") || order.tensor->n_dims != 1 ||
        order.tensor->dims[0] != codes->n_cols)
        return fail_tensor(gather, order.tensor, "is no I32 of each column");
    for (int pass = 0; pass < 2; pass++) {
        for (int64_t done = 0; done < codes->n_cols;) {
            int64_t left = codes->n_cols - done, n = left < 1024 ? left : 1024;
            TRY(file_read(&hf->parts[order.tensor->part].file,
                          order.tensor->offset + (uint64_t)done * 4, (size_t)n * 4, piece));
            for (int64_t i = 0; i < n; i++) {
                if (piece[i] < 0 || piece[i] >= codes->n_groups)
                    return fail_tensor(gather, order.tensor, "has no number of a group");
                plain = plain && piece[i] == (done + i) / codes->group;
            }
            if (groups) memcpy(groups + done, piece, (size_t)n * 4);
            done += n;
        }
        if (plain || pass == 1) break;
        void *block;
        TRY(arena_take(&hf->arena, (size_t)codes->n_cols * 4, "the order of columns", &block));
        groups = block;
    }
    codes->groups = groups;
    return OK;
}

/* To hf_tensors.c, a tensor that can be read. */
static const struct safetensors_dtype gathered = {
    .name = "codes", .bits = 8, .readable = true, .form = TENSOR_CODES};

/* The gathered tensor, in place of the module's first. */
static status put(struct gather *gather, size_t index, struct text stem, const char *suffix,
                  const struct tensor_codes *made) {
    struct hf *hf = gather->hf;
    struct tensor *tensor = &hf->tables.tensors.items[index];
    void *block;
    TRY(arena_take(&hf->arena, sizeof *made, "a quantized weight", &block));
    struct tensor_codes *codes = block;
    *codes = *made;
    TRY(tensor_codes_choose(codes, hf->parts));
    size_t length = stem.length + strlen(suffix);
    TRY(arena_take(&hf->arena, length + 1, "tensors' names", &block));
    snprintf(block, length + 1, "%.*s%s", (int)stem.length, stem.data, suffix);
    size_t row_bytes = weight_type_row_bytes(codes->natural, (size_t)codes->n_cols);
    uint64_t bytes;
    if (mul_overflows((uint64_t)codes->n_rows, row_bytes, &bytes) || bytes > INT64_MAX)
        return fail_tensor(gather, tensor, "is larger than 63 bits can count");
    tensor->name = (struct text){block, length};
    tensor->type = codes->natural;
    tensor->form = TENSOR_CODES;
    tensor->codes = codes;
    if (codes->layout != CODES_MXFP4) {
        tensor->n_dims = 2;
        tensor->dims[0] = codes->n_cols;
        tensor->dims[1] = codes->n_rows;
    }
    tensor->bytes = bytes;
    hf->tables.dtypes[index] = &gathered;
    gather->used[index] = false;
    return OK;
}

/* Whether all its bytes are 0. */
static status is_zero(const struct gather *gather, const struct tensor *tensor, bool *all) {
    uint8_t piece[512];
    *all = true;
    for (uint64_t done = 0; *all && done < tensor->bytes; done += sizeof piece) {
        uint64_t left = tensor->bytes - done;
        size_t n = left < sizeof piece ? (size_t)left : sizeof piece;
        TRY(file_read(&gather->hf->parts[tensor->part].file, tensor->offset + done, n, piece));
        for (size_t i = 0; i < n; i++)
            if (piece[i]) *all = false;
    }
    return OK;
}

/* Early releases of AutoGPTQ gave every module a bias, zeros where the model has none. */
static status pass_over_bias(struct gather *gather, struct text stem) {
    char name[1100];
    bool all = false;
    int n = snprintf(name, sizeof name, "%.*s.bias", (int)stem.length, stem.data);
    int64_t at = map_find(&gather->map, gather->hf, name_key, name, (size_t)n);
    if (at < 0 || hf_tensors_has(gather->hf, (struct text){name, (size_t)n})) return OK;
    TRY(is_zero(gather, &gather->hf->tables.tensors.items[at], &all));
    gather->used[at] = all;
    return OK;
}

/* stem.qweight, .qzeros, .scales, .g_idx of AWQ and GPTQ. */
static status gather_transposed(struct gather *gather, size_t index, struct text stem) {
    const struct hf_quantized *quantized = &gather->hf->quantized;
    bool awq = quantized->method == HF_QUANTIZATION_AWQ;
    const struct tensor *tensor = &gather->hf->tables.tensors.items[index];
    struct part_of q = {tensor, gather->hf->tables.dtypes[index]};
    struct part_of zeros = find(gather, stem, ".qzeros"), scales = find(gather, stem, ".scales");
    struct part_of order = find(gather, stem, ".g_idx");
    int64_t per_word = 32 / quantized->bits;
    struct tensor_codes codes = {.layout = awq ? CODES_AWQ : CODES_GPTQ,
                                 .bits = (int)quantized->bits,
                                 .group_rows = 1,
                                 .zero_add = quantized->zero_add,
                                 .codes = place_of(q)};
    if (!has_dtype(q, "I32") || tensor->n_dims != 2 || tensor->dims[0] > INT32_MAX ||
        tensor->dims[1] > INT32_MAX || tensor->bytes == 0)
        return fail_tensor(gather, tensor, "is no I32 matrix");
    codes.n_rows = awq ? tensor->dims[0] * per_word : tensor->dims[0];
    codes.n_cols = awq ? tensor->dims[1] : tensor->dims[1] * per_word;
    codes.group = quantized->group < 0 ? codes.n_cols : quantized->group;
    if (codes.group > codes.n_cols) codes.group = codes.n_cols;
    codes.n_groups = (codes.n_cols + codes.group - 1) / codes.group;
    TRY(take_scales(gather, scales, "has no .scales", tensor, &codes));
    if (!has_shape(scales, codes.n_groups, codes.n_rows))
        return fail_tensor(gather, scales.tensor, "doesn't fit its codes and group_size");
    if (!zeros.tensor) return fail_tensor(gather, tensor, "has no .qzeros");
    if (!has_dtype(zeros, "I32") || codes.n_rows % per_word != 0 ||
        !has_shape(zeros, codes.n_groups, codes.n_rows / per_word))
        return fail_tensor(gather, zeros.tensor, "doesn't fit its codes and group_size");
    codes.zeros = place_of(zeros);
    if (!awq) TRY(take_order(gather, order, &codes));
    TRY(pass_over_bias(gather, stem));
    return put(gather, index, stem, ".weight", &codes);
}

/* Two numbers, I32 or I64: rows, columns. */
static status read_shape(const struct gather *gather, struct part_of shape, int64_t *sizes) {
    uint8_t bytes[16];
    bool wide = has_dtype(shape, "I64");
    if ((!wide && !has_dtype(shape, "I32")) || shape.tensor->bytes != (wide ? 16u : 8u))
        return fail_tensor(gather, shape.tensor, "is no shape of a matrix");
    TRY(file_read(&gather->hf->parts[shape.tensor->part].file, shape.tensor->offset,
                  (size_t)shape.tensor->bytes, bytes));
    for (int i = 0; i < 2; i++) {
        int32_t narrow;
        memcpy(&narrow, bytes + 4 * i, 4);
        sizes[i] = narrow;
        if (wide) memcpy(&sizes[i], bytes + 8 * i, 8);
        if (sizes[i] < 1 || sizes[i] > INT32_MAX)
            return fail_tensor(gather, shape.tensor, "is no shape of a matrix");
    }
    return OK;
}

/* How scales [..][..] lie over the rows and columns: one, one of each row, one of each group of a
 * row, or of each block. */
static status fit_scales(const struct gather *gather, struct part_of scales,
                         struct tensor_codes *codes) {
    const struct hf_quantized *quantized = &gather->hf->quantized;
    int64_t block_rows = quantized->block_rows, block_cols = quantized->block_cols;
    int64_t across = scales.tensor->dims[0], down = scales.tensor->dims[1];
    codes->group = codes->n_cols;
    codes->n_groups = 1;
    if (scales.tensor->n_dims == 1) { /* of the tensor, or of each row */
        down = across;
        across = 1;
    }
    codes->group_rows = down == 1 ? codes->n_rows : 1;
    if (scales.tensor->n_dims > 2) return fail_tensor(gather, scales.tensor, "is no matrix");
    if (across == 1 && (down == 1 || down == codes->n_rows)) return OK;
    if (block_rows && down == (codes->n_rows + block_rows - 1) / block_rows &&
        across == (codes->n_cols + block_cols - 1) / block_cols) {
        codes->group_rows = block_rows;
        codes->group = block_cols;
        codes->n_groups = across;
        return OK;
    }
    if (down == codes->n_rows && across > 0 && codes->n_cols % across == 0) {
        codes->group_rows = 1;
        codes->n_groups = across;
        codes->group = codes->n_cols / across;
        return OK;
    }
    return fail_tensor(gather, scales.tensor, "doesn't fit its weight");
}

/* stem.weight of a byte an element, with stem.weight_scale or .weight_scale_inv, which multiplies
 * too. */
static status gather_bytes(struct gather *gather, size_t index, struct text stem, bool e4m3) {
    const struct tensor *tensor = &gather->hf->tables.tensors.items[index];
    struct part_of scales = find(gather, stem, ".weight_scale_inv");
    if (!scales.tensor) scales = find(gather, stem, ".weight_scale");
    struct part_of zeros = find(gather, stem, ".weight_zero_point");
    struct tensor_codes codes = {
        .layout = e4m3 ? CODES_E4M3 : CODES_INT8,
        .bits = 8,
        .n_cols = tensor->dims[0],
        .n_rows = tensor->dims[1],
        .codes = place_of((struct part_of){tensor, gather->hf->tables.dtypes[index]})};
    if (tensor->n_dims != 2 || tensor->bytes == 0)
        return fail_tensor(gather, tensor, "is no matrix");
    TRY(take_scales(gather, scales, "has no .weight_scale", tensor, &codes));
    TRY(fit_scales(gather, scales, &codes));
    bool all = true;
    if (zeros.tensor) TRY(is_zero(gather, zeros.tensor, &all));
    if (!all)
        return fail(UNSUPPORTED, "%s: tensor '%.*s' has zero points other than 0",
                    gather->hf->parts[zeros.tensor->part].file.name,
                    zeros.tensor->name.length < 200 ? (int)zeros.tensor->name.length : 200,
                    zeros.tensor->name.data);
    return put(gather, index, stem, ".weight", &codes);
}

/* stem.weight_packed, .weight_shape, .weight_scale, .weight_zero_point, .weight_g_idx. */
static status gather_packed(struct gather *gather, size_t index, struct text stem) {
    const struct tensor *tensor = &gather->hf->tables.tensors.items[index];
    struct part_of q = {tensor, gather->hf->tables.dtypes[index]};
    struct part_of scales = find(gather, stem, ".weight_scale");
    struct part_of shape = find(gather, stem, ".weight_shape");
    struct part_of zeros = find(gather, stem, ".weight_zero_point");
    struct part_of order = find(gather, stem, ".weight_g_idx");
    struct tensor_codes codes = {.layout = CODES_ROWS, .codes = place_of(q)};
    int64_t sizes[2] = {0, 0};
    if (!has_dtype(q, "I32") || tensor->n_dims != 2 || tensor->bytes == 0)
        return fail(UNSUPPORTED, "%s: tensor '%.*s' is no matrix of I32",
                    gather->hf->parts[tensor->part].file.name,
                    tensor->name.length < 200 ? (int)tensor->name.length : 200, tensor->name.data);
    if (!shape.tensor) return fail_tensor(gather, tensor, "has no .weight_shape");
    TRY(read_shape(gather, shape, sizes));
    codes.n_rows = sizes[0];
    codes.n_cols = sizes[1];
    for (int bits = 2; bits <= 8; bits *= 2) {
        int64_t per_word = 32 / bits;
        if (tensor->dims[0] == (codes.n_cols + per_word - 1) / per_word) codes.bits = bits;
    }
    if (!codes.bits || tensor->dims[1] != codes.n_rows)
        return fail(UNSUPPORTED, "%s: tensor '%.*s' is not of 2, 4 or 8 bits an element",
                    gather->hf->parts[tensor->part].file.name,
                    tensor->name.length < 200 ? (int)tensor->name.length : 200, tensor->name.data);
    codes.zero = 1 << (codes.bits - 1);
    TRY(take_scales(gather, scales, "has no .weight_scale", tensor, &codes));
    TRY(fit_scales(gather, scales, &codes));
    if (zeros.tensor) {
        int64_t per_word = 32 / codes.bits;
        if (!has_dtype(zeros, "I32") || codes.group_rows != 1 ||
            !has_shape(zeros, (codes.n_rows + per_word - 1) / per_word, codes.n_groups))
            return fail_tensor(gather, zeros.tensor, "doesn't fit its weight");
        codes.zeros = place_of(zeros);
    }
    TRY(take_order(gather, order, &codes));
    return put(gather, index, stem, ".weight", &codes);
}

/* stem_blocks U8 [..., rows][columns / 32][16], stem_scales U8 [..., rows][columns / 32]. */
static status gather_mxfp4(struct gather *gather, size_t index, struct text stem) {
    struct tensor *tensor = &gather->hf->tables.tensors.items[index];
    struct part_of scales = find(gather, stem, "_scales");
    struct part_of q = {tensor, gather->hf->tables.dtypes[index]};
    struct tensor_codes codes = {.layout = CODES_MXFP4, .bits = 4, .group = 32, .group_rows = 1};
    bool fits = scales.tensor && has_dtype(q, "U8") && has_dtype(scales, "U8") &&
                tensor->n_dims >= 3 && tensor->n_dims <= 4 && tensor->dims[0] == 16 &&
                scales.tensor->n_dims == tensor->n_dims - 1 && tensor->bytes > 0;
    for (int i = 1; fits && i < tensor->n_dims; i++)
        fits = tensor->dims[i] == scales.tensor->dims[i - 1];
    if (!fits) return fail_tensor(gather, tensor, "has no _scales that fit it");
    codes.codes = place_of(q);
    codes.scales = place_of(scales);
    codes.n_groups = tensor->dims[1];
    codes.n_cols = tensor->dims[1] * 32;
    codes.n_rows = tensor->dims[2] * tensor->dims[3];
    tensor->n_dims--;
    tensor->dims[0] = codes.n_cols;
    for (int i = 1; i < 3; i++) tensor->dims[i] = tensor->dims[i + 1];
    tensor->dims[3] = 1;
    return put(gather, index, stem, "", &codes);
}

/* Scales of activations and of the cache: everything is computed in this library's own precision.
 */
static bool is_of_activations(struct text name) {
    static const char *const ends[] = {
        ".input_scale",      ".output_scale",      ".k_scale",
        ".v_scale",          ".q_scale",           ".activation_scale",
        ".input_zero_point", ".output_zero_point", ".input_scale_ub"};
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
        if (ends_with(name, ends[i])) return true;
    return false;
}

static status gather_one(struct gather *gather, size_t index) {
    const struct tensor *tensor = &gather->hf->tables.tensors.items[index];
    enum hf_quantization method = gather->hf->quantized.method;
    struct text name = tensor->name, stem = name;
    const char *dtype = gather->hf->tables.dtypes[index]->name;
    bool transposed = method == HF_QUANTIZATION_AWQ || method == HF_QUANTIZATION_GPTQ;
    bool bytes = method == HF_QUANTIZATION_FP8 || method == HF_QUANTIZATION_COMPRESSED;
    bool e4m3 = strcmp(dtype, "F8_E4M3") == 0;
    if (bytes && is_of_activations(name)) {
        gather->used[index] = true;
    } else if (transposed && ends_with(name, ".qweight")) {
        stem.length -= strlen(".qweight");
        return gather_transposed(gather, index, stem);
    } else if (ends_with(name, ".weight") &&
               ((bytes && e4m3) ||
                (method == HF_QUANTIZATION_COMPRESSED && strcmp(dtype, "I8") == 0))) {
        stem.length -= strlen(".weight");
        return gather_bytes(gather, index, stem, e4m3);
    } else if (bytes && ends_with(name, ".weight") && !gather->hf->tables.dtypes[index]->readable) {
        return fail(UNSUPPORTED, "%s: tensor '%.*s' has dtype %s",
                    gather->hf->parts[tensor->part].file.name,
                    name.length < 200 ? (int)name.length : 200, name.data, dtype);
    } else if (bytes && ends_with(name, ".weight_packed")) {
        stem.length -= strlen(".weight_packed");
        return gather_packed(gather, index, stem);
    } else if (method == HF_QUANTIZATION_MXFP4 && ends_with(name, "_blocks")) {
        stem.length -= strlen("_blocks");
        return gather_mxfp4(gather, index, stem);
    }
    return OK;
}

status hf_quantized_gather(struct hf *hf) {
    struct tensor_table *table = &hf->tables.tensors;
    struct gather gather = {.hf = hf};
    if (hf->quantized.method == HF_QUANTIZATION_NONE) return OK;
    map_init(&gather.map, hf->memory);
    status result = MEMORY_TAKE_ARRAY(hf->memory, table->count, "marks of tensors", &gather.used);
    if (result == OK) result = map_reserve(&gather.map, table->count);
    for (size_t i = 0; result == OK && i < table->count; i++) {
        int64_t present;
        result = map_add(&gather.map, hf, name_key, (uint32_t)i, &present);
    }
    for (size_t i = 0; result == OK && i < table->count; i++)
        if (!gather.used[i]) result = gather_one(&gather, i);
    size_t kept = 0;
    for (size_t i = 0; result == OK && i < table->count; i++) {
        if (gather.used[i]) continue;
        table->items[kept] = table->items[i];
        hf->tables.dtypes[kept++] = hf->tables.dtypes[i];
    }
    if (result == OK) table->count = kept;
    map_free(&gather.map);
    memory_give(hf->memory, gather.used);
    return result;
}
