// libtransformer for C++17 and later: handles that free themselves, errors as exceptions, views
// instead of pointers.
//
// A header of its own over transformer.h, which is the manual: what is said there of a call holds
// here. Options are transformer.h's structs with their size filled in (transformer::context_options
// and so on), so whatever the library can be told, it can be told here.
//
// Handles may be destroyed in any order and on any thread. A call on a context that another thread
// is in throws an error with code TRANSFORMER_BUSY. An exception in a callback stops the call and
// goes on in its caller.
#ifndef TRANSFORMER_HPP
#define TRANSFORMER_HPP

#include <transformer.h>

#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>
#if __cplusplus >= 202002L
#include <ranges>
#endif

namespace transformer {

// ---- errors

class error : public std::runtime_error {
  public:
    error(transformer_status code, const std::string &message)
        : std::runtime_error(message), code_(code) {}
    // TRANSFORMER_LIMIT, ...
    transformer_status code() const noexcept {
        return code_;
    }

  private:
    transformer_status code_;
};

inline void require(transformer_status status) {
    if (status != TRANSFORMER_OK) throw error(status, transformer_last_error());
}

// ---- views and options

// Values that somebody else owns. A std::span can be made of it.
template <class T> class span {
  public:
    constexpr span() noexcept = default;
    constexpr span(T *data, std::size_t size) noexcept : data_(data), size_(size) {}
    template <class container,
              class = std::enable_if_t<
                  !std::is_same_v<std::decay_t<container>, span> &&
                  std::is_convertible_v<decltype(std::declval<container &>().data()), T *>>>
    constexpr span(container &&values) noexcept : data_(values.data()), size_(values.size()) {}
    constexpr T *data() const noexcept {
        return data_;
    }
    constexpr std::size_t size() const noexcept {
        return size_;
    }
    constexpr bool empty() const noexcept {
        return size_ == 0;
    }
    constexpr T &operator[](std::size_t i) const {
        return data_[i];
    }
    constexpr T *begin() const noexcept {
        return data_;
    }
    constexpr T *end() const noexcept {
        return data_ + size_;
    }

  private:
    T *data_ = nullptr;
    std::size_t size_ = 0;
};

using token = std::int32_t;
using tokens = std::vector<token>;

// One of transformer.h's structs, all zero but its size.
template <class plain> struct sized : plain {
    sized() noexcept : plain{} {
        this->struct_size = sizeof(plain);
    }
};
using device_details = sized<transformer_device_details>;
using model_options = sized<transformer_model_options>;
using model_details = sized<transformer_model_details>;
using convert_options = sized<transformer_convert_options>;
using tokenize_options = sized<transformer_tokenize_options>;
using detokenize_options = sized<transformer_detokenize_options>;
using text_stream_options = sized<transformer_text_stream_options>;
using context_options = sized<transformer_context_options>;
using memory_estimate = sized<transformer_memory_estimate>;
using context_statistics = sized<transformer_context_statistics>;
using sampler_options = sized<transformer_sampler_options>;
using sample_options = sized<transformer_sample_options>;
using adapter_options = sized<transformer_adapter_options>;
using sequence_options = sized<transformer_sequence_options>;
using append_options = sized<transformer_append_options>;
using source_options = sized<transformer_source_options>;
using fork_options = sized<transformer_fork_options>;
using save_options = sized<transformer_save_options>;
using restore_options = sized<transformer_restore_options>;
using grammar_options = sized<transformer_grammar_options>;
using constraint_options = sized<transformer_constraint_options>;
using decode_options = sized<transformer_decode_options>;
using decode_result = sized<transformer_decode_result>;
using generate_options = sized<transformer_generate_options>;
using generate_result = sized<transformer_generate_result>;
using chat_options = sized<transformer_chat_options>;

namespace detail {

template <auto destroy> struct deleter {
    template <class object> void operator()(object *o) const noexcept {
        destroy(o);
    }
};
template <class object, auto destroy> using handle = std::unique_ptr<object, deleter<destroy>>;

// The object that a call writes through its last argument.
template <class owned, class function, class... arguments>
owned make(function call, arguments... values) {
    typename owned::pointer made = nullptr;
    require(call(values..., &made));
    return owned(made);
}

// What a call with buffer, capacity and count gives: asked for its size, then again until it fits.
template <class values, class function> values collect(function call) {
    values made;
    for (;;) {
        std::int64_t count = 0;
        auto capacity = static_cast<std::int64_t>(made.size());
        transformer_status status = call(made.empty() ? nullptr : made.data(), capacity, &count);
        if (status == TRANSFORMER_BUFFER_TOO_SMALL ||
            (status == TRANSFORMER_OK && count > capacity)) {
            made.resize(static_cast<std::size_t>(count));
            continue;
        }
        require(status);
        made.resize(static_cast<std::size_t>(count));
        return made;
    }
}

inline std::int64_t length(std::size_t size) {
    return static_cast<std::int64_t>(size);
}

// A callback of the host's that returns nothing, or true to stop; what it throws is kept for the
// caller.
template <class function> struct guarded {
    function &call;
    std::exception_ptr thrown = nullptr;
    template <class... arguments> std::int32_t operator()(arguments &&...values) noexcept {
        try {
            if constexpr (std::is_void_v<std::invoke_result_t<function &, arguments...>>) {
                call(std::forward<arguments>(values)...);
                return 0;
            } else {
                return call(std::forward<arguments>(values)...) ? 1 : 0;
            }
        } catch (...) {
            thrown = std::current_exception();
            return 1;
        }
    }
    void finish(transformer_status status) {
        if (thrown) std::rethrow_exception(thrown);
        require(status);
    }
};

} // namespace detail

// ---- the library

inline std::string version() {
    return transformer_version_string();
}
inline std::string build_info() {
    return transformer_build_info();
}
inline std::vector<device_details> devices() {
    std::vector<device_details> all(static_cast<std::size_t>(transformer_device_count()));
    for (std::size_t i = 0; i < all.size(); i++)
        require(transformer_device_info(static_cast<std::int32_t>(i), &all[i]));
    return all;
}

// ---- text

// Turns tokens into UTF-8 that never splits a character. Views live until the stream's next call.
class text_stream {
  public:
    explicit text_stream(transformer_model *model, const text_stream_options &options = {})
        : handle_(detail::make<owned>(transformer_text_stream_create, model, &options)) {}
    std::string_view push(token t) {
        const char *text = nullptr;
        std::int64_t length = 0;
        require(transformer_text_stream_push(get(), t, &text, &length));
        return {text, static_cast<std::size_t>(length)};
    }
    std::string_view finish() {
        const char *text = nullptr;
        std::int64_t length = 0;
        require(transformer_text_stream_finish(get(), &text, &length));
        return {text, static_cast<std::size_t>(length)};
    }
    // The stop string that ended the text, by its index; -1: none has.
    std::int32_t stopped() const noexcept {
        return transformer_text_stream_stopped(get());
    }
    transformer_text_stream *get() const noexcept {
        return handle_.get();
    }

  private:
    using owned = detail::handle<transformer_text_stream, transformer_text_stream_destroy>;
    owned handle_;
};

// ---- model

// Weights and tokenizer, immutable. A copy is one more owner of the same.
class model {
  public:
    explicit model(const std::string &path, model_options options = {}) {
        options.path = path.c_str();
        handle_ = detail::make<owned>(transformer_model_open, &options);
    }
    explicit model(const model_options &options)
        : handle_(detail::make<owned>(transformer_model_open, &options)) {}
    model(const model &other) : handle_(transformer_model_retain(other.get())) {}
    model(model &&) noexcept = default;
    model &operator=(model other) noexcept {
        handle_.swap(other.handle_);
        return *this;
    }
    ~model() = default;

    // Strings in it live as long as the model.
    model_details details() const {
        model_details made;
        require(transformer_model_info(get(), &made));
        return made;
    }
    bool ends(token t) const {
        auto d = details();
        for (std::int64_t i = 0; i < d.n_end_tokens; i++)
            if (d.end_tokens[i] == t) return true;
        return false;
    }
    std::string metadata(const std::string &key) const {
        return detail::collect<std::string>(
            [&](char *buffer, std::int64_t capacity, std::int64_t *n) {
                return transformer_model_metadata(get(), key.c_str(), buffer, capacity, n);
            });
    }
    tokens tokenize(std::string_view text, const tokenize_options &options = {}) const {
        return detail::collect<tokens>([&](token *buffer, std::int64_t capacity, std::int64_t *n) {
            return transformer_tokenize(get(), text.data() ? text.data() : "",
                                        detail::length(text.size()), &options, buffer, capacity, n);
        });
    }
    std::string detokenize(span<const token> values, const detokenize_options &options = {}) const {
        return detail::collect<std::string>(
            [&](char *buffer, std::int64_t capacity, std::int64_t *n) {
                return transformer_detokenize(get(), values.data(), detail::length(values.size()),
                                              &options, buffer, capacity, n);
            });
    }
    std::string token_text(token t) const {
        return detail::collect<std::string>(
            [&](char *buffer, std::int64_t capacity, std::int64_t *n) {
                return transformer_token_text(get(), t, buffer, capacity, n);
            });
    }
    // TRANSFORMER_TOKEN_...; -1: the model names none.
    token special_token(std::int32_t kind) const {
        token t = -1;
        transformer_status status = transformer_special_token(get(), kind, &t);
        if (status == TRANSFORMER_NOT_FOUND) return -1;
        require(status);
        return t;
    }
    text_stream stream(const text_stream_options &options = {}) const {
        return text_stream(get(), options);
    }
    std::string chat_format(const chat_options &options) const {
        return detail::collect<std::string>(
            [&](char *buffer, std::int64_t capacity, std::int64_t *n) {
                return transformer_chat_format(get(), &options, buffer, capacity, n);
            });
    }
    transformer_model *get() const noexcept {
        return handle_.get();
    }

  private:
    using owned = detail::handle<transformer_model, transformer_model_close>;
    owned handle_;
};

// Writes a model as GGUF: write(span<const std::byte>) gets each part, and returns nothing, or true
// to stop.
template <class writer> void convert(const model_options &options, writer &&write) {
    auto guard = detail::guarded<std::remove_reference_t<writer>>{write};
    using guard_type = decltype(guard);
    convert_options call;
    call.model = &options;
    call.write = [](void *user, const void *bytes, std::uint64_t n) -> std::int32_t {
        return (*static_cast<guard_type *>(user))(span<const std::byte>(
            static_cast<const std::byte *>(bytes), static_cast<std::size_t>(n)));
    };
    call.write_user = &guard;
    guard.finish(transformer_model_convert(&call));
}

inline memory_estimate estimate(const model_options &model, const context_options &context = {}) {
    memory_estimate made;
    require(transformer_model_estimate(&model, &context, &made));
    return made;
}

// A LoRA adapter of a model, immutable.
class adapter {
  public:
    adapter(const model &of, const std::string &path) {
        adapter_options options;
        options.path = path.c_str();
        handle_ = detail::make<owned>(transformer_adapter_open, of.get(), &options);
    }
    transformer_adapter *get() const noexcept {
        return handle_.get();
    }

  private:
    using owned = detail::handle<transformer_adapter, transformer_adapter_close>;
    owned handle_;
};

// What texts there may be: immutable, for any number of sequences.
class grammar {
  public:
    grammar(const model &of, const grammar_options &options)
        : handle_(detail::make<owned>(transformer_grammar_create, of.get(), &options)) {}
    static grammar json_schema(const model &of, const std::string &schema) {
        grammar_options options;
        options.json_schema = schema.c_str();
        return grammar(of, options);
    }
    static grammar regex(const model &of, const std::string &expression) {
        grammar_options options;
        options.regex = expression.c_str();
        return grammar(of, options);
    }
    static grammar ebnf(const model &of, const std::string &rules) {
        grammar_options options;
        options.ebnf = rules.c_str();
        return grammar(of, options);
    }
    // TRANSFORMER_MATCH_...
    std::int32_t match(std::string_view text) const {
        std::int32_t made = TRANSFORMER_MATCH_NONE;
        require(transformer_grammar_match(get(), text.data() ? text.data() : "",
                                          detail::length(text.size()), &made));
        return made;
    }
    transformer_grammar *get() const noexcept {
        return handle_.get();
    }

  private:
    using owned = detail::handle<transformer_grammar, transformer_grammar_destroy>;
    owned handle_;
};

// ---- sequences

// Tokens and their keys and values in a context. Views of rows live until the context's next
// decode, or until this sequence is truncated or destroyed.
class sequence {
  public:
    explicit sequence(transformer_context *context, const sequence_options &options = {})
        : handle_(detail::make<owned>(transformer_sequence_create, context, &options)) {}

    void append(span<const token> values, const append_options &options = {}) {
        require(transformer_sequence_append(get(), values.data(), detail::length(values.size()),
                                            &options));
    }
    void append(token t) {
        append(span<const token>(&t, 1));
    }
    void set_source(span<const token> values, const source_options &options = {}) {
        require(transformer_sequence_set_source(get(), values.data(), detail::length(values.size()),
                                                &options));
    }
    sequence fork(const fork_options &options = {}) const {
        return sequence(detail::make<owned>(transformer_sequence_fork, get(), &options));
    }
    void truncate(std::int64_t n) {
        require(transformer_sequence_truncate(get(), n));
    }
    void set_priority(std::int32_t priority) {
        require(transformer_sequence_set_priority(get(), priority));
    }
    // Guesses of what will be sampled next; the text is the same with or without.
    void propose(span<const token> values) {
        require(transformer_sequence_propose(get(), values.data(), detail::length(values.size())));
    }
    // From here on the tokens are a text of the grammar.
    void constrain(const grammar &to, const constraint_options &options = {}) {
        require(transformer_sequence_constrain(get(), to.get(), &options));
    }
    void lift_constraint() {
        require(transformer_sequence_constrain(get(), nullptr, nullptr));
    }
    // Of the model's own distribution behind a position whose logits were kept.
    std::vector<float> log_probabilities(std::int64_t position, span<const token> of) const {
        std::vector<float> values(of.size());
        require(transformer_sequence_log_probabilities(
            get(), position, of.data(), detail::length(of.size()), values.data(), nullptr, 0));
        return values;
    }
    // The n likeliest, most likely first.
    std::vector<transformer_token_probability> likeliest(std::int64_t position,
                                                         std::size_t n) const {
        std::vector<transformer_token_probability> top(n);
        require(transformer_sequence_log_probabilities(get(), position, nullptr, 0, nullptr,
                                                       top.data(), detail::length(n)));
        return top;
    }
    // The tokens with their keys and values, for context::restore.
    std::vector<std::byte> save() const {
        save_options options;
        std::uint64_t size = 0;
        require(transformer_sequence_save(get(), nullptr, &size));
        std::vector<std::byte> made(static_cast<std::size_t>(size));
        options.buffer = made.data();
        options.capacity = size;
        require(transformer_sequence_save(get(), &options, &size));
        made.resize(static_cast<std::size_t>(size));
        return made;
    }
    tokens all() const {
        return detail::collect<tokens>([&](token *buffer, std::int64_t capacity, std::int64_t *n) {
            return transformer_sequence_tokens(get(), buffer, capacity, n, nullptr);
        });
    }
    std::int64_t n_computed() const {
        std::int64_t count = 0, computed = 0;
        transformer_status status =
            transformer_sequence_tokens(get(), nullptr, 0, &count, &computed);
        if (status != TRANSFORMER_BUFFER_TOO_SMALL) require(status);
        return computed;
    }
    // [n_vocab] that follow a position; -1 is the last.
    span<const float> logits(std::int64_t position = -1) const {
        return view([&](const float **row, std::int64_t *n) {
            return transformer_sequence_logits(get(), position, row, n);
        });
    }
    // [n_embd]
    span<const float> embedding(std::int64_t position = -1) const {
        return view([&](const float **row, std::int64_t *n) {
            return transformer_sequence_embedding(get(), position, row, n);
        });
    }
    // [n_embd]
    span<const float> pooled() const {
        return view([&](const float **row, std::int64_t *n) {
            return transformer_sequence_pooled(get(), row, n);
        });
    }
    // [n_labels]
    span<const float> score() const {
        return view([&](const float **row, std::int64_t *n) {
            return transformer_sequence_score(get(), row, n);
        });
    }
    transformer_sequence *get() const noexcept {
        return handle_.get();
    }

  private:
    using owned = detail::handle<transformer_sequence, transformer_sequence_destroy>;
    friend class context;
    explicit sequence(owned made) : handle_(std::move(made)) {}
    template <class function> static span<const float> view(function call) {
        const float *row = nullptr;
        std::int64_t n = 0;
        require(call(&row, &n));
        return {row, static_cast<std::size_t>(n)};
    }
    owned handle_;
};

// Turns logits into a token.
class sampler {
  public:
    explicit sampler(const model &of, const sampler_options &options = {})
        : handle_(detail::make<owned>(transformer_sampler_create, of.get(), &options)) {}
    sampler clone() const {
        return sampler(detail::make<owned>(transformer_sampler_clone, get()));
    }
    token sample(const sequence &from) {
        return choose(from, TRANSFORMER_OFF);
    }
    token sample_and_append(sequence &to) {
        return choose(to, TRANSFORMER_ON);
    }
    transformer_sampler *get() const noexcept {
        return handle_.get();
    }

  private:
    using owned = detail::handle<transformer_sampler, transformer_sampler_destroy>;
    explicit sampler(owned made) : handle_(std::move(made)) {}
    token choose(const sequence &from, std::uint32_t append) {
        sample_options options;
        options.append = append;
        token t = 0;
        require(transformer_sampler_sample(get(), from.get(), &options, &t));
        return t;
    }
    owned handle_;
};

// ---- context

// KV cache, buffers and threads of a model.
class context {
  public:
    explicit context(const model &of, const context_options &options = {})
        : handle_(detail::make<owned>(transformer_context_create, of.get(), &options)) {}

    transformer::sequence sequence(const sequence_options &options = {}) {
        return transformer::sequence(get(), options);
    }
    // What sequence::save gave, here or elsewhere.
    transformer::sequence restore(span<const std::byte> snapshot,
                                  const sequence_options &own = {}) {
        restore_options options;
        options.data = snapshot.data();
        options.data_size = snapshot.size();
        options.sequence = &own;
        return transformer::sequence(detail::make<transformer::sequence::owned>(
            transformer_sequence_restore, get(), &options));
    }
    decode_result decode(const decode_options &options = {}) {
        decode_result made;
        require(transformer_decode(get(), &options, &made));
        return made;
    }
    // Steps until nothing is pending.
    void decode_all() {
        while (decode().n_pending > 0) {
        }
    }
    // From any thread or a signal handler.
    void cancel() noexcept {
        transformer_context_cancel(get());
    }
    context_statistics statistics() const {
        context_statistics made;
        require(transformer_context_stats(get(), &made));
        return made;
    }
    // on_text(std::string_view) gets each piece, and returns nothing, or true to stop.
    template <class function>
    generate_result generate(std::string_view prompt, generate_options options,
                             function &&on_text) {
        auto guard = detail::guarded<std::remove_reference_t<function>>{on_text};
        using guard_type = decltype(guard);
        generate_result made;
        // Length 0 says "up to the NUL".
        options.prompt = prompt.empty() ? "" : prompt.data();
        options.prompt_length = detail::length(prompt.size());
        auto give = [](void *user, const char *text, std::uint64_t n) -> std::int32_t {
            return (*static_cast<guard_type *>(user))(
                std::string_view(text, static_cast<std::size_t>(n)));
        };
        guard.finish(transformer_generate(get(), &options, give, &guard, &made));
        return made;
    }
    std::string generate(std::string_view prompt, const generate_options &options = {}) {
        std::string text;
        generate(prompt, options, [&](std::string_view piece) { text += piece; });
        return text;
    }
    transformer_context *get() const noexcept {
        return handle_.get();
    }

  private:
    using owned = detail::handle<transformer_context, transformer_context_destroy>;
    owned handle_;
};

} // namespace transformer

#if defined(__cpp_lib_ranges)
template <class T>
inline constexpr bool std::ranges::enable_borrowed_range<transformer::span<T>> = true;
template <class T> inline constexpr bool std::ranges::enable_view<transformer::span<T>> = true;
#endif

#endif
