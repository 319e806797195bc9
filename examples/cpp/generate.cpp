// Continues a prompt, from C++17: handles that free themselves and errors as exceptions, in the
// few lines that takes.
#include <transformer.h>

#include <charconv>
#include <csignal>
#include <cstdint>
#include <fstream>
#include <iostream>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace {

struct error : std::runtime_error {
    using std::runtime_error::runtime_error;
};
struct usage_error : error {
    using error::error;
};

void require(transformer_status status) {
    if (status != TRANSFORMER_OK)
        throw error(std::string(transformer_last_error()) + " (" + transformer_status_name(status) +
                    ")");
}

template <auto destroy> struct deleter {
    template <class handle> void operator()(handle *h) const {
        destroy(h);
    }
};
template <class handle, auto destroy> using owned = std::unique_ptr<handle, deleter<destroy>>;

using model_handle = owned<transformer_model, transformer_model_close>;
using context_handle = owned<transformer_context, transformer_context_destroy>;
using sequence_handle = owned<transformer_sequence, transformer_sequence_destroy>;
using sampler_handle = owned<transformer_sampler, transformer_sampler_destroy>;
using stream_handle = owned<transformer_text_stream, transformer_text_stream_destroy>;

// The object that a call writes through its last argument.
template <class handle, class create, class... arguments>
auto make(create function, arguments... values) {
    typename handle::pointer made = nullptr;
    require(function(values..., &made));
    return handle(made);
}

template <class options> options sized() {
    options o{};
    o.struct_size = sizeof o;
    return o;
}

struct settings {
    std::string model, prompt;
    std::int64_t max_tokens = 64;
};

settings read_settings(int argc, char **argv) {
    settings s;
    for (int i = 1; i < argc; i += 2) {
        std::string_view name = argv[i];
        if (name != "--model" && name != "--prompt" && name != "--max-tokens")
            throw usage_error("unknown argument '" + std::string(name) + "'");
        if (i + 1 == argc) throw usage_error(std::string(name) + " needs a value");
        std::string_view value = argv[i + 1];
        if (name == "--model") s.model = value;
        if (name == "--prompt") s.prompt = value;
        if (name == "--max-tokens") {
            const char *end = value.data() + value.size();
            auto [stop, code] = std::from_chars(value.data(), end, s.max_tokens);
            if (code != std::errc() || stop != end || s.max_tokens < 1)
                throw usage_error("--max-tokens: '" + std::string(value) + "' is not 1 or more");
        }
    }
    if (s.model.empty()) throw usage_error("--model is missing");
    if (s.prompt.empty()) throw usage_error("--prompt is missing");
    if (!std::ifstream(s.model)) throw usage_error("cannot open '" + s.model + "'");
    return s;
}

std::vector<std::int32_t> tokenize(const transformer_model *model, const std::string &text) {
    auto options = sized<transformer_tokenize_options>();
    options.parse_special = TRANSFORMER_ON;
    auto length = static_cast<std::int64_t>(text.size());
    std::int64_t count = 0;
    auto status = transformer_tokenize(model, text.data(), length, &options, nullptr, 0, &count);
    if (status != TRANSFORMER_BUFFER_TOO_SMALL) require(status);
    std::vector<std::int32_t> tokens(static_cast<std::size_t>(count));
    require(
        transformer_tokenize(model, text.data(), length, &options, tokens.data(), count, &count));
    return tokens;
}

void write(const char *text, std::int64_t length) {
    std::cout.write(text, length).flush();
    if (!std::cout) throw error("cannot write to stdout");
}

void generate(const settings &s) {
    auto model_options = sized<transformer_model_options>();
    model_options.path = s.model.c_str();
    auto model = make<model_handle>(transformer_model_open, &model_options);
    auto details = sized<transformer_model_details>();
    require(transformer_model_info(model.get(), &details));

    const transformer_context_options *context_defaults = nullptr;
    const transformer_sequence_options *sequence_defaults = nullptr;
    const transformer_text_stream_options *stream_defaults = nullptr;
    auto sampler_options = sized<transformer_sampler_options>();
    auto context = make<context_handle>(transformer_context_create, model.get(), context_defaults);
    auto sequence =
        make<sequence_handle>(transformer_sequence_create, context.get(), sequence_defaults);
    auto sampler = make<sampler_handle>(transformer_sampler_create, model.get(), &sampler_options);
    auto stream = make<stream_handle>(transformer_text_stream_create, model.get(), stream_defaults);

    auto tokens = tokenize(model.get(), s.prompt);
    const char *text = nullptr;
    std::int64_t length = 0;
    for (std::int64_t i = 0; i < s.max_tokens; i++) {
        require(transformer_sequence_append(sequence.get(), tokens.data(),
                                            static_cast<std::int64_t>(tokens.size()), nullptr));
        auto result = sized<transformer_decode_result>();
        do require(transformer_decode(context.get(), nullptr, &result));
        while (result.n_pending > 0);
        tokens.resize(1);
        require(transformer_sampler_sample(sampler.get(), sequence.get(), nullptr, &tokens[0]));
        bool ended = false;
        for (std::int64_t k = 0; k < details.n_end_tokens; k++)
            ended = ended || details.end_tokens[k] == tokens[0];
        if (ended) break;
        require(transformer_text_stream_push(stream.get(), tokens[0], &text, &length));
        write(text, length);
    }
    require(transformer_text_stream_finish(stream.get(), &text, &length));
    write(text, length);
    write("\n", 1);
}

} // namespace

int main(int argc, char **argv) {
    std::signal(SIGPIPE, SIG_IGN);
    if (argc == 2 && std::string_view(argv[1]) == "--help") {
        std::cout << "usage: " << argv[0] << " --model FILE --prompt TEXT [--max-tokens N]\n";
        return 0;
    }
    try {
        generate(read_settings(argc, argv));
        return 0;
    } catch (const usage_error &e) {
        std::cerr << argv[0] << ": " << e.what() << '\n';
        return 2;
    } catch (const std::exception &e) {
        std::cerr << argv[0] << ": " << e.what() << '\n';
        return 1;
    }
}
