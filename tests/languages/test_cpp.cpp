// The C++ wrapper on a small model: MODEL. Also built as C++20, where views are ranges.
#include "../../examples/cpp/transformer.hpp"

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iterator>
#include <thread>
#if __cplusplus >= 202002L
#include <span>
#endif

namespace {

int n_failed = 0;

void check(bool holds, const char *what, int line) {
    if (holds) return;
    std::fprintf(stderr, "line %d: not so: %s\n", line, what);
    n_failed++;
}
#define CHECK(what) check((what), #what, __LINE__)

template <class function> transformer_status code_of(function call) {
    try {
        call();
    } catch (const transformer::error &e) {
        CHECK(std::strlen(e.what()) > 0);
        return e.code();
    }
    return TRANSFORMER_OK;
}

transformer::tokens greedy(transformer::context &context, const transformer::model &model,
                           std::size_t n) {
    transformer::sampler sampler(model);
    auto sequence = context.sequence();
    sequence.append(transformer::tokens{5, 6, 7});
    transformer::tokens made;
    while (made.size() < n) {
        context.decode_all();
        made.push_back(sampler.sample_and_append(sequence));
    }
    return made;
}

void test_model(const std::string &path) {
    transformer::model model(path);
    auto details = model.details();
    CHECK(std::string_view(details.architecture) == "llama");
    CHECK(model.metadata("general.architecture") == "llama");
    CHECK(code_of([&] { model.metadata("no.such.key"); }) == TRANSFORMER_NOT_FOUND);
    CHECK(model.special_token(TRANSFORMER_TOKEN_MASK) == -1);
    const std::string text = "the river holds \u6c34";
    transformer::tokenize_options plain;
    plain.add_special = TRANSFORMER_OFF;
    auto tokens = model.tokenize(text, plain);
    CHECK(!tokens.empty() && model.detokenize(tokens).find(text) != std::string::npos);
    CHECK(model.tokenize("", plain).empty() && model.tokenize({}, plain).empty());
    auto stream = model.stream();
    std::string streamed;
    for (auto token : tokens) streamed += stream.push(token);
    streamed += stream.finish();
    CHECK(streamed == model.detokenize(tokens));
    CHECK(model.ends(details.n_end_tokens ? details.end_tokens[0] : -1) ==
          (details.n_end_tokens > 0));
    transformer_chat_message message{"user", "hello"};
    transformer::chat_options chat;
    chat.messages = &message;
    chat.n_messages = 1;
    chat.template_text = "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}";
    CHECK(model.chat_format(chat) == "<user>hello");
    CHECK(transformer::devices().at(0).kind == std::string("cpu"));
    CHECK(!transformer::version().empty() && !transformer::build_info().empty());
}

void test_bytes(const std::string &path) {
    std::ifstream file(path, std::ios::binary);
    std::string bytes{std::istreambuf_iterator<char>(file), {}};
    transformer::model_options options;
    options.data = bytes.data();
    options.data_size = bytes.size();
    options.copy = TRANSFORMER_ON;
    transformer::model of_bytes(options), of_file(path);
    CHECK(transformer::estimate(options).model_host_bytes > 0);
    std::string converted;
    transformer::convert(options, [&](transformer::span<const std::byte> part) {
        converted.append(reinterpret_cast<const char *>(part.data()), part.size());
    });
    CHECK(converted.substr(0, 4) == "GGUF");
    CHECK(code_of([&] { transformer::convert(options, [](auto) { return true; }); }) ==
          TRANSFORMER_CANCELLED);
    bytes.clear();
    transformer::context one(of_bytes), other(of_file);
    CHECK(greedy(one, of_bytes, 8) == greedy(other, of_file, 8));
}

void test_errors(const std::string &path) {
    CHECK(code_of([] { transformer::model("no-such-file.gguf"); }) == TRANSFORMER_NOT_FOUND);
    transformer::model model(path);
    transformer::context_options options;
    options.max_sequences = 1;
    auto context = std::make_unique<transformer::context>(model, options);
    auto sequence = context->sequence();
    CHECK(code_of([&] { context->sequence(); }) == TRANSFORMER_LIMIT);
    CHECK(code_of([&] { sequence.append(1 << 30); }) == TRANSFORMER_INVALID_ARGUMENT);
    CHECK(code_of([&] { sequence.logits(); }) == TRANSFORMER_NOT_FOUND);
    context.reset();
    CHECK(code_of([&] { sequence.append(1); }) == TRANSFORMER_STATE);
}

void test_sequences(const std::string &path) {
    transformer::model model(path);
    transformer::context context(model);
    auto expected = greedy(context, model, 4);
    transformer::sampler sampler(model);
    transformer::sequence_options own;
    own.sampler = sampler.get();
    auto sequence = context.sequence(own);
    sequence.append(transformer::tokens{5, 6, 7});
    auto result = context.decode();
    CHECK(result.n_rows == 3 && result.n_sampled == 1);
    CHECK(sequence.n_computed() == 3);
    transformer::span<const float> row = sequence.logits(2);
    CHECK(static_cast<std::int64_t>(row.size()) == model.details().n_vocab);
    CHECK(std::max_element(row.begin(), row.end()) - row.begin() == expected[0]);
#if __cplusplus >= 202002L
    std::span<const float> standard = row;
    CHECK(standard.data() == row.data() &&
          std::ranges::max(row) == row[static_cast<std::size_t>(expected[0])]);
#endif
    auto second = sampler.clone();
    transformer::fork_options options;
    options.sampler = second.get();
    auto fork = sequence.fork(options);
    for (int i = 0; i < 3; i++) context.decode();
    transformer::tokens whole{5, 6, 7};
    whole.insert(whole.end(), expected.begin(), expected.end());
    CHECK(sequence.all() == whole && fork.all() == whole);
    sequence.truncate(2);
    CHECK(sequence.all().size() == 2 && fork.all().size() == 7);
    sequence = std::move(fork);
    CHECK(sequence.all().size() == 7);
    CHECK(context.statistics().n_sequences == 1);
}

void test_callbacks(const std::string &path) {
    transformer::model model(path);
    transformer::context context(model);
    transformer::generate_options options;
    options.max_tokens = 8;
    auto text = context.generate("the river", options);
    CHECK(text == context.generate("the river", options));
    auto stopped = context.generate("the river", options, [](std::string_view) { return true; });
    CHECK(stopped.finish_reason == TRANSFORMER_FINISH_STOPPED);
    bool caught = false;
    try {
        context.generate("the river", options, [](std::string_view) { throw 7; });
    } catch (int number) {
        caught = number == 7;
    }
    CHECK(caught && context.statistics().n_sequences == 0);
    auto sequence = context.sequence();
    sequence.append(transformer::tokens{1, 2});
    std::thread([&] { context.cancel(); }).join();
    CHECK(code_of([&] { context.decode(); }) == TRANSFORMER_CANCELLED);
    context.decode_all();
}

void test_serving(const std::string &path) {
    transformer::model model(path);
    transformer::context context(model);
    transformer::sampler sampler(model);
    auto expected = greedy(context, model, 6);
    transformer::sequence_options own;
    own.sampler = sampler.get();
    own.lookup_tokens = 3;
    own.cache_domain = 7;
    auto sequence = context.sequence(own);
    sequence.set_priority(2);
    sequence.append(transformer::tokens{5, 6, 7});
    context.decode();
    sequence.propose(transformer::tokens{expected[1], expected[2]});
    CHECK(context.decode().n_accepted == 2);
    transformer::tokens whole{5, 6, 7};
    whole.insert(whole.end(), expected.begin(), expected.begin() + 4);
    CHECK(sequence.all() == whole);
    auto chosen =
        sequence.log_probabilities(sequence.n_computed() - 1, transformer::tokens{expected[3]});
    auto top = sequence.likeliest(sequence.n_computed() - 1, 3);
    CHECK(top[0].token == expected[3] && top[0].log_probability == chosen[0]);
    CHECK(top[1].log_probability <= top[0].log_probability);
    auto snapshot = sequence.save();
    auto restored = context.restore(snapshot, own);
    for (int i = 0; i < 2; i++) context.decode();
    CHECK(restored.all() == sequence.all());
    snapshot[snapshot.size() / 2] ^= std::byte{1};
    CHECK(code_of([&] { context.restore(snapshot); }) == TRANSFORMER_FORMAT);

    auto digits = transformer::grammar::regex(model, "[0-9]{2,4}");
    CHECK(digits.match("1") == TRANSFORMER_MATCH_PREFIX &&
          digits.match("123") == TRANSFORMER_MATCH_WHOLE);
    CHECK(transformer::grammar::json_schema(model, "{}").match("x") == TRANSFORMER_MATCH_NONE);
    CHECK(transformer::grammar::ebnf(model, "root ::= \"a\"").match("a") ==
          TRANSFORMER_MATCH_WHOLE);
    CHECK(code_of([&] { transformer::grammar::regex(model, "("); }) ==
          TRANSFORMER_INVALID_ARGUMENT);
    auto constrained = context.sequence();
    constrained.append(transformer::tokens{5, 6, 7});
    constrained.constrain(digits);
    context.decode_all();
    auto text = model.token_text(sampler.sample(constrained));
    CHECK(digits.match(text) != TRANSFORMER_MATCH_NONE);
    constrained.lift_constraint();
    CHECK(sampler.sample(constrained) == expected[0]);

    const char *stop = "river";
    transformer::text_stream_options options;
    options.stop = &stop;
    options.n_stop = 1;
    auto stream = model.stream(options);
    std::string before;
    for (auto token : model.tokenize("the river holds")) before += stream.push(token);
    CHECK(stream.stopped() == 0 && before.find("river") == std::string::npos);
    CHECK(before.find("the ") != std::string::npos && stream.finish().empty());
}

long resident_pages() {
    long size = 0, resident = 0;
    std::ifstream("/proc/self/statm") >> size >> resident;
    return resident;
}

// 10,000 rounds of every handle leave the process as large as 1,000 did.
void test_leaks(const std::string &path) {
    transformer::model model(path);
    transformer::context_options small;
    small.n_threads = 1;
    small.max_sequence_tokens = 64;
    small.kv_tokens = 256;
    small.max_step_tokens = 16;
    transformer::context context(model, small);
    long warm = 0;
    for (int round = 0; round < 10000; round++) {
        transformer::sampler sampler(model);
        auto copy = model;
        auto stream = copy.stream();
        auto sequence = context.sequence();
        sequence.append(transformer::tokens{1, 2});
        auto fork = sequence.fork();
        stream.push(2);
        if (round % 100 == 0) {
            context.decode_all();
            transformer::context another(transformer::model(path), small);
        }
        if (round == 1000) warm = resident_pages();
    }
    CHECK(resident_pages() - warm < 512);
}

} // namespace

int main(int argc, char **argv) {
    if (argc != 2) return 2;
    for (auto test : {test_model, test_bytes, test_errors, test_sequences, test_callbacks,
                      test_serving, test_leaks})
        test(argv[1]);
    return n_failed != 0;
}
