//! Prints the running parts, and commands to try in another terminal.

use std::io::Write;

use crate::cli::args::DevArgs;
use crate::cli::{Error, shell};
use crate::service::settings::Settings;

/// The name in the commands for `kcat`. Its default partitioner differs from the Java client's, so one of its
/// requests may have to be forwarded to the name's home. With two names a user sees which requests came from
/// which client.
const KCAT_NAME: &str = "orders";
/// The name in the commands for `sequencer`, and for HTTP.
const OWN_NAME: &str = "invoices";

/// Prints the header.
pub(super) fn print(
    args: &DevArgs,
    settings: &Settings,
    out: &mut impl Write,
) -> Result<(), Error> {
    Ok(out.write_all(text(args, settings, &shell::program()).as_bytes())?)
}

fn text(args: &DevArgs, settings: &Settings, program: &str) -> String {
    let brokers = settings.brokers.as_deref().unwrap_or_default();
    let directory = shell::word(args.directory.as_os_str());
    let (requests, replies) = (&settings.topics.requests, &settings.topics.replies);
    let flags = shell::service_flags(Some(brokers), &args.common);
    let http = match &settings.http_address {
        Some(address) => format!("http://{address} (status page; /metrics, /healthz, /readyz)"),
        None => "no HTTP".to_owned(),
    };
    let gateway = &settings.gateway.address;
    let mode = settings.reply_mode;
    let group = &settings.group;
    format!(
        "
Kafka    {brokers}, data in {directory}; to begin again at 1: rm -r {directory}
Service  {http}, group {group}, replies {mode}
Gateway  http://{gateway} (IDs over HTTP)

Try it from another terminal. One ID over HTTP:
  curl -X POST http://{gateway}/v1/sequences/{OWN_NAME}/next
With a Kafka client: one ID, five IDs, the latest answers:
  echo '{KCAT_NAME}:' | kcat -P -b {brokers} -t {requests} -K: -Z
  echo '{KCAT_NAME}:5' | kcat -P -b {brokers} -t {requests} -K:
  kcat -C -b {brokers} -t {replies} -e -q -f '%k %s\\n'
Ask and wait for the answer; look at the counters:
  {program} next {OWN_NAME} {flags}
  {program} inspect {flags}

"
    )
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::args::{Cli, Command};

    fn header(line: &str) -> String {
        let Command::Dev(args) = Cli::parse_from(line.split(' ')).command else {
            panic!("not dev")
        };
        let (mut settings, _) = Settings::load(&args.flags(), []).unwrap();
        settings.brokers = Some("127.0.0.1:9".to_owned());
        text(&args, &settings, "./sequencer")
    }

    #[test]
    fn the_lines_can_be_copied() {
        let text = header("sequencer dev");
        for line in [
            "  curl -X POST http://127.0.0.1:8378/v1/sequences/invoices/next",
            "  echo 'orders:' | kcat -P -b 127.0.0.1:9 -t sequencer.requests -K: -Z",
            r"  kcat -C -b 127.0.0.1:9 -t sequencer.replies -e -q -f '%k %s\n'",
            "  ./sequencer next invoices --brokers 127.0.0.1:9",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
    }

    #[test]
    fn commands_are_told_what_makes_the_service_another_one() {
        let text = header("sequencer dev --group g --set topics.requests=r --set log.level=warn");
        let line = "  ./sequencer inspect --brokers 127.0.0.1:9 --group g --set topics.requests=r";
        assert!(text.lines().any(|found| found == line), "{text}");
        assert!(text.contains("-t r -K:"));
    }
}
