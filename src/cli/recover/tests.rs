//! Tests each halt's remedy, below and above N: the command line parses, and its plan succeeds.

use clap::Parser;

use super::evidence::{Evidence, Judged};
use super::plan::tests::evidence;
use super::plan::{Ask, Plan};
use super::way;
use crate::cli::args::{Cli, Command};
use crate::core::NextOffset;
use crate::documentation::halts;
use crate::processor::halt::{Halt, RECOVER};

/// One of the four partitions of the evidence, and one that was added later.
const PARTITIONS: [i32; 2] = [3, 5];

#[test]
fn the_remedy_of_every_halt_below_and_above_n_is_a_command_whose_plan_succeeds() {
    for halt in halts() {
        for partition in PARTITIONS {
            let remedy = halt.remedy(partition);
            assert_eq!(
                remedy.starts_with(RECOVER),
                halt.repair_from().is_some(),
                "{remedy}"
            );
            if remedy.starts_with(RECOVER) {
                repair(&halt, &remedy, partition);
            }
        }
    }
}

fn repair(halt: &Halt, remedy: &str, partition: i32) {
    let parsed = Cli::try_parse_from(remedy.split(' '));
    let Ok(Command::Recover(args)) = parsed.map(|cli| cli.command) else {
        panic!("{remedy}")
    };
    assert_eq!(args.partition, partition);
    let mut evidence = Evidence {
        judged: Judged::Halts(halt.clone()),
        ..evidence()
    };
    evidence.log.start = NextOffset::ZERO;
    if !super::plan::is_home(partition, &evidence) {
        evidence.state.counters.clear();
        evidence.replies.given.clear();
    }
    let from = args.from.map_or(way::go_on_at(&evidence), NextOffset);
    let ask = Ask {
        partition,
        from,
        margin: args.margin,
        above: None,
        above_of: [].into(),
        group: "g".to_owned(),
        before: None,
        now_ms: 1_700,
    };
    let plan = Plan::new(&ask, &evidence).unwrap_or_else(|why| panic!("{remedy}: {why}"));
    assert_eq!(plan.footer.next, from, "{remedy}");
}
