//! One client's test, in both reply modes.

use crate::conventions;
use crate::stage::{ShowLog, Stage};
use crate::support::records::Mode;
use crate::tools::{self, Program, Tools, Workshop};
use crate::verdict;

/// The example and the test program.
pub type Programs = (Program, Program);

/// What is known of a client beforehand.
pub struct Client {
    /// Of its folders, and of its sequences.
    pub name: &'static str,
    pub tools: Tools,
    pub has_example: bool,
    /// The topic that it wants its answers on; the default one without.
    pub reply_topic: Option<&'static str>,
    /// A consumer group that has read that topic before.
    pub known_group: Option<&'static str>,
    /// Calls of the test program that name a partition of the reply topic.
    pub asked_partitions: usize,
}

impl Default for Client {
    fn default() -> Client {
        Client {
            name: "",
            tools: &[],
            has_example: true,
            reply_topic: None,
            known_group: None,
            asked_partitions: 0,
        }
    }
}

impl Client {
    /// Installs it and has it served.
    pub fn is_served(&self, install: impl FnOnce(&Workshop) -> Programs) {
        if !tools::there(self.name, self.tools) {
            return;
        }
        let (example, calls) = install(&Workshop::new(self.name, self.has_example));
        for mode in [Mode::Immediate, Mode::ExactlyOnce] {
            let stage = Stage::of(mode);
            let _shown = ShowLog(stage);
            if let Some(topic) = self.reply_topic {
                stage.create_topic(topic);
                if let Some(group) = self.known_group {
                    stage.introduce(group, topic);
                }
            }
            self.calls_are_answered(stage, &calls);
        }
        if self.has_example {
            let name = format!("{}-example", self.name);
            for expected in ["1\n", "2\n"] {
                let printed = example.run(&[&name], Stage::of(Mode::Immediate).bootstrap());
                assert_eq!(printed, expected);
            }
        }
    }

    fn calls_are_answered(&self, stage: &Stage, calls: &Program) {
        let printed = calls.run(&[self.name], stage.bootstrap());
        let lines = verdict::parse(&printed);
        // Clients that ask for a partition now and then make calls of their own for it.
        let further = if self.asked_partitions < verdict::CALLS {
            self.asked_partitions
        } else {
            0
        };
        let wrong = verdict::judge(self.name, &lines, further);
        assert_eq!(wrong, Vec::<String>::new(), "{printed}");
        let asked = conventions::check(stage, self.name, self.reply_topic);
        // A client may have had to send a request again.
        assert!(
            asked >= self.asked_partitions,
            "{asked} requests asked for a partition"
        );
    }
}
