//! Takes a number.
use sequencer_client::Client;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let sequencer = Client::connect(&std::env::var("KAFKA_BROKERS")?).await?;
    println!("{}", sequencer.next("invoices").await?);
    Ok(())
}
