/* LoRA adapters (arXiv:2106.09685) as PEFT writes them, under the names that GGUF adapters have. */
#include <stdio.h>
#include <string.h>

#include "format/hf.h"

/* ---- adapter_config.json ---- */

enum member_use {
    MEMBER_ANY,   /* nothing about the forward pass, or the tensors tell it */
    MEMBER_EMPTY, /* null, false, {}, [] */
    MEMBER_WORD   /* one of `words` */
};

static const struct member {
    const char *name;
    enum member_use use;
    const char *words;
} members[] = {
    {"peft_type", MEMBER_WORD, "LORA"},
    {"bias", MEMBER_WORD, "none"},
    {"init_lora_weights", MEMBER_WORD, "true|false|gaussian|eva|orthogonal"},
    {"alpha_pattern", MEMBER_EMPTY, NULL},
    {"alora_invocation_tokens", MEMBER_EMPTY, NULL},
    {"arrow_config", MEMBER_EMPTY, NULL},
    {"ensure_weight_tying", MEMBER_EMPTY, NULL},
    {"kasa_config", MEMBER_EMPTY, NULL},
    {"layer_replication", MEMBER_EMPTY, NULL},
    {"lora_bias", MEMBER_EMPTY, NULL},
    {"megatron_config", MEMBER_EMPTY, NULL},
    {"modules_to_save", MEMBER_EMPTY, NULL},
    {"monteclora_config", MEMBER_EMPTY, NULL},
    {"target_parameters", MEMBER_EMPTY, NULL},
    {"trainable_token_indices", MEMBER_EMPTY, NULL},
    {"use_bdlora", MEMBER_EMPTY, NULL},
    {"use_dora", MEMBER_EMPTY, NULL},
    {"use_qalora", MEMBER_EMPTY, NULL},
    {"velora_config", MEMBER_EMPTY, NULL},
    {"auto_mapping", MEMBER_ANY, NULL},
    {"base_model_name_or_path", MEMBER_ANY, NULL},
    {"corda_config", MEMBER_ANY, NULL},
    {"eva_config", MEMBER_ANY, NULL},
    {"exclude_modules", MEMBER_ANY, NULL},
    {"fan_in_fan_out", MEMBER_ANY, NULL},
    {"inference_mode", MEMBER_ANY, NULL},
    {"layers_pattern", MEMBER_ANY, NULL},
    {"layers_to_transform", MEMBER_ANY, NULL},
    {"loftq_config", MEMBER_ANY, NULL},
    {"lora_alpha", MEMBER_ANY, NULL},
    {"lora_dropout", MEMBER_ANY, NULL},
    {"lora_ga_config", MEMBER_ANY, NULL},
    {"megatron_core", MEMBER_ANY, NULL},
    {"peft_version", MEMBER_ANY, NULL},
    {"qalora_group_size", MEMBER_ANY, NULL},
    {"r", MEMBER_ANY, NULL},
    {"rank_pattern", MEMBER_ANY, NULL},
    {"revision", MEMBER_ANY, NULL},
    {"runtime_config", MEMBER_ANY, NULL},
    {"target_modules", MEMBER_ANY, NULL},
    {"task_type", MEMBER_ANY, NULL},
    {"use_rslora", MEMBER_ANY, NULL},
};

static bool is_word(const struct json_value *value, const char *words) {
    for (;;) {
        size_t n = strcspn(words, "|");
        if (n && n == value->text.length && memcmp(words, value->text.data, n) == 0) return true;
        if (!words[n]) return false;
        words += n + 1;
    }
}

static bool is_empty(const struct json_value *value) {
    if (value->kind == JSON_NULL || value->kind == JSON_FALSE) return true;
    if (value->kind != JSON_OBJECT && value->kind != JSON_ARRAY) return false;
    for (size_t i = 1; i + 1 < value->text.length; i++)
        if (!strchr(" \t\r\n", value->text.data[i])) return false;
    return true;
}

static status check_member(const struct hf_config *config, const struct hf_member *given) {
    for (size_t i = 0; i < sizeof members / sizeof *members; i++) {
        const struct member *member = &members[i];
        if (strcmp(member->name, given->name.data) != 0) continue;
        if (member->use == MEMBER_ANY || is_empty(&given->value)) return OK;
        if (member->use == MEMBER_WORD && is_word(&given->value, member->words)) return OK;
        return hf_config_refuse(config, member->name, &given->value);
    }
    if (given->value.kind == JSON_NULL) return OK;
    return hf_config_refuse(config, given->name.data, &given->value);
}

status hf_adapter_metadata(struct hf *hf) {
    const struct hf_config *config = &hf->config;
    double alpha;
    for (size_t i = 0; i < config->count; i++) TRY(check_member(config, &config->items[i]));
    const struct json_value *type = hf_config_value(config, "peft_type");
    if (!type) return fail(FORMAT, "%s: key 'peft_type' is missing", config->file);
    TRY(hf_config_number(config, "lora_alpha", NULL, &alpha));
    const struct json_value *rooted = hf_config_value(config, "use_rslora");
    TRY(hf_metadata_whole_text(hf, "general.type", "adapter"));
    TRY(hf_metadata_whole_text(hf, "adapter.type", "lora"));
    TRY(hf_metadata_whole_f32(hf, "adapter.lora.alpha", (float)alpha));
    return hf_metadata_whole_f32(hf, "adapter.lora.rank_power",
                                 rooted && rooted->kind == JSON_TRUE ? 0.5f : 1.0f);
}

/* ---- names ---- */

static status fail_name(const struct hf *hf, const struct tensor *tensor, const char *what) {
    return fail(UNSUPPORTED, "%s: tensor '%.*s' %s", hf->parts[tensor->part].file.name,
                tensor->name.length < 200 ? (int)tensor->name.length : 200, tensor->name.data,
                what);
}

/* base_model.model.MODULE.lora_A.weight to TARGET.lora_a, TARGET being the name of the module's
 * weight. */
static status rename_one(struct hf *hf, const struct hf_family *const *families, size_t n_families,
                         const struct hf_base *base, size_t index) {
    static const char begin[] = "base_model.model.", end_a[] = ".lora_A.weight",
                      end_b[] = ".lora_B.weight";
    struct tensor *tensor = &hf->tables.tensors.items[index];
    struct text name = tensor->name;
    size_t n_begin = sizeof begin - 1, n_end = sizeof end_a - 1;
    char module[512], target[160];
    bool a = name.length > n_end && memcmp(name.data + name.length - n_end, end_a, n_end) == 0;
    bool b = name.length > n_end && memcmp(name.data + name.length - n_end, end_b, n_end) == 0;
    if ((!a && !b) || name.length < n_begin + n_end || memcmp(name.data, begin, n_begin) != 0 ||
        name.length > sizeof module - 8)
        return fail_name(hf, tensor, "is none of a linear layer's LoRA");
    if (!hf->tables.dtypes[index]->readable || tensor->n_dims != 2)
        return fail_name(hf, tensor, "is no matrix of floats");
    size_t n = name.length - n_begin - n_end;
    memcpy(module, name.data + n_begin, n);
    memcpy(module + n, ".weight", 8);
    const struct hf_family *family = NULL;
    bool by_groups = false;
    for (size_t i = 0; !family && i < n_families; i++)
        if (hf_tensors_target(families[i], module, base->n_layers, target, sizeof target,
                              &by_groups))
            family = families[i];
    if (!family && strstr(module, ".experts."))
        return fail_name(hf, tensor, "is of experts, whose adapters are not supported");
    if (!family) return fail_name(hf, tensor, "is of a layer that the model has no matrix for");
    /* The rows of B are those of W. */
    if (b && by_groups) TRY(hf_tensors_group(hf, tensor, base->n_heads, base->n_kv_heads));
    bool rotated = strstr(target, ".attn_q.weight") || strstr(target, ".attn_k.weight");
    if (b && rotated && family->pairing && base->interleaves) {
        int64_t head_dim = base->head_dim;
        if (head_dim < 2 || head_dim % 2 != 0 || tensor->dims[1] % head_dim != 0)
            return fail_name(hf, tensor, "has rows that are no whole heads");
        tensor->head_rows = head_dim;
    }
    size_t length = strlen(target);
    void *kept;
    TRY(arena_take(&hf->arena, length + 7, "tensors' names", &kept));
    memcpy(kept, target, length);
    memcpy((char *)kept + length, a ? ".lora_a" : ".lora_b", 7);
    tensor->name = (struct text){kept, length + 7};
    return hf_tensors_convert(tensor);
}

status hf_adapter_rename(struct hf *hf, const struct hf_base *base) {
    enum { MOST = 64 };
    const struct hf_family *families[MOST];
    size_t n = base->family ? 1
                            : hf_families_of(base->architecture.data, base->architecture.length,
                                             families, MOST);
    if (base->family) families[0] = base->family;
    for (size_t i = 0; i < hf->tables.tensors.count; i++) TRY(rename_one(hf, families, n, base, i));
    return OK;
}
