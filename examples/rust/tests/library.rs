//! The wrapper on small models of the library's own tests: TEST_MODEL_FOLDER has llama-gqa.gguf.
use libtransformer::*;
use std::ops::ControlFlow;
use std::path::PathBuf;

fn path() -> PathBuf {
    let folder = std::env::var_os("TEST_MODEL_FOLDER").expect("TEST_MODEL_FOLDER is not set");
    PathBuf::from(folder).join("llama-gqa.gguf")
}

fn model() -> Model {
    Model::open(path(), &ModelOptions::default()).unwrap()
}

fn greedy(context: &mut Context, prompt: &[i32], n: usize) -> Vec<i32> {
    let sampler = context.model().sampler(&SamplerOptions::default()).unwrap();
    let mut sequence = context.sequence(&SequenceOptions::default()).unwrap();
    sequence.append(prompt).unwrap();
    (0..n)
        .map(|_| {
            context.decode_all().unwrap();
            sampler.sample_and_append(&mut sequence).unwrap()
        })
        .collect()
}

#[test]
fn handles_go_between_threads() {
    fn check<T: Send + Sync>() {}
    check::<Model>();
    check::<Context>();
    check::<Canceller>();
    check::<Sequence>();
    check::<Sampler>();
    check::<TextStream>();
    check::<Adapter>();
    check::<Error>();
}

#[test]
fn versions_and_devices() {
    let manifest = env!("CARGO_PKG_VERSION").split('.').map(|n| n.parse().unwrap()).collect::<Vec<u32>>();
    let (major, minor, patch) = version();
    assert_eq!(vec![major, minor, patch], manifest);
    assert!(build_info().contains("compiler"));
    assert_eq!(Device::all().unwrap()[0].kind, "cpu");
}

#[test]
fn details_tokens_and_text() {
    let model = model();
    let details = model.details().unwrap();
    assert_eq!(details.architecture, "llama");
    assert!(details.has_tokenizer && details.has_logits && !details.needs_source);
    assert_eq!(model.metadata("general.architecture").unwrap(), "llama");
    assert_eq!(model.metadata("no.such.key").unwrap_err().status(), Status::NotFound);
    let plain = TokenizeOptions { add_special: Some(false), ..TokenizeOptions::default() };
    let text = "the river holds 水";
    let tokens = model.tokenize(text, &plain).unwrap();
    assert!(!tokens.is_empty());
    assert_eq!(String::from_utf8(model.detokenize(&tokens, false).unwrap()).unwrap().trim(), text);
    let mut stream = model.text_stream(false).unwrap();
    let mut streamed = String::new();
    for &token in &tokens {
        streamed += &stream.push(token).unwrap();
    }
    streamed += &stream.finish().unwrap();
    assert_eq!(streamed.trim(), text);
    assert!(model.tokenize("", &plain).unwrap().is_empty());
    assert_eq!(model.token_text(-1).unwrap_err().status(), Status::InvalidArgument);
    assert_eq!(model.special_token(SpecialToken::Mask), None);
}

#[test]
fn the_same_bits_from_file_bytes_and_reader() {
    struct Memory(Vec<u8>, u64);
    impl Reader for Memory {
        fn size(&mut self, name: &str) -> Option<u64> {
            (name == "some/model.gguf").then_some(self.0.len() as u64)
        }
        fn read(&mut self, _: &str, offset: u64, buffer: &mut [u8]) -> bool {
            let start = offset as usize;
            buffer.copy_from_slice(&self.0[start..start + buffer.len()]);
            self.1 += buffer.len() as u64;
            true
        }
    }
    let bytes = std::fs::read(path()).unwrap();
    let mut reader = Memory(bytes.clone(), 0);
    let options = ModelOptions::default();
    let models = [
        model(),
        Model::from_bytes("bytes", &bytes, &options).unwrap(),
        Model::from_reader("some/model.gguf", &mut reader, &options).unwrap(),
    ];
    drop(bytes);
    assert!(reader.1 > 0);
    let rows = models.map(|model| {
        let mut context = model.context(&ContextOptions::default()).unwrap();
        let mut sequence = context.sequence(&SequenceOptions::default()).unwrap();
        sequence.append(&[1, 2, 3]).unwrap();
        context.decode_all().unwrap();
        let row = context.logits(&sequence, -1).unwrap();
        assert_eq!(row.len() as i64, model.details().unwrap().n_vocab);
        row.iter().map(|x| x.to_bits()).collect::<Vec<_>>()
    });
    assert_eq!(rows[0], rows[1]);
    assert_eq!(rows[0], rows[2]);
}

#[test]
fn errors_have_code_and_message() {
    let failure = Model::open("no-such-file.gguf", &ModelOptions::default()).err().unwrap();
    assert_eq!(failure.status(), Status::NotFound);
    assert!(failure.message().contains("no-such-file.gguf"), "{failure}");
    assert_eq!(Model::from_bytes("junk", b"junk", &ModelOptions::default()).err().unwrap().status(), Status::Format);
    assert_eq!(Model::open("a\0b", &ModelOptions::default()).err().unwrap().status(), Status::InvalidArgument);
    let model = model();
    let context = model.context(&ContextOptions { max_sequences: 1, ..ContextOptions::default() }).unwrap();
    let mut sequence = context.sequence(&SequenceOptions::default()).unwrap();
    assert_eq!(sequence.append(&[1 << 30]).unwrap_err().status(), Status::InvalidArgument);
    assert_eq!(context.sequence(&SequenceOptions::default()).err().unwrap().status(), Status::Limit);
    assert_eq!(context.logits(&sequence, -1).unwrap_err().status(), Status::NotFound);
    let other = model.context(&ContextOptions::default()).unwrap();
    assert_eq!(other.logits(&sequence, -1).unwrap_err().status(), Status::InvalidArgument);
    assert_eq!(sequence.append_keeping(&[1, 2], Keep::Of(&[1]), 0).unwrap_err().status(), Status::InvalidArgument);
    sequence.append(&[1, 2]).unwrap();
    drop(context);
    assert_eq!(sequence.append(&[3]).unwrap_err().status(), Status::State);
}

#[test]
fn sequences_fork_truncate_and_sample() {
    let model = model();
    let mut context = model.context(&ContextOptions { max_logit_rows: 16, ..ContextOptions::default() }).unwrap();
    let expected = greedy(&mut context, &[5, 6, 7], 8);
    let sampler = model.sampler(&SamplerOptions::default()).unwrap();
    let own = SequenceOptions { sampler: Some(&sampler), ..SequenceOptions::default() };
    let mut sequence = context.sequence(&own).unwrap();
    sequence.append_keeping(&[5, 6, 7], Keep::All, 0).unwrap();
    let result = context.decode(&DecodeOptions::default()).unwrap();
    assert_eq!((result.n_rows, result.n_sampled), (3, 1));
    assert_eq!(context.logits(&sequence, 0).unwrap().len(), context.logits(&sequence, 2).unwrap().len());
    assert_eq!(sequence.tokens().unwrap(), [5, 6, 7, expected[0]]);
    assert_eq!(sequence.n_computed().unwrap(), 3);
    let fork = sequence.fork(Some(&sampler.try_clone().unwrap()), 1).unwrap();
    for _ in 0..3 {
        context.decode(&DecodeOptions::default()).unwrap();
    }
    assert_eq!(sequence.tokens().unwrap()[3..], expected[..4]);
    assert_eq!(fork.tokens().unwrap(), sequence.tokens().unwrap());
    sequence.truncate(2).unwrap();
    assert_eq!(sequence.tokens().unwrap(), [5, 6]);
    assert_eq!(fork.tokens().unwrap().len(), 7);
}

#[test]
fn sampling_is_seeded() {
    let options = GenerateOptions {
        sampler: SamplerOptions { seed: 7, temperature: 1.5, top_k: 40, ..SamplerOptions::default() },
        max_tokens: 20,
        ..GenerateOptions::default()
    };
    let mut texts = Vec::new();
    for _ in 0..2 {
        let mut text = String::new();
        let mut context = model().context(&ContextOptions::default()).unwrap();
        let made = context.generate("the river", &options, |piece| {
            text += piece;
            ControlFlow::Continue(())
        });
        assert!(made.unwrap().n_generated_tokens <= 20);
        texts.push(text);
    }
    assert_eq!(texts[0], texts[1]);
    let banned = greedy(&mut model().context(&ContextOptions::default()).unwrap(), &[5, 6, 7], 1)[0];
    let bias = [(banned, f32::NEG_INFINITY)];
    let sampler = SamplerOptions { logit_bias: &bias, ..SamplerOptions::default() };
    let model = model();
    let mut context = model.context(&ContextOptions::default()).unwrap();
    let mut sequence = context.sequence(&SequenceOptions::default()).unwrap();
    sequence.append(&[5, 6, 7]).unwrap();
    context.decode_all().unwrap();
    assert_ne!(model.sampler(&sampler).unwrap().sample(&sequence).unwrap(), banned);
}

#[test]
fn callbacks_stop_and_panic() {
    let model = model();
    let mut context = model.context(&ContextOptions::default()).unwrap();
    let made = context.generate("the river", &GenerateOptions::default(), |_| ControlFlow::Break(())).unwrap();
    assert_eq!(made.finish, Finish::Stopped);
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let _ = context.generate("the river", &GenerateOptions::default(), |_| panic!("on purpose"));
    }));
    assert_eq!(*panicked.unwrap_err().downcast::<&str>().unwrap(), "on purpose");
    assert_eq!(context.statistics().unwrap().n_sequences, 0);
}

#[test]
fn contexts_cancel_from_elsewhere_and_run_in_parallel() {
    let model = model();
    let mut context = model.context(&ContextOptions::default()).unwrap();
    let canceller = context.canceller();
    std::thread::spawn(move || canceller.cancel()).join().unwrap();
    let mut sequence = context.sequence(&SequenceOptions::default()).unwrap();
    sequence.append(&[1, 2]).unwrap();
    assert_eq!(context.decode_all().unwrap_err().status(), Status::Cancelled);
    context.decode_all().unwrap();
    let canceller = context.canceller();
    drop(context);
    canceller.cancel();
    let expected = greedy(&mut model.context(&ContextOptions::default()).unwrap(), &[5, 6, 7], 8);
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let model = model.clone();
            std::thread::spawn(move || {
                let options = ContextOptions { n_threads: 1, ..ContextOptions::default() };
                greedy(&mut model.context(&options).unwrap(), &[5, 6, 7], 8)
            })
        })
        .collect();
    drop(model);
    for thread in threads {
        assert_eq!(thread.join().unwrap(), expected);
    }
}

#[test]
fn chats_and_converts() {
    let model = model();
    let template = "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}";
    let options = ChatOptions { template_text: Some(template), ..ChatOptions::default() };
    let prompt = model.chat_format(&[Message { role: "user", content: "hello" }], &options).unwrap();
    assert_eq!(prompt, "<user>hello");
    let mut file = Vec::new();
    Model::convert(path(), &ModelOptions::default(), &mut file).unwrap();
    let again = Model::from_bytes("converted", &file, &ModelOptions::default()).unwrap();
    assert_eq!(again.details().unwrap().n_parameters, model.details().unwrap().n_parameters);
    struct Full;
    impl std::io::Write for Full {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(std::io::Error::new(std::io::ErrorKind::Other, "full"))
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let failure = Model::convert(path(), &ModelOptions::default(), &mut Full).unwrap_err();
    assert_eq!(failure.to_string(), "full");
}

#[test]
fn proposals_snapshots_and_log_probabilities() {
    let model = model();
    let mut context = model.context(&ContextOptions { preemption: Some(true), ..ContextOptions::default() }).unwrap();
    let expected = greedy(&mut context, &[5, 6, 7], 6);
    let sampler = model.sampler(&SamplerOptions::default()).unwrap();
    let own = SequenceOptions { sampler: Some(&sampler), lookup_tokens: 3, cache_domain: 7, ..Default::default() };
    let mut sequence = context.sequence(&own).unwrap();
    sequence.set_priority(2).unwrap();
    sequence.append(&[5, 6, 7]).unwrap();
    context.decode(&DecodeOptions::default()).unwrap();
    sequence.propose(&expected[1..3]).unwrap();
    assert_eq!(context.decode(&DecodeOptions::default()).unwrap().n_accepted, 2);
    assert_eq!(sequence.tokens().unwrap()[3..], expected[..4]);
    let position = sequence.n_computed().unwrap() - 1;
    let (chosen, top) = context.log_probabilities(&sequence, position, &[expected[3]], 3).unwrap();
    assert_eq!((top[0].0, top[0].1), (expected[3], chosen[0]));
    assert!(top[1].1 <= top[0].1);
    let mut snapshot = sequence.save().unwrap();
    let restored = context.restore(&snapshot, &own).unwrap();
    for _ in 0..2 {
        context.decode(&DecodeOptions::default()).unwrap();
    }
    assert_eq!(restored.tokens().unwrap(), sequence.tokens().unwrap());
    let middle = snapshot.len() / 2;
    snapshot[middle] ^= 1;
    assert_eq!(context.restore(&snapshot, &own).err().unwrap().status(), Status::Format);
    assert!(context.statistics().unwrap().n_accepted >= 2);
}

#[test]
fn grammars_and_stop_strings() {
    let model = model();
    let digits = model.grammar(Language::Regex("[0-9]{2,4}"), false).unwrap();
    assert_eq!(digits.matches("1").unwrap(), Match::Prefix);
    assert_eq!(digits.matches("123").unwrap(), Match::Whole);
    assert_eq!(model.grammar(Language::JsonSchema("{}"), true).unwrap().matches("x").unwrap(), Match::None);
    assert_eq!(model.grammar(Language::Ebnf("root ::= \"a\""), false).unwrap().matches("a").unwrap(), Match::Whole);
    assert_eq!(model.grammar(Language::Regex("("), false).err().unwrap().status(), Status::InvalidArgument);
    let mut context = model.context(&ContextOptions::default()).unwrap();
    let mut text = String::new();
    let options = GenerateOptions {
        grammar: Some(&digits),
        max_tokens: 4,
        constraint: ConstraintOptions { max_tokens: 4, close: true },
        lookup_tokens: 2,
        ..GenerateOptions::default()
    };
    context
        .generate("the river", &options, |piece| {
            text += piece;
            ControlFlow::Continue(())
        })
        .unwrap();
    assert_eq!(digits.matches(&text).unwrap(), Match::Whole, "{text}");
    let mut sequence = context.sequence(&SequenceOptions::default()).unwrap();
    sequence.append(&[5, 6, 7]).unwrap();
    sequence.constrain(Some(&digits), &ConstraintOptions::default()).unwrap();
    sequence.constrain(None, &ConstraintOptions::default()).unwrap();
    let stop = GenerateOptions { stop: &[&text[..1]], ..options };
    assert_eq!(context.generate("the river", &stop, |_| ControlFlow::Continue(())).unwrap().finish, Finish::StopString);
    let mut stream = model.text_stream_until(false, &["river"]).unwrap();
    let pieces: String = model
        .tokenize("the river holds", &TokenizeOptions::default())
        .unwrap()
        .iter()
        .map(|&token| stream.push(token).unwrap())
        .collect();
    assert!(!pieces.contains("river") && stream.stopped() == Some(0));
}
