#include <string.h>

#include "base/text_format.h"
#include "grammar/schema.h"

bool schema_text_is(struct text text, const char *other) {
    return text.length == strlen(other) && memcmp(text.data, other, text.length) == 0;
}

bool schema_text_equal(struct text a, struct text b) {
    return a.length == b.length && (a.length == 0 || memcmp(a.data, b.data, a.length) == 0);
}

struct node *schema_member(const struct node *node, const char *key) {
    for (uint32_t i = 0; node->kind == JSON_OBJECT && i < node->n; i++)
        if (schema_text_is(node->keys[i], key)) return node->items[i];
    return NULL;
}

static status unescape(struct schema *schema, const struct json *json,
                       const struct json_value *value, struct text *text) {
    char *buffer;
    size_t length;
    COMPILE_TAKE(schema->compile, value->text.length + 1, &buffer);
    TRY(json_unescape(json, value, buffer, value->text.length, &length));
    *text = (struct text){buffer, length};
    return OK;
}

static status add_node(struct schema *schema, struct node *parent, uint32_t index,
                       struct node **made) {
    COMPILE_TAKE(schema->compile, 1, made);
    COMPILE_GROW(schema->compile, schema->nodes, schema->n_nodes, schema->node_capacity);
    (*made)->id = schema->n_nodes;
    (*made)->parent = parent;
    (*made)->index = index;
    schema->nodes[schema->n_nodes++] = *made;
    return OK;
}

static status read_value(struct schema *schema, struct json *json, struct node *node);

/* A key that is there already has the value that comes last, as JSON's readers have it. */
static status read_members(struct schema *schema, struct json *json, struct node *node) {
    uint32_t capacity = 0, key_capacity = 0;
    bool first = true, more;
    struct json_value key;
    for (;;) {
        TRY(json_member(json, &first, &more, &key));
        if (!more) return OK;
        struct text text;
        uint32_t at = 0;
        TRY(unescape(schema, json, &key, &text));
        TRY(compile_work(schema->compile, node->n));
        while (at < node->n && !schema_text_equal(node->keys[at], text)) at++;
        if (at == node->n) {
            COMPILE_GROW(schema->compile, node->items, node->n, capacity);
            COMPILE_GROW(schema->compile, node->keys, node->n, key_capacity);
            node->keys[node->n++] = text;
        }
        TRY(add_node(schema, node, at, &node->items[at]));
        TRY(read_value(schema, json, node->items[at]));
    }
}

static status read_elements(struct schema *schema, struct json *json, struct node *node) {
    uint32_t capacity = 0;
    bool first = true, more;
    for (;;) {
        TRY(json_element(json, &first, &more));
        if (!more) return OK;
        COMPILE_GROW(schema->compile, node->items, node->n, capacity);
        TRY(add_node(schema, node, node->n, &node->items[node->n]));
        node->n++;
        TRY(read_value(schema, json, node->items[node->n - 1]));
    }
}

static status read_value(struct schema *schema, struct json *json, struct node *node) {
    struct json_value value;
    TRY(json_read(json, &value));
    node->kind = value.kind;
    node->text = value.text;
    if (value.kind == JSON_STRING) return unescape(schema, json, &value, &node->text);
    if (value.kind == JSON_OBJECT) return read_members(schema, json, node);
    return value.kind == JSON_ARRAY ? read_elements(schema, json, node) : OK;
}

static status read_all(struct schema *schema, const char *text, size_t length) {
    struct json json = {.file = "json_schema", .bytes = (const uint8_t *)text, .size = length};
    TRY(add_node(schema, NULL, 0, &schema->root));
    TRY(read_value(schema, &json, schema->root));
    return json_end(&json);
}

status schema_read_document(struct schema *schema, const char *text, size_t length) {
    status result = read_all(schema, text, length);
    if (result == FORMAT) {
        char why[STATUS_TEXT_BYTES];
        status_save(why);
        return fail(INVALID_ARGUMENT, "%s", why);
    }
    TRY(result);
    const struct node *draft = schema_member(schema->root, "$schema");
    static const char *const old[] = {"draft-07", "draft-06", "draft-04", "draft-03"};
    for (size_t i = 0; draft && draft->kind == JSON_STRING && i < sizeof old / sizeof *old; i++)
        for (size_t at = 0; at + 8 <= draft->text.length; at++)
            if (memcmp(draft->text.data + at, old[i], 8) == 0) schema->old_refs = true;
    struct node *always;
    TRY(add_node(schema, NULL, 0, &always));
    always->kind = JSON_TRUE;
    schema->always = literal_of(LITERAL_SCHEMA, always, false);
    COMPILE_TAKE(schema->compile, schema->n_nodes, &schema->patterns);
    return OK;
}

/* ---- messages ---- */

static size_t write_pointer(const struct node *node, char *buffer, size_t size) {
    if (!node->parent) return 0;
    size_t n = write_pointer(node->parent, buffer, size);
    if (node->parent->kind == JSON_ARRAY)
        return n + text_format(buffer + n, size - n, "/%" PRIu32, node->index);
    struct text key = node->parent->keys[node->index];
    n += text_format(buffer + n, size - n, "/");
    for (size_t i = 0; i < key.length && n + 3 < size; i++) {
        char c = key.data[i];
        if (c == '~' || c == '/')
            n += text_format(buffer + n, size - n, c == '~' ? "~0" : "~1");
        else
            n += text_format(buffer + n, size - n, "%c", c ? c : '?');
    }
    return n;
}

const char *schema_pointer(struct schema *schema, const struct node *node) {
    enum { SIZE = 400 };
    void *buffer;
    if (compile_take(schema->compile, SIZE, 1, &buffer) != OK) return "#";
    char *text = buffer;
    text[0] = '#';
    write_pointer(node, text + 1, SIZE - 1);
    return text;
}

status schema_refuse(struct schema *schema, const struct node *node, const char *what) {
    return fail(UNSUPPORTED, "json_schema: %s is not supported, at %s", what,
                schema_pointer(schema, node));
}

status schema_wrong(struct schema *schema, const struct node *node, const char *what) {
    return fail(INVALID_ARGUMENT, "json_schema: %s, at %s", what, schema_pointer(schema, node));
}

status schema_count(struct schema *schema, const struct node *node, uint32_t *count) {
    struct decimal decimal;
    uint64_t value = 0;
    if (node->kind != JSON_NUMBER) return schema_wrong(schema, node, "a count is no number");
    TRY(schema_decimal(schema, node, &decimal));
    if (decimal.n_fraction || decimal.negative)
        return schema_wrong(schema, node, "a count is no whole number from 0");
    for (uint32_t i = 0; i < decimal.n_whole; i++) {
        value = value * 10 + (uint64_t)(decimal.whole[i] - '0');
        if (value > INT32_MAX)
            return fail(LIMIT, "json_schema: a count is too large, at %s",
                        schema_pointer(schema, node));
    }
    *count = (uint32_t)value;
    return OK;
}

/* ---- references ---- */

/* The $id of a schema, NULL data: it has none. */
static struct text id_of(const struct schema *schema, const struct node *node) {
    const struct node *id = schema_member(node, "$id");
    bool counts = id && id->kind == JSON_STRING && id->text.length && id->text.data[0] != '#' &&
                  !(schema->old_refs && schema_member(node, "$ref"));
    return counts ? id->text : (struct text){NULL, 0};
}

/* The schema with the $id that holds here. */
static struct node *resource_of(const struct schema *schema, const struct node *node) {
    for (const struct node *at = node; at; at = at->parent)
        if (id_of(schema, at).data) return (struct node *)(uintptr_t)at;
    return schema->root;
}

/* Bytes of text that `ref` stands behind (RFC 3986, section 5.2): none, the authority, or all up to
 * the last slash. */
static size_t kept_of_base(struct text base, struct text ref) {
    size_t authority = 0, at = 0;
    while (at < ref.length && ref.data[at] != ':' && ref.data[at] != '/') at++;
    if (at > 0 && at < ref.length && ref.data[at] == ':') return 0;
    for (at = 0; at + 3 <= base.length; at++)
        if (memcmp(base.data + at, "://", 3) == 0) {
            authority = at + 3;
            break;
        }
    while (authority && authority < base.length && base.data[authority] != '/') authority++;
    if (ref.data[0] == '/') return authority;
    for (at = base.length; at > authority && base.data[at - 1] != '/';) at--;
    return at;
}

/* The address that `ref` has in the schema `node`; `inside`: of what is in it, else of its $id. */
static status find_address(struct schema *schema, const struct node *node, bool inside,
                           struct text ref, struct text *address) {
    struct text base = {"", 0};
    char *text;
    for (const struct node *at = inside ? node : node->parent; at; at = at->parent)
        if (id_of(schema, at).data) {
            TRY(find_address(schema, at, false, id_of(schema, at), &base));
            break;
        }
    const char *hash = base.length ? memchr(base.data, '#', base.length) : NULL;
    if (hash) base.length = (size_t)(hash - base.data);
    size_t kept = ref.length ? kept_of_base(base, ref) : base.length;
    COMPILE_TAKE(schema->compile, kept + ref.length + 1, &text);
    memcpy(text, base.data, kept);
    memcpy(text + kept, ref.data, ref.length);
    *address = (struct text){text, kept + ref.length};
    while (address->length && text[address->length - 1] == '#') address->length--;
    return OK;
}

static int hex_value(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* One step of a pointer, %XX, ~0 and ~1 read. */
static size_t read_step(const char *from, size_t length, char *step, size_t *n) {
    size_t at = 0;
    *n = 0;
    while (at < length && from[at] != '/') {
        char c = from[at++];
        if (c == '%' && at + 2 <= length && hex_value(from[at]) >= 0 &&
            hex_value(from[at + 1]) >= 0) {
            c = (char)(hex_value(from[at]) * 16 + hex_value(from[at + 1]));
            at += 2;
        }
        if (c == '~' && at < length && (from[at] == '0' || from[at] == '1'))
            c = from[at++] == '0' ? '~' : '/';
        step[(*n)++] = c;
    }
    return at;
}

static status follow_pointer(struct schema *schema, const struct node *ref, struct node *from,
                             struct text pointer, struct node **target) {
    char *step;
    COMPILE_TAKE(schema->compile, pointer.length + 1, &step);
    for (size_t at = 0; at < pointer.length;) {
        size_t n;
        struct node *next = NULL;
        at++; /* the slash */
        at += read_step(pointer.data + at, pointer.length - at, step, &n);
        for (uint32_t i = 0; from->kind == JSON_OBJECT && i < from->n; i++)
            if (schema_text_equal(from->keys[i], (struct text){step, n})) next = from->items[i];
        if (from->kind == JSON_ARRAY && n > 0 && n < 9) {
            uint32_t index = 0;
            bool digits = true;
            for (size_t i = 0; i < n; i++) {
                digits = digits && step[i] >= '0' && step[i] <= '9';
                index = index * 10 + (uint32_t)(step[i] - '0');
            }
            if (digits && index < from->n) next = from->items[index];
        }
        if (!next) return schema_wrong(schema, ref, "a $ref to what isn't there");
        from = next;
    }
    *target = from;
    return OK;
}

static bool is_data(const struct node *node) { /* what looks like a schema in it is none */
    static const char *const names[] = {"enum", "const", "default", "examples"};
    for (; node->parent; node = node->parent)
        for (size_t i = 0; node->parent->kind == JSON_OBJECT && i < sizeof names / sizeof *names;
             i++)
            if (schema_text_is(node->parent->keys[node->index], names[i])) return true;
    return false;
}

static status find_resource(struct schema *schema, struct text address, struct node **found) {
    *found = NULL;
    for (uint32_t i = 0; i < schema->n_nodes && !*found; i++) {
        struct node *node = schema->nodes[i];
        struct text its, id = id_of(schema, node);
        if (!id.data || is_data(node)) continue;
        TRY(find_address(schema, node, false, id, &its));
        if (schema_text_equal(its, address)) *found = node;
    }
    return OK;
}

static struct node *find_anchor(const struct schema *schema, struct text name,
                                const struct node *resource) {
    for (uint32_t i = 0; i < schema->n_nodes; i++) {
        struct node *node = schema->nodes[i];
        const struct node *its = schema_member(node, "$anchor");
        if (its && its->kind == JSON_STRING && !is_data(node) &&
            resource_of(schema, node) == resource && schema_text_equal(its->text, name))
            return node;
    }
    return NULL;
}

status schema_resolve(struct schema *schema, const struct node *ref, struct node **target) {
    if (ref->kind != JSON_STRING) return schema_wrong(schema, ref, "$ref is no string");
    struct text address = ref->text, fragment = {"", 0};
    const char *hash = address.length ? memchr(address.data, '#', address.length) : NULL;
    TRY(compile_work(schema->compile, 16 * (uint64_t)schema->n_nodes));
    if (hash) {
        fragment = (struct text){hash + 1, (size_t)(address.data + address.length - hash - 1)};
        address.length = (size_t)(hash - address.data);
    }
    struct node *from = resource_of(schema, ref);
    if (address.length) {
        TRY(find_address(schema, ref, true, address, &address));
        TRY(find_resource(schema, address, &from));
    }
    if (!from) return schema_refuse(schema, ref, "$ref to another document");
    if (fragment.length == 0 || fragment.data[0] == '/')
        return follow_pointer(schema, ref, from, fragment, target);
    *target = find_anchor(schema, fragment, from);
    if (!*target) { /* draft 7: an $id that is a fragment */
        struct text whole = {fragment.data - 1, fragment.length + 1};
        for (uint32_t i = 0; i < schema->n_nodes && !*target; i++) {
            const struct node *id = schema_member(schema->nodes[i], "$id");
            if (id && id->kind == JSON_STRING && schema_text_equal(id->text, whole) &&
                !is_data(schema->nodes[i]))
                *target = schema->nodes[i];
        }
    }
    return *target ? OK : schema_wrong(schema, ref, "a $ref to what isn't there");
}
