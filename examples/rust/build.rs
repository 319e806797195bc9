//! Finds libtransformer: in the folder LIBTRANSFORMER_DIR, or where pkg-config says.
use std::env;
use std::process::Command;

fn main() {
    println!("cargo:rerun-if-env-changed=LIBTRANSFORMER_DIR");
    println!("cargo:rustc-link-lib=transformer");
    if let Ok(folder) = env::var("LIBTRANSFORMER_DIR") {
        search(&folder);
        return;
    }
    let found = Command::new("pkg-config").args(["--variable=libdir", "transformer"]).output();
    match found {
        Ok(output) if output.status.success() => search(String::from_utf8_lossy(&output.stdout).trim()),
        _ => println!(
            "cargo:warning=pkg-config knows no transformer; set LIBTRANSFORMER_DIR to the folder of libtransformer.so"
        ),
    }
}

/// The programs and tests of this package find the library at run time too; a program that depends on it needs
/// the library in a folder that the loader looks into, or an rpath of its own.
fn search(folder: &str) {
    println!("cargo:rustc-link-search=native={folder}");
    println!("cargo:rustc-link-arg=-Wl,-rpath,{folder}");
}
