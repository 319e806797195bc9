//! Alone in its process, whose size it looks at.
use libtransformer::*;

fn resident_bytes() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

/// 10,000 rounds of every handle leave the process as large as 1,000 did.
#[test]
fn handles_leave_nothing_behind() {
    let folder = std::env::var("TEST_MODEL_FOLDER").expect("TEST_MODEL_FOLDER is not set");
    let path = folder + "/llama-gqa.gguf";
    let model = Model::open(&path, &ModelOptions::default()).unwrap();
    let options = ContextOptions {
        n_threads: 1,
        max_sequence_tokens: 64,
        kv_tokens: 256,
        max_step_tokens: 16,
        ..ContextOptions::default()
    };
    let mut context = model.context(&options).unwrap();
    let mut after_warm_up = 0;
    for round in 0..10_000 {
        let sampler = model.sampler(&SamplerOptions { logit_bias: &[(1, 1.0)], ..Default::default() }).unwrap();
        let own = SequenceOptions { sampler: Some(&sampler), ..SequenceOptions::default() };
        let mut sequence = context.sequence(&own).unwrap();
        let mut stream = model.text_stream(false).unwrap();
        sequence.append(&[1, 2]).unwrap();
        let fork = sequence.fork(None, 1).unwrap();
        if round % 100 == 0 {
            context.decode_all().unwrap();
            drop(model.context(&options).unwrap());
            drop(Model::open(&path, &ModelOptions::default()).unwrap());
        }
        stream.push(2).unwrap();
        drop((fork, model.clone()));
        if round == 1_000 {
            after_warm_up = resident_bytes();
        }
    }
    let grown = resident_bytes().saturating_sub(after_warm_up);
    assert!(grown < 2 << 20, "{grown} bytes more after 9,000 rounds");
}
