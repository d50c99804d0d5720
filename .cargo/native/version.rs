//! Build script: tells the program which mediasoup it has and where its worker's sources came from, and gives it the
//! conference client that `make web` made.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{env, fs};

fn main() {
    println!("cargo:rerun-if-changed=Cargo.lock");
    println!("cargo:rerun-if-changed=.cargo/native/version.rs");
    // Cargo runs this early, so that a missing tool is named before minutes of compiling.
    require("c++", &["--version"], "g++");
    require("python3", &["-m", "pip", "--version"], "python3-pip");

    let lock = fs::read_to_string("Cargo.lock").unwrap_or_default();
    let version = lock
        .split("[[package]]")
        .find(|package| package.contains("name = \"mediasoup\"\n"))
        .and_then(|package| package.split("version = \"").nth(1)?.split('"').next())
        .unwrap_or("unknown");
    println!("cargo:rustc-env=HEADWATER_MEDIASOUP_VERSION={version}");

    // `meson` beside this file leaves its note here before the library is compiled.
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default());
    let note = out.ancestors().nth(3).unwrap_or(Path::new("")).join("worker-sources.txt");
    if !note.exists() {
        let _ = fs::write(&note, "unknown\n");
    }
    println!("cargo:rustc-env=HEADWATER_WORKER_SOURCES={}", note.display());
    conference_client(&out);
}

/// Puts mediasoup-client, as one file, where `http/pages.rs` takes it; one that says what to do where it isn't there.
fn conference_client(out: &Path) {
    const FOLDER: &str = ".tools/web";
    const MISSING: &str =
        "throw new Error('this build lacks the conference client: run `make web`, then build again');\n";
    // Cargo runs this again each time while what it is to look at isn't there.
    let _ = fs::create_dir_all(FOLDER);
    println!("cargo:rerun-if-changed={FOLDER}");
    let client = fs::read_to_string(Path::new(FOLDER).join("mediasoup-client.js"));
    if client.is_err() {
        println!("cargo:warning=no conference client: run `make web`, then build again");
    }
    let client = client.unwrap_or_else(|_| MISSING.to_owned());
    if let Err(error) = fs::write(out.join("mediasoup-client.js"), client) {
        eprintln!("headwater: the conference client can't be copied: {error}");
        std::process::exit(1);
    }
}

fn require(program: &str, arguments: &[&str], package: &str) {
    let found = Command::new(program)
        .args(arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    if !found {
        eprintln!("headwater: `{program}` is missing: apt-get install {package}");
        std::process::exit(1);
    }
}
