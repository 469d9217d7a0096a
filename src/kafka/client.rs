//! Creates each client of librdkafka, and keeps its token fresh while it lives.

use std::collections::BTreeMap;
use std::ops::Deref;

use rdkafka::ClientConfig;
use rdkafka::client::{Client, ClientContext};
use rdkafka::config::{FromClientConfigAndContext, NativeClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::producer::{BaseProducer, Producer, ProducerContext};
use rdkafka::types::RDKafkaType;

use super::error::Error;
use super::oauth::{Pass, Tokens};

/// The properties of a client, and the tokens that it needs.
#[derive(Clone, Debug, Default)]
pub struct Config {
    properties: ClientConfig,
    tokens: Tokens,
}

impl Config {
    pub(super) fn new(tokens: &Tokens) -> Config {
        Config {
            properties: ClientConfig::new(),
            tokens: tokens.clone(),
        }
    }

    /// Sets a property.
    pub fn set(&mut self, property: impl Into<String>, value: impl Into<String>) -> &mut Config {
        self.properties.set(property, value);
        self
    }

    /// The value of a property that is set.
    pub fn get(&self, property: &str) -> Option<&str> {
        self.properties.get(property)
    }

    /// All properties that are set, without secrets.
    pub(super) fn properties(&self) -> BTreeMap<&str, &str> {
        self.properties.config_map()
    }

    pub(super) fn set_log_level(&mut self, level: RDKafkaLogLevel) {
        self.properties.set_log_level(level);
    }

    /// Creates a consumer or a producer.
    ///
    /// # Errors
    /// A configuration that librdkafka refuses; no token.
    pub(super) fn create<C, X>(
        &self,
        operation: &'static str,
        context: X,
    ) -> Result<Authenticated<C>, Error>
    where
        X: ClientContext,
        C: FromClientConfigAndContext<X> + Native<X>,
    {
        let client: C = self
            .properties
            .create_with_context(context)
            .map_err(|error| Error::from_kafka(operation, &error))?;
        Ok(Authenticated {
            _pass: self.tokens.admit(client.native())?,
            client,
        })
    }

    /// Creates a client without rust-rdkafka's consumer or producer around it. `prepare` changes its native
    /// configuration.
    ///
    /// # Errors
    /// A configuration that librdkafka refuses; no token.
    pub(super) fn create_plain<X: ClientContext>(
        &self,
        operation: &'static str,
        kind: RDKafkaType,
        context: X,
        prepare: impl FnOnce(&NativeClientConfig),
    ) -> Result<Authenticated<Client<X>>, Error> {
        let failed = |error| Error::from_kafka(operation, &error);
        let native = self.properties.create_native_config().map_err(failed)?;
        prepare(&native);
        let client = Client::new(&self.properties, native, kind, context).map_err(failed)?;
        Ok(Authenticated {
            _pass: self.tokens.admit(&client)?,
            client,
        })
    }
}

/// A client that is given fresh tokens until it is dropped.
pub(crate) struct Authenticated<C> {
    // Dropped in this order: nobody gives a token to a client that is gone.
    _pass: Pass,
    client: C,
}

impl<C> Deref for Authenticated<C> {
    type Target = C;

    fn deref(&self) -> &C {
        &self.client
    }
}

/// A consumer or a producer of rust-rdkafka.
pub(super) trait Native<X: ClientContext> {
    /// The client of librdkafka in it.
    fn native(&self) -> &Client<X>;
}

impl<X: ConsumerContext> Native<X> for BaseConsumer<X> {
    fn native(&self) -> &Client<X> {
        self.client()
    }
}

impl<X: ProducerContext> Native<X> for BaseProducer<X> {
    fn native(&self) -> &Client<X> {
        self.client()
    }
}
