//! Continues a prompt, from Rust without a crate; transformer.rs has the declarations.
//!
//! rustc --edition 2021 -O generate.rs -L <folder of libtransformer.so> -l transformer
mod transformer;

use std::ffi::{CStr, CString};
use std::io::Write;
use std::ptr::{null, null_mut};
use transformer::*;

fn check(status: i32) -> Result<(), String> {
    if status == OK {
        return Ok(());
    }
    Err(unsafe { CStr::from_ptr(transformer_last_error()) }
        .to_string_lossy()
        .into_owned())
}

/// A handle and what frees it. Handles may go in any order.
struct Handle(Object, Destroy);
type Destroy = unsafe extern "C" fn(Object);

impl Drop for Handle {
    fn drop(&mut self) {
        unsafe { self.1(self.0) }
    }
}

fn make(destroy: Destroy, create: impl FnOnce(*mut Object) -> i32) -> Result<Handle, String> {
    let mut handle = null_mut();
    check(create(&mut handle))?;
    Ok(Handle(handle, destroy))
}

fn tokenize(model: Object, text: &str) -> Result<Vec<i32>, String> {
    let options = TokenizeOptions {
        parse_special: ON,
        ..sized()
    };
    let (bytes, length) = (text.as_ptr(), text.len() as i64);
    let (mut tokens, mut count) = (vec![0; text.len() + 16], 0);
    let (buffer, capacity) = (tokens.as_mut_ptr(), tokens.len() as i64);
    check(unsafe {
        transformer_tokenize(model, bytes, length, &options, buffer, capacity, &mut count)
    })?;
    tokens.truncate(count as usize);
    Ok(tokens)
}

fn slice<'a, T>(first: *const T, count: i64) -> &'a [T] {
    match count {
        0 => &[],
        _ => unsafe { std::slice::from_raw_parts(first, count as usize) },
    }
}

fn print(bytes: &[u8]) -> Result<(), String> {
    let mut out = std::io::stdout();
    let written = out.write_all(bytes).and_then(|()| out.flush());
    written.map_err(|e| format!("cannot write to stdout: {e}"))
}

fn generate(path: &str, prompt: &str, max_tokens: u64) -> Result<(), String> {
    let path = CString::new(path).map_err(|e| e.to_string())?;
    let options = ModelOptions {
        path: path.as_ptr(),
        ..sized()
    };
    let mut details = sized::<ModelDetails>();
    let (mut text, mut length) = (null(), 0);
    unsafe {
        let model = make(transformer_model_close, |h| {
            transformer_model_open(&options, h)
        })?;
        let context = make(transformer_context_destroy, |h| {
            transformer_context_create(model.0, null(), h)
        })?;
        let sequence = make(transformer_sequence_destroy, |h| {
            transformer_sequence_create(context.0, null(), h)
        })?;
        let sampler = make(transformer_sampler_destroy, |h| {
            transformer_sampler_create(model.0, null(), h)
        })?;
        let stream = make(transformer_text_stream_destroy, |h| {
            transformer_text_stream_create(model.0, null(), h)
        })?;
        check(transformer_model_info(model.0, &mut details))?;
        let end_tokens = slice(details.end_tokens, details.n_end_tokens);
        let mut tokens = tokenize(model.0, prompt)?;
        for _ in 0..max_tokens {
            let n = tokens.len() as i64;
            check(transformer_sequence_append(
                sequence.0,
                tokens.as_ptr(),
                n,
                null(),
            ))?;
            let mut result = DecodeResult {
                n_pending: 1,
                ..sized()
            };
            while result.n_pending > 0 {
                check(transformer_decode(context.0, null(), &mut result))?;
            }
            tokens = vec![0];
            let token = tokens.as_mut_ptr();
            check(transformer_sampler_sample(
                sampler.0,
                sequence.0,
                null(),
                token,
            ))?;
            if end_tokens.contains(&tokens[0]) {
                break;
            }
            check(transformer_text_stream_push(
                stream.0,
                tokens[0],
                &mut text,
                &mut length,
            ))?;
            print(slice(text, length))?;
        }
        check(transformer_text_stream_finish(
            stream.0,
            &mut text,
            &mut length,
        ))?;
        print(slice(text, length))?;
    }
    print(b"\n")
}

fn read_arguments() -> Result<(String, String, u64), String> {
    let (mut model, mut prompt, mut max_tokens) = (None, None, 64);
    let mut arguments = std::env::args_os()
        .skip(1)
        .map(|a| a.to_string_lossy().into_owned());
    while let Some(name) = arguments.next() {
        if !["--model", "--prompt", "--max-tokens"].contains(&name.as_str()) {
            return Err(format!(
                "unknown argument '{name}'; there are --model, --prompt, --max-tokens"
            ));
        }
        let value = arguments.next().ok_or(format!("{name} needs a value"))?;
        match name.as_str() {
            "--model" => model = Some(value),
            "--prompt" => prompt = Some(value),
            _ => {
                max_tokens = value
                    .parse()
                    .map_err(|_| format!("--max-tokens: '{value}' is no number"))?
            }
        }
    }
    let model = model.ok_or("--model is missing")?;
    std::fs::File::open(&model).map_err(|e| format!("cannot open '{model}': {e}"))?;
    Ok((model, prompt.ok_or("--prompt is missing")?, max_tokens))
}

fn main() {
    if std::env::args_os().nth(1).map_or(false, |a| a == "--help") {
        println!("usage: generate --model FILE --prompt TEXT [--max-tokens N]");
        return;
    }
    let (code, message) = match read_arguments() {
        Err(message) => (2, message),
        Ok((model, prompt, max_tokens)) => match generate(&model, &prompt, max_tokens) {
            Err(message) => (1, message),
            Ok(()) => return,
        },
    };
    eprintln!("generate: {message}");
    std::process::exit(code);
}
