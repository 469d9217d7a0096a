//! The common start of every command: settings, log, connection to the cluster.

use tracing::warn;

use crate::kafka::admin::topics::TopicNames;
use crate::kafka::admin::{Access, Admin, Cluster};
use crate::kafka::clients::Connection;
use crate::kafka::transactor::Topics;
use crate::service::logging;
use crate::service::serve;
use crate::service::settings::{Flags, Settings};

use super::Error;
use super::error::tell_warning;

/// The default of `log.level`.
const DEFAULT_LEVEL: &str = "info";

/// Settings and connection of a command that asks or repairs, but does not serve.
pub(super) struct Session {
    /// The settings of all layers.
    pub settings: Settings,
    /// The connection to the cluster.
    pub connection: Connection,
    /// For questions about the cluster.
    pub admin: Admin,
}

impl Session {
    /// Loads the settings and creates a client. Nothing is connected yet.
    pub(super) fn open(flags: &Flags) -> Result<Session, Error> {
        let (settings, warnings) = load(flags)?;
        // Such a command prints its own messages. Kafka's messages are logged only on request.
        start_log(&settings, "off")?;
        match settings.log_level.as_str() {
            DEFAULT_LEVEL => {
                // The other warnings concern serving.
                for warning in &settings.unverified {
                    tell_warning(warning);
                }
            }
            _ => {
                for warning in warnings {
                    warn!("{warning}");
                }
            }
        }
        let connection = serve::connection(&settings)?;
        let admin = Admin::new(&connection.admin())?;
        Ok(Session {
            settings,
            connection,
            admin,
        })
    }

    /// Another session with the same settings.
    pub(super) fn again(&self) -> Result<Session, Error> {
        Ok(Session {
            settings: self.settings.clone(),
            connection: self.connection.clone(),
            admin: Admin::new(&self.connection.admin())?,
        })
    }

    /// The topics, for code that reads and writes them.
    pub(super) fn topics(&self) -> Topics {
        let TopicNames {
            requests,
            replies,
            state,
            ledger,
        } = self.topic_names();
        Topics {
            requests,
            replies,
            state,
            ledger,
        }
    }

    /// The topics, for code that creates and checks them.
    pub(super) fn topic_names(&self) -> TopicNames {
        let topics = &self.settings.topics;
        TopicNames {
            requests: topics.requests.clone(),
            replies: topics.replies.clone(),
            state: topics.state.clone(),
            ledger: topics.ledger.clone(),
        }
    }

    /// The number of partitions of a topic, which must exist.
    pub(super) fn partitions(
        &self,
        cluster: &Cluster,
        topic: &str,
        access: Access,
    ) -> Result<u32, Error> {
        let found = cluster.topics.get(topic);
        if found.is_none() {
            // A topic that may not be seen looks like a missing one.
            self.admin.explained(self.admin.permits(topic, access))?;
        }
        found.map(|topic| topic.partitions).ok_or_else(|| {
            Error::Failed(format!(
                "topic {topic:?} does not exist at {}: create it with `sequencer topics create`, or \
                 correct topics.* if it has another name",
                self.admin.brokers()
            ))
        })
    }
}

/// The settings of all layers, with the warnings about them.
pub(super) fn load(flags: &Flags) -> Result<(Settings, Vec<String>), Error> {
    Ok(Settings::load(flags, std::env::vars_os())?)
}

/// Starts the log of a command that is not the service: at `quiet`, unless a level was set.
pub(super) fn start_log(settings: &Settings, quiet: &str) -> Result<(), Error> {
    let level = match settings.log_level.as_str() {
        DEFAULT_LEVEL => quiet,
        level => level,
    };
    Ok(logging::init(settings.log_format, level)?)
}
