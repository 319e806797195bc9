//! Continues a prompt.
use libtransformer::{ContextOptions, GenerateOptions, Model, ModelOptions};
use std::io::{self, Write};
use std::ops::ControlFlow;

struct Arguments {
    model: String,
    prompt: String,
    max_tokens: i64,
}

fn read_arguments() -> Result<Arguments, String> {
    let (mut model, mut prompt, mut max_tokens) = (None, None, 64);
    let mut arguments = std::env::args_os().skip(1).map(|a| a.to_string_lossy().into_owned());
    while let Some(name) = arguments.next() {
        if !["--model", "--prompt", "--max-tokens"].contains(&name.as_str()) {
            return Err(format!("unknown argument '{name}'; there are --model, --prompt, --max-tokens"));
        }
        let value = arguments.next().ok_or(format!("{name} needs a value"))?;
        match name.as_str() {
            "--model" => model = Some(value),
            "--prompt" => prompt = Some(value),
            _ => match value.parse() {
                Ok(n) if n > 0 => max_tokens = n,
                _ => return Err(format!("--max-tokens: '{value}' is not 1 or more")),
            },
        }
    }
    let model = model.ok_or("--model is missing")?;
    std::fs::metadata(&model).map_err(|e| format!("cannot open '{model}': {e}"))?;
    Ok(Arguments { model, prompt: prompt.ok_or("--prompt is missing")?, max_tokens })
}

fn print(text: &str) -> io::Result<()> {
    let mut out = io::stdout();
    out.write_all(text.as_bytes())?;
    out.flush()
}

fn generate(arguments: &Arguments) -> Result<(), Box<dyn std::error::Error>> {
    let model = Model::open(&arguments.model, &ModelOptions::default())?;
    let mut context = model.context(&ContextOptions::default())?;
    let options =
        GenerateOptions { max_tokens: arguments.max_tokens, parse_special: Some(true), ..GenerateOptions::default() };
    let mut printed = Ok(());
    context.generate(&arguments.prompt, &options, |text| {
        printed = print(text);
        if printed.is_ok() {
            ControlFlow::Continue(())
        } else {
            ControlFlow::Break(())
        }
    })?;
    printed?;
    print("\n")?;
    Ok(())
}

fn main() {
    if std::env::args_os().nth(1).map_or(false, |a| a == "--help") {
        println!("usage: generate --model FILE --prompt TEXT [--max-tokens N]");
        return;
    }
    let (code, message) = match read_arguments() {
        Err(message) => (2, message),
        Ok(arguments) => match generate(&arguments) {
            Err(failure) => (1, failure.to_string()),
            Ok(()) => return,
        },
    };
    eprintln!("generate: {message}");
    std::process::exit(code);
}
