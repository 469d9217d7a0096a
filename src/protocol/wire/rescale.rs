//! The records of a rescale: canonical JSON under the key `__policy`.
//!
//! An order has one spelling, so that its link's tag covers all of it. Without a valid link, its bytes are an ordinary
//! request, which is refused as any other with an unknown field is.

use crate::core::homes::Homes;
use crate::core::name::POLICY;
use crate::core::rescale::Order;

/// The key of an order.
pub const KEY: &[u8] = POLICY.as_bytes();

/// Most bytes of an order: its words, and N of each epoch.
const BYTES_MAX: usize = 256;

/// Returns the value of an order's record.
pub fn encode(order: &Order) -> Vec<u8> {
    let listed = |op: &str, homes: &Homes| {
        let counts: Vec<String> = homes.counts().map(|n| n.to_string()).collect();
        format!("{{\"op\":\"{op}\",\"partitions\":[{}]}}", counts.join(","))
    };
    let text = match order {
        Order::Split(homes) => listed("split", homes),
        Order::Adopt(homes) => listed("adopt", homes),
        Order::Adopted { epoch, sequences } => {
            format!("{{\"op\":\"adopted\",\"epoch\":{epoch},\"sequences\":{sequences}}}")
        }
        Order::Done { epoch } => format!("{{\"op\":\"done\",\"epoch\":{epoch}}}"),
    };
    text.into_bytes()
}

/// Reads an order. None for any other record.
pub fn decode(key: Option<&[u8]>, value: Option<&[u8]>) -> Option<Order> {
    let value = value.filter(|value| key == Some(KEY) && value.len() <= BYTES_MAX)?;
    let text = std::str::from_utf8(value).ok()?;
    let (op, rest) = text.strip_prefix("{\"op\":\"")?.split_once("\",\"")?;
    let rest = rest.strip_suffix('}')?;
    let homes = || {
        let counts = rest.strip_prefix("partitions\":[")?.strip_suffix(']')?;
        let counts: Result<Vec<u32>, _> = counts.split(',').map(str::parse).collect();
        Homes::read(counts.ok()?)
    };
    let order = match op {
        "split" => Order::Split(homes()?),
        "adopt" => Order::Adopt(homes()?),
        "adopted" => {
            let (epoch, sequences) = rest
                .strip_prefix("epoch\":")?
                .split_once(",\"sequences\":")?;
            Order::Adopted {
                epoch: epoch.parse().ok()?,
                sequences: sequences.parse().ok()?,
            }
        }
        "done" => Order::Done {
            epoch: rest.strip_prefix("epoch\":")?.parse().ok()?,
        },
        _ => return None,
    };
    (encode(&order) == value).then_some(order)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::limits::EPOCHS_MAX;

    #[test]
    fn an_order_has_one_spelling() {
        let homes = Homes::read([2, 4, 12]).unwrap();
        for (order, text) in [
            (
                Order::Split(homes),
                "{\"op\":\"split\",\"partitions\":[2,4,12]}",
            ),
            (
                Order::Adopt(homes),
                "{\"op\":\"adopt\",\"partitions\":[2,4,12]}",
            ),
            (
                Order::Adopted {
                    epoch: 2,
                    sequences: 70,
                },
                "{\"op\":\"adopted\",\"epoch\":2,\"sequences\":70}",
            ),
            (Order::Done { epoch: 2 }, "{\"op\":\"done\",\"epoch\":2}"),
        ] {
            assert_eq!(encode(&order), text.as_bytes());
            assert_eq!(decode(Some(KEY), Some(text.as_bytes())), Some(order));
            assert_eq!(decode(Some(b"orders"), Some(text.as_bytes())), None);
            assert_eq!(decode(Some(KEY), None), None);
            for other in [
                text.replace(":2", ":02"),
                text.replace(',', ", "),
                text.replace("4,12", "4,13"),
                format!("{text} "),
                text.replace("}", ""),
            ] {
                let same = other == text;
                let read = decode(Some(KEY), Some(other.as_bytes()));
                assert_eq!(read.is_some(), same, "{other}");
            }
        }
    }

    #[test]
    fn the_longest_order_is_below_the_limit() {
        let counts = (0..EPOCHS_MAX).map(|epoch| 65_536_u32 << epoch);
        let order = Order::Split(Homes::read(counts).unwrap());
        let bytes = encode(&order);
        assert!((BYTES_MAX / 2..BYTES_MAX).contains(&bytes.len()));
        assert_eq!(decode(Some(KEY), Some(&bytes)), Some(order));
    }
}
