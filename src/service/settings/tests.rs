//! Helpers of the tests, which are in one file per subject.

mod kafka;
mod layers;
mod mistakes;

use std::ffi::OsString;
use std::io::Write;

use tempfile::NamedTempFile;

use super::*;

fn environment(variables: &[(&str, &str)]) -> Vec<(OsString, OsString)> {
    variables
        .iter()
        .map(|(name, value)| (name.into(), value.into()))
        .collect()
}

fn set(assignments: &[&str]) -> Flags {
    Flags {
        set: assignments.iter().map(|text| (*text).to_owned()).collect(),
        ..Flags::default()
    }
}

fn file(text: &str) -> (NamedTempFile, Flags) {
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    let flags = Flags {
        config: Some(file.path().to_owned()),
        ..Flags::default()
    };
    (file, flags)
}

fn loaded(flags: &Flags) -> Settings {
    Settings::load(flags, environment(&[])).unwrap().0
}

fn error(flags: &Flags, variables: &[(&str, &str)]) -> String {
    Settings::load(flags, environment(variables))
        .unwrap_err()
        .to_string()
}

/// The error message for a file. `FILE` in it stands for the file's path.
fn file_error(text: &str) -> String {
    let (file, flags) = file(text);
    error(&flags, &[]).replace(&file.path().display().to_string(), "FILE")
}
