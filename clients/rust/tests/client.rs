//! The client against a real service, whose brokers are in `KAFKA_BROKERS`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::time::Duration;

use sequencer_client::{Client, Error, Ids, Options, Request};
use tokio::task::JoinSet;

fn brokers() -> String {
    std::env::var("KAFKA_BROKERS").expect("KAFKA_BROKERS has the brokers of a service")
}

/// A sequence of its own for each test, also when the tests run again.
fn name() -> String {
    format!("client-rust-{:016x}", getrandom::u64().unwrap())
}

fn request(count: u64, request_id: &str) -> Request {
    Request {
        count,
        request_id: Some(request_id.to_owned()),
    }
}

#[tokio::test]
async fn the_numbers_of_a_sequence_follow_each_other() {
    let (client, sequence) = (Client::connect(&brokers()).await.unwrap(), name());
    assert_eq!(client.next(&sequence).await.unwrap(), 1);
    let ids = client.next_with(&sequence, request(5, "größe")).await;
    let expected = Ids {
        first: 2,
        last: 6,
        count: 5,
        increment: 1,
        request_id: "größe".to_owned(),
    };
    assert_eq!(ids.unwrap(), expected);
    let again = client.next_with(&sequence, request(5, "größe")).await;
    assert_eq!(again.unwrap(), expected);
    assert_eq!(client.next(&sequence).await.unwrap(), 7);
}

#[tokio::test]
async fn requests_at_once_get_a_number_each_also_beyond_the_limit_in_flight() {
    let options = Options {
        in_flight_max: 16,
        ..Options::default()
    };
    let client = Client::with_options(&brokers(), options).await.unwrap();
    let sequence = name();
    let mut requests = JoinSet::new();
    for _ in 0..1_000 {
        let (client, sequence) = (client.clone(), sequence.clone());
        requests.spawn(async move { client.next(&sequence).await.unwrap() });
    }
    let mut numbers = requests.join_all().await;
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=1_000).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_request_that_is_sent_again_takes_one_number() {
    // Less than any round trip.
    let options = Options {
        attempt_timeout: Duration::from_micros(50),
        ..Options::default()
    };
    let client = Client::with_options(&brokers(), options).await.unwrap();
    let sequence = name();
    for number in 1..=5 {
        assert_eq!(client.next(&sequence).await.unwrap(), number);
    }
}

#[tokio::test]
async fn a_refusal_has_its_code() {
    let (client, sequence) = (Client::connect(&brokers()).await.unwrap(), name());
    let refusal = |answer| match answer {
        Err(Error::Refused { code, .. }) => code,
        other => panic!("{other:?}"),
    };
    let invalid = client.next_with(&sequence, request(0, "a")).await;
    assert_eq!(refusal(invalid), "invalid_count");
    client.next_with(&sequence, request(1, "a")).await.unwrap();
    let reused = client.next_with(&sequence, request(2, "a")).await;
    assert_eq!(refusal(reused), "request_id_reused");
}

#[tokio::test]
async fn a_request_without_a_reply_says_that_a_number_may_be_taken() {
    // Nobody answers requests on that topic.
    let options = Options {
        request_topic: "sequencer.gateway.replies".to_owned(),
        timeout: Duration::from_secs(3),
        ..Options::default()
    };
    let client = Client::with_options(&brokers(), options).await.unwrap();
    let unanswered = client.next_with(&name(), request(1, "b")).await;
    let error = unanswered.unwrap_err();
    assert!(error.to_string().contains("may be taken"), "{error}");
    assert!(matches!(error, Error::Unanswered { request_id, .. } if request_id == "b"));
}

#[tokio::test]
async fn a_reply_topic_that_is_not_there_is_an_error_of_the_connection() {
    let options = Options {
        reply_topic: "absent.reply".to_owned(),
        timeout: Duration::from_secs(3),
        ..Options::default()
    };
    let connected = Client::with_options(&brokers(), options).await;
    assert!(matches!(connected, Err(Error::Connect(_))));
}
