//! `sequencer man` and `sequencer completions`: what packages install beside the program, made from its own help.

use std::io::Write;

use clap::CommandFactory;

use super::Error;
use super::args::{Cli, CompletionsArgs, ManArgs};

/// Prints a file that completes command lines.
pub(super) fn completions(args: &CompletionsArgs, out: &mut impl Write) -> Result<(), Error> {
    // The generator expects that no write fails, which a closed pipe would.
    let mut file = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "sequencer", &mut file);
    Ok(out.write_all(&file)?)
}

/// Writes a page for each command.
pub(super) fn write(args: &ManArgs, out: &mut impl Write) -> Result<(), Error> {
    let directory = &args.directory;
    clap_mangen::generate_to(Cli::command(), directory).map_err(|error| {
        Error::Failed(format!("cannot write to {}: {error}", directory.display()))
    })?;
    Ok(writeln!(
        out,
        "wrote the manual pages to {}",
        directory.display()
    )?)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use clap_complete::Shell;

    use super::*;

    #[test]
    fn every_command_has_a_page() {
        let directory = tempfile::tempdir().unwrap();
        let args = ManArgs {
            directory: directory.path().to_owned(),
        };
        write(&args, &mut Vec::new()).unwrap();
        let command = Cli::command();
        for command in command
            .get_subcommands()
            .filter(|command| !command.is_hide_set())
        {
            let page = directory
                .path()
                .join(format!("sequencer-{}.1", command.get_name()));
            let text = fs::read_to_string(page).unwrap();
            assert!(text.contains(".SH NAME"), "{}", command.get_name());
        }
        let args = ManArgs {
            directory: directory.path().join("missing"),
        };
        assert!(write(&args, &mut Vec::new()).is_err());
    }

    #[test]
    fn a_shell_completes_commands_and_flags() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            let mut file = Vec::new();
            completions(&CompletionsArgs { shell }, &mut file).unwrap();
            let text = String::from_utf8(file).unwrap();
            assert!(
                text.contains("set-next") && text.contains("request-id"),
                "{shell}"
            );
        }
    }
}
