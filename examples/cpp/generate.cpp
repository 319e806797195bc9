// Continues a prompt, from C++17.
#include "transformer.hpp"

#include <charconv>
#include <csignal>
#include <cstdint>
#include <fstream>
#include <iostream>
#include <stdexcept>
#include <string>
#include <string_view>

namespace {

struct usage_error : std::runtime_error {
    using std::runtime_error::runtime_error;
};

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

void write(std::string_view text) {
    std::cout << text << std::flush;
    if (!std::cout) throw std::runtime_error("cannot write to stdout");
}

void generate(const settings &s) {
    transformer::model model(s.model);
    transformer::context context(model);
    transformer::generate_options options;
    options.max_tokens = s.max_tokens;
    options.parse_special = TRANSFORMER_ON;
    context.generate(s.prompt, options, write);
    write("\n");
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
