//! The kept inputs.

use std::fs;
use std::path::Path;

use crate::input::{Input, Record};

/// The inputs of a folder of `tests/fuzz/corpus`, in the order of their names.
pub fn read(folder: &str) -> Vec<Input> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus");
    let entries = fs::read_dir(corpus.join(folder)).unwrap();
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let read = |path: std::path::PathBuf| {
        let text = fs::read_to_string(&path).unwrap();
        Input::parse(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    };
    paths.into_iter().map(read).collect()
}

#[test]
fn the_text_of_an_input_is_the_input() {
    let all = read("requests").into_iter().chain(read("state"));
    for input in all {
        assert!(!input.records.is_empty());
        assert_eq!(Input::parse(&input.to_string()), Ok(input));
    }
    let odd = Input {
        records: vec![
            Record::default(),
            Record {
                key: Some(b"\"\\\xff\n".to_vec()),
                value: Some(vec![0; 100]),
                headers: vec![(b"".to_vec(), None), (vec![b' '; 40], Some(b"*3".to_vec()))],
            },
        ],
    };
    assert_eq!(Input::parse(&odd.to_string()), Ok(odd));
}
